"""The operator's own prices in the cost of a call."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts import audit
from registry_proxy import custom_prices, pricing
from registry_proxy.models import CustomPrice
from registry_proxy.tokens import Tokens

pytestmark = pytest.mark.django_db(transaction=True)  # for `real`

CALL = "openai", "gpt-4o-mini", Tokens(input=1000, output=200)


def custom(provider, model, *, valid_from=datetime(2026, 1, 1, tzinfo=UTC), **members):
    prices = {name: str(value) for name, value in members.pop("prices", {}).items()}
    row = CustomPrice(
        provider=provider, model=model, prices=prices, valid_from=valid_from, **members
    )
    return custom_prices.save(row, origin=audit.of_command("setprice"))


def test_own_prices_replace_those_of_their_classes(real):
    row = custom("openai", "gpt-4o-mini", prices={"input": "0.1"})
    priced = pricing.price(*CALL)
    # 1,000 × 0.1 + 200 × 0.6
    assert priced.cost == Decimal("0.00022")
    assert (priced.custom_price_id, priced.snapshot_id) == (row.id, real.id)


def test_a_unit_costs_its_price_each(real):
    custom("openai", "gpt-4o-mini", prices={"web_searches": "0.01"})
    priced = pricing.price(*CALL, units={"web_searches": Decimal(3)})
    assert priced.cost == Decimal("0.03027")


def test_a_model_of_ones_own_needs_no_registry(db_all):
    row = custom("local", "llama-*", prices={"input": "0.05", "output": "0.1"})
    priced = pricing.price("Local", "Llama-3-70b", Tokens(input=1000, output=200))
    assert priced.cost == Decimal("0.00007")
    assert priced.priced_as == "Local:Llama-3-70b"
    assert (priced.custom_price_id, priced.snapshot_id) == (row.id, None)
    assert pricing.price("other", "llama-3", Tokens(1)).cost is None


@pytest.mark.parametrize(
    ("provider", "model", "cost"),
    [
        ("local", "Local:llama-3", "0.00001"),
        ("", "local:llama-3", "0.00001"),
        ("local", "local:", None),
        ("local", "mine:llama-3", None),
        ("mine", "local:llama-3", None),
    ],
)
def test_a_model_is_its_own_with_its_provider_in_front(db_all, provider, model, cost):
    custom("local", "llama-*", prices={"input": "10"})
    priced = pricing.price(provider, model, Tokens(1))
    assert priced.cost == (cost and Decimal(cost))


@pytest.mark.parametrize(
    ("pattern", "model", "is_its"),
    [
        ("gpt-*", "GPT-4o", True),
        ("*-mini", "gpt-4o-mini", True),
        ("g*4*i", "gpt-4o-mini", True),
        ("gpt*gpt", "gpt", False),
        ("a*b*b", "ab", False),
        ("**", "anything", True),
        ("gpt.4*", "gpt-4o", False),
        # Places for each part of it are not tried in all combinations.
        ("*a" * 100, "a" * 254 + "b", False),
    ],
)
def test_a_star_is_any_text(db_all, pattern, model, is_its):
    custom("openai", pattern, prices={"input": 1})
    assert (pricing.price("openai", model, Tokens(1)).cost is not None) is is_its


@pytest.mark.parametrize(
    ("closer", "wider"),
    [
        (("openai", "gpt-4o"), ("openai", "gpt-4o*")),
        (("openai", "gpt-4o"), ("openai", "*gpt-4o*")),
        (("openai", "m"), ("openai", "**")),
        (("openai", "gpt-4*"), ("openai", "*g*p*t*")),
        (("openai", "gpt-4o"), ("open*****", "gpt-4o")),
        (("*", "gpt-4o"), ("openai", "gpt-4*")),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_the_closer_name_wins(db_all, closer, wider, is_first):
    """A whole name wins over a pattern, however long the pattern is written."""
    named = [(closer, "1"), (wider, "2")]
    for (provider, model), amount in named if is_first else reversed(named):
        custom(provider, model, prices={"input": amount})
    model = closer[1] if "*" not in closer[1] else "gpt-4o"
    assert pricing.price("openai", model, Tokens(input=1_000_000)).cost == 1


def test_a_deployment_is_priced_as_a_model(real):
    custom("azure", "my-deployment", priced_as="openai:gpt-4o-mini", factor=Decimal("1.1"))
    priced = pricing.price("azure", "my-deployment", CALL[2])
    assert priced.cost == Decimal("0.000297")
    assert priced.priced_as == "openai:gpt-4o-mini"
    custom("azure", "lost", priced_as="openai:gpt-9")
    assert pricing.price("azure", "lost", Tokens(1)).cost is None


def test_a_factor_does_not_change_own_amounts(real):
    custom("openai", "gpt-4o-mini", factor=Decimal("0.5"), prices={"output": "1"})
    assert pricing.price(*CALL).cost == Decimal("0.000275")


@pytest.mark.parametrize(
    ("prices", "tokens", "cost"),
    [
        # 1,000 × 2 + 100 × 10
        ({"input": 2, "output": 10}, Tokens(cache_read=1000, thinking=100), "0.003"),
        ({"cache_write_5m": 3}, Tokens(cache_write=1000), "0.003"),
        ({"cache_write_5m": 3, "cache_write": 4}, Tokens(cache_write=1000), "0.004"),
        ({"input": 2, "output": 10}, Tokens(cache_write=1000), None),
        ({"input": 2, "output": 10}, Tokens(audio_output=1000), None),
    ],
)
def test_only_some_classes_cost_as_others_do(db_all, prices, tokens, cost):
    custom("local", "llama", prices=prices)
    assert pricing.price("local", "llama", tokens).cost == (cost and Decimal(cost))


def test_thinking_costs_what_the_output_of_a_modifier_does(real):
    custom("openai", "gpt-4o-mini", prices={"output": 1})
    custom("openai", "gpt-4o-mini", modifier="speed=fast", prices={"output": 2})
    call = "openai", "gpt-4o-mini", Tokens(output=100, thinking=300)
    assert pricing.price(*call).cost == Decimal("0.0004")
    assert pricing.price(*call, modifiers=FAST).cost == Decimal("0.0008")


def test_a_modifier_can_have_an_own_price(real):
    custom("anthropic", "claude-opus-*", modifier="speed=fast", factor=Decimal(6))
    call = "anthropic", "claude-opus-4-6", Tokens(input=1000, output=100)
    assert pricing.price(*call).cost == Decimal("0.0075")
    assert pricing.price(*call, modifiers={"speed": "fast"}).cost == Decimal("0.045")
    fast_batch = {"speed": "fast", "service_tier": "batch"}
    assert pricing.price(*call, modifiers=fast_batch).cost == Decimal("0.0225")


FAST = {"speed": "fast"}


def test_a_modifiers_price_needs_neither_the_registry_nor_a_price_without_it(db_all):
    row = custom("openai", "mine", modifier="speed=fast", prices={"input": 3, "output": 4})
    call = "openai", "mine", CALL[2]
    priced = pricing.price(*call, modifiers=FAST)
    # 1,000 × 3 + 200 × 4
    assert (priced.cost, priced.custom_price_id) == (Decimal("0.0038"), row.id)
    assert pricing.price(*call).unpriced_reason == "no prices for openai:mine"
    other = pricing.price(*call, modifiers={"speed": "fast", "region": "eu"})
    assert other.unpriced_reason == "no price for region eu of openai:mine"


def test_a_modifiers_price_in_any_letter_case(db_all):
    """Terms of calls are stored in small letters."""
    names = {"provider": "openai", "model": "mine"}
    first = custom(**names, modifier="service_tier=Scale", prices={"input": 3, "output": 4})
    call = {"tokens": CALL[2], "modifiers": {"service_tier": "scale"}}
    assert pricing.price(**names, **call).cost == Decimal("0.0038")

    amounts = {"prices": {"input": "1", "output": "2"}}
    second = CustomPrice(**names, modifier="service_tier=scale", **amounts)
    custom_prices.save(second, origin=audit.of_command("setprice"), replace=True)
    first.refresh_from_db()
    assert first.valid_to == second.valid_from
    # 1,000 × 1 + 200 × 2
    assert pricing.price(**names, **call).cost == Decimal("0.0014")


def test_calls_with_a_modifier_can_be_priced_as_another_model(real):
    custom("openai", "mine", modifier="speed=fast", priced_as="openai:gpt-4o-mini")
    priced = pricing.price("openai", "mine", CALL[2], modifiers=FAST)
    # 1,000 × 0.15 + 200 × 0.6
    assert (priced.cost, priced.priced_as) == (Decimal("0.00027"), "openai:gpt-4o-mini")
    # A published rule of that model: half for batches.
    batch = pricing.price("openai", "mine", CALL[2], modifiers=FAST | {"service_tier": "batch"})
    assert batch.cost == Decimal("0.000135")
    custom("openai", "lost", modifier="speed=fast", priced_as="openai:gpt-9")
    assert pricing.price("openai", "lost", Tokens(1), modifiers=FAST).cost is None


def test_the_model_of_a_modifiers_price_wins_over_that_of_the_price_without_it(real):
    base = {"priced_as": "openai:gpt-4o", "prices": {"output": 1}, "factor": Decimal(2)}
    custom("openai", "mine", **base)
    custom("openai", "mine", modifier="speed=fast", priced_as="openai:gpt-4o-mini")
    # 1,000 × 2.5 × 2 + 200 × 1
    assert pricing.price("openai", "mine", CALL[2]).cost == Decimal("0.0052")
    assert pricing.price("openai", "mine", CALL[2], modifiers=FAST).cost == Decimal("0.00027")


def test_own_prices_hold_from_and_to(real):
    change = datetime(2026, 6, 1, tzinfo=UTC)
    call = "openai", "gpt-4o-mini", Tokens(input=1_000_000)
    custom("openai", "gpt-4o-mini", prices={"input": "1"}, valid_to=change)
    assert pricing.price(*call, at=change).cost == Decimal("0.15")
    custom("openai", "gpt-4o-mini", prices={"input": "2"}, valid_from=change)
    before = change - timedelta(microseconds=1)
    costs = [pricing.price(*call, at=at).cost for at in (before, change)]
    assert costs == [1, 2]
    assert pricing.price(*call, at=datetime(2025, 1, 1, tzinfo=UTC)).cost == Decimal("0.15")


def test_a_projects_price_wins_over_a_global_one_and_the_longer_pattern_over_the_shorter(
    real, project, other_project
):
    custom("*", "*", prices={"input": "1"})
    custom("openai", "gpt-4o*", prices={"input": "2"})
    custom("openai", "*", project_id=project.id, prices={"input": "3"})
    call = "openai", "gpt-4o-mini", Tokens(input=1_000_000)
    assert pricing.price(*call, project_id=project.id).cost == 3
    assert pricing.price(*call, project_id=other_project.id).cost == 2
    assert pricing.price("openai", "gpt-4.1", Tokens(input=1_000_000)).cost == 1


def test_a_tier_changes_the_price_of_tokens_and_not_that_of_searches(real):
    custom("openai", "gpt-4o-mini", prices={"web_searches": "0.01"})
    flex = {"service_tier": "flex"}
    priced = pricing.price(*CALL, units={"web_searches": Decimal(3)}, modifiers=flex)
    # (1000 * 0.15 + 200 * 0.60, per million) / 2, and three searches at a cent
    assert priced.cost == Decimal("0.030135")
