from decimal import Decimal

import pytest

from registry_proxy import pricing
from registry_proxy.models import Snapshot
from registry_proxy.prices import Tokens
from tests.registry_proxy import samples


@pytest.mark.parametrize(
    "provider, model, cost",
    [
        ("openai", "gpt-4o-mini", "0.00024"),
        ("openai", "gpt-4o-mini-2024-07-18", "0.00024"),
        ("openai", "openai:gpt-4o-mini", "0.00024"),
        # 600 × 15 + 400 × 1.5 + 200 × 75, per million
        ("anthropic", "claude-opus-4-1", "0.0246"),
    ],
)
def test_price_of_known_models(refreshed, provider, model, cost):
    refreshed(8, 19)
    priced = pricing.price(provider, model, Tokens(1000, 200, 400))
    assert priced.cost == Decimal(cost)
    assert priced.snapshot_id == Snapshot.objects.get().id
    assert sum(term.amount for term in priced.quote.terms) == priced.cost


@pytest.mark.parametrize("model", ["gpt-9", "GPT-4o-mini", "", "openai/gpt-4o-mini"])
def test_unknown_models_have_no_price(refreshed, model):
    refreshed(8, 19)
    assert pricing.price("openai", model, Tokens(1000, 200)) is None


def test_a_model_without_a_needed_price_has_none(refreshed):
    free = samples.changed("openai", samples.MINI, dollars_per_million_tokens_output=None)
    refreshed(8, 19, openai=free)
    assert pricing.price("openai", "gpt-4o-mini", Tokens(1000, 200)) is None
    assert pricing.price("openai", "gpt-4o-mini", Tokens(1000, 0)).cost == Decimal("0.00015")


def test_a_cost_can_be_recomputed_from_its_snapshot(refreshed):
    first = refreshed(8, 19)
    members = {"dollars_per_million_tokens_input": 0.1}
    second = refreshed(8, 20, openai=samples.changed("openai", samples.MINI, **members))
    call = "openai", "gpt-4o-mini", Tokens(1000, 200)
    assert pricing.price(*call) == pricing.price_at(second.id, *call)
    assert pricing.price_at(first.id, *call).cost == Decimal("0.00027")
    assert pricing.price_at(second.id, *call).cost == Decimal("0.00022")


def test_without_a_registry_there_are_no_prices(db_all):
    assert pricing.price("openai", "gpt-4o-mini", Tokens(1000, 200)) is None


def test_a_log_without_cost_is_priced(api, refreshed):
    """Contract, 5.1 and 5.2: the reference vector with 400 of 1000 tokens cached."""
    refreshed(8, 19)
    body = {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "input_tokens": 1000,
        "output_tokens": 200,
        "cached_input_tokens": 400,
    }
    reply = api.send("POST", "/api/v1/log", body)
    assert (reply["cost"], reply["cost_source"]) == (0.00024, "registry")


def test_a_log_is_taken_also_when_upstream_was_never_reached(api):
    body = {"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 1, "output_tokens": 1}
    reply = api.send("POST", "/api/v1/log", body)
    assert (reply["cost"], reply["cost_source"]) == (0, "unpriced")
