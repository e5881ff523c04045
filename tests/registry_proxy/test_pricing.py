"""What calls cost: names, times, long prompts, modifiers and the operator's prices together."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from registry_proxy import custom_prices, pricing
from registry_proxy.models import CustomPrice, Snapshot
from registry_proxy.tokens import Tokens
from tests.registry_proxy import samples

PRICE = "dollars_per_million_tokens_input"
CALL = "openai", "gpt-4o-mini", Tokens(input=1000, output=200)


@pytest.fixture
def real(refreshed):
    """The registry that ships with the server, as of 19 August 2026."""
    return refreshed(8, 19, **samples.real_files())


def custom(provider, model, *, valid_from=datetime(2026, 1, 1, tzinfo=UTC), **members):
    prices = {name: str(value) for name, value in members.pop("prices", {}).items()}
    return custom_prices.save(
        CustomPrice(provider=provider, model=model, prices=prices, valid_from=valid_from, **members)
    )


@pytest.mark.parametrize(
    "provider, model, tokens, cost",
    [
        ("openai", "gpt-4o-mini", Tokens(input=600, cache_read=400, output=200), "0.00024"),
        # 600 × 15 + 400 × 1.5 + 200 × 75, per million
        ("anthropic", "claude-opus-4-1", Tokens(600, 400, output=200), "0.0246"),
        ("anthropic", "claude-haiku-4-5", Tokens(input=9, cache_write=17102), "0.0213865"),
        ("openai", "gpt-5-mini-2025-08-07", Tokens(1000, 9000, output=100), "0.000675"),
        ("openai", "gpt-5.6-sol", Tokens(1000, 1000, cache_write=3000, output=100), "0.02725"),
        ("google", "gemini-3.1-pro-preview", Tokens(input=300_000, output=1000), "1.218"),
        # 199,999 × 2 + 1,000 × 12; 200,000 × 2 + …; 200,001 × 4 + 1,000 × 18
        ("google", "gemini-3.1-pro-preview", Tokens(input=199_999, output=1000), "0.411998"),
        ("google", "gemini-3.1-pro-preview", Tokens(input=200_000, output=1000), "0.412"),
        ("google", "gemini-3.1-pro-preview", Tokens(input=200_001, output=1000), "0.818004"),
        # 272,001 × 10 + 1,000 × 45
        ("openai", "gpt-5.6-sol", Tokens(input=272_001, output=1000), "2.76501"),
        # gateway case A07
        (
            "anthropic",
            "claude-sonnet-4-5",
            Tokens(27, 4000, 1200, 800, output=60, thinking=150),
            "0.013731",
        ),
        # gateway case A09
        ("google", "gemini-2.5-flash", Tokens(500, 1000, output=95, thinking=410), "0.0014425"),
        ("openai", "text-embedding-3-small", Tokens(input=9), "0.00000018"),
    ],
)
def test_cost_of_known_models(real, provider, model, tokens, cost):
    priced = pricing.price(provider, model, tokens)
    assert priced.cost == Decimal(cost)
    assert priced.snapshot_id == real.id
    assert priced.unpriced_reason is None
    assert sum(term.amount for term in priced.quote.terms) == priced.cost


def test_result_says_what_the_call_was_priced_as(real):
    priced = pricing.price("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", Tokens(1))
    assert priced.priced_as == "anthropic:claude-haiku-4-5-20251001"


@pytest.mark.parametrize(
    "provider, model, tokens, reason",
    [
        ("openai", "gpt-9", Tokens(1), "no prices for openai:gpt-9"),
        (
            "openai",
            "ft:gpt-4o-mini:acme::x",
            Tokens(1),
            "no prices for openai:ft:gpt-4o-mini:acme::x",
        ),
        (
            "openai",
            "gpt-5.5",
            Tokens(cache_write=1),
            "no price for cache_write of openai:gpt-5.5",
        ),
        (
            "openai",
            "gpt-audio",
            Tokens(1, audio_input=1),
            "no price for audio_input of openai:gpt-audio",
        ),
        (
            "google",
            "gemini-2.5-flash-image-preview",
            Tokens(50, image_output=4160),
            "no price for image_output of google:gemini-2.5-flash-image-preview",
        ),
    ],
)
def test_unpriced_calls_say_why(real, provider, model, tokens, reason):
    priced = pricing.price(provider, model, tokens)
    assert (priced.cost, priced.quote, priced.unpriced_reason) == (None, None, reason)


def test_without_a_registry_there_are_no_prices(db_all):
    priced = pricing.price(*CALL)
    assert (priced.cost, priced.snapshot_id) == (None, None)


# --- Time -------------------------------------------------------------------


@pytest.fixture
def three_prices(refreshed):
    """Snapshots of 19, 20 and 21 August at noon; input of gpt-4o-mini at 0.15, 0.1 and 0.05."""
    first = refreshed(8, 19)
    others = [
        refreshed(8, day, openai=samples.changed("openai", samples.MINI, **{PRICE: price}))
        for day, price in ((20, 0.1), (21, 0.05))
    ]
    return [first, *others]


@pytest.mark.parametrize(
    "at, position, cost",
    [
        (datetime(2026, 8, 19, 12, tzinfo=UTC), 0, "0.00027"),
        (datetime(2026, 8, 20, 11, 59, 59, tzinfo=UTC), 0, "0.00027"),
        (datetime(2026, 8, 20, 12, tzinfo=UTC), 1, "0.00022"),
        (datetime(2026, 8, 21, 12, tzinfo=UTC), 2, "0.00017"),
        (datetime(2030, 1, 1, tzinfo=UTC), 2, "0.00017"),
        (datetime(2020, 1, 1, tzinfo=UTC), 0, "0.00027"),
        (None, 2, "0.00017"),
    ],
    ids=["then", "before a change", "at a change", "newest", "future", "before the oldest", "now"],
)
def test_a_call_costs_what_this_server_held_when_it_was_made(three_prices, at, position, cost):
    priced = pricing.price(*CALL, at=at)
    assert (priced.cost, priced.snapshot_id) == (Decimal(cost), three_prices[position].id)


def test_a_cost_can_be_recomputed_from_its_snapshot(three_prices):
    costs = [pricing.price(*CALL, snapshot_id=each.id).cost for each in three_prices]
    assert costs == [Decimal("0.00027"), Decimal("0.00022"), Decimal("0.00017")]
    with pytest.raises(Snapshot.DoesNotExist):
        pricing.price(*CALL, snapshot_id=99)


def test_prices_in_memory_take_no_query(three_prices, django_assert_num_queries):
    at = datetime(2026, 8, 19, 13, tzinfo=UTC)
    pricing.price(*CALL, at=at)
    with django_assert_num_queries(0):
        pricing.price(*CALL, at=at)
        pricing.price("OpenAI", "models/GPT-4O-mini", Tokens(1))


# --- Modifiers --------------------------------------------------------------


@pytest.mark.parametrize(
    "provider, model, tier, cost",
    [
        # 1,000 × 2.5 + 1,000 × 0.25 + 100 × 15 = 4,250 millionths, and its half
        ("openai", "gpt-5.4", "flex", "0.002125"),
        ("openai", "gpt-5.4", "batch", "0.002125"),
        ("openai", "gpt-5.4", "priority", "0.0085"),
        # 1,000 × 0.45 + 1,000 × 0.045 + 100 × 3.6
        ("openai", "gpt-5-mini-2025-08-07", "priority", "0.000855"),
        # 1,000 × 0.5 + 1,000 × 0.05 + 100 × 2.5
        ("anthropic", "claude-haiku-4-5", "batch", "0.0008"),
    ],
)
def test_published_modifiers(real, provider, model, tier, cost):
    tokens = Tokens(1000, 1000, output=100)
    priced = pricing.price(provider, model, tokens, modifiers={"service_tier": tier})
    assert priced.cost == Decimal(cost)


def test_gemini_batches_halve_text_and_leave_cached_tokens_unpriced(real):
    call = "google", "gemini-2.5-flash"
    batch = {"service_tier": "batch"}
    assert pricing.price(*call, Tokens(1000), modifiers=batch).cost == Decimal("0.00015")
    priced = pricing.price(*call, Tokens(1000, 1), modifiers=batch)
    assert priced.unpriced_reason == "no price for cache_read of google:gemini-2.5-flash"


@pytest.mark.parametrize(
    "provider, model, tokens, modifiers",
    [
        ("openai", "gpt-4o", Tokens(1), {"service_tier": "priority"}),
        ("openai", "gpt-5.5", Tokens(300_000), {"service_tier": "priority"}),
        ("openai", "gpt-5.5", Tokens(1), {"service_tier": "scale"}),
        ("anthropic", "claude-opus-4-6", Tokens(1), {"speed": "fast"}),
        ("anthropic", "claude-opus-4-6", Tokens(1), {"region": "us"}),
        ("anthropic", "claude-opus-4-6", Tokens(1), {"service_tier": "batch", "speed": "fast"}),
        ("google", "gemini-2.5-flash", Tokens(1), {"service_tier": "priority"}),
        ("anthropic", "claude-opus-4-6", Tokens(1), {"other_model": "claude-haiku-4-5"}),
    ],
)
def test_a_modifier_without_a_price_is_never_silently_standard(
    real, provider, model, tokens, modifiers
):
    priced = pricing.price(provider, model, tokens, modifiers=modifiers)
    assert priced.cost is None
    assert priced.unpriced_reason.startswith("no price for ")


def test_a_unit_without_a_price_makes_the_call_unpriced(real):
    priced = pricing.price(*CALL, units={"web_searches": Decimal(2)})
    assert priced.unpriced_reason == "no price for web_searches of openai:gpt-4o-mini"


# --- The operator's prices --------------------------------------------------


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


def test_a_modifier_can_have_an_own_price(real):
    custom("anthropic", "claude-opus-*", modifier="speed=fast", factor=Decimal(6))
    call = "anthropic", "claude-opus-4-6", Tokens(input=1000, output=100)
    assert pricing.price(*call).cost == Decimal("0.0075")
    assert pricing.price(*call, modifiers={"speed": "fast"}).cost == Decimal("0.045")
    fast_batch = {"speed": "fast", "service_tier": "batch"}
    assert pricing.price(*call, modifiers=fast_batch).cost == Decimal("0.0225")


def test_own_prices_hold_from_and_to(real):
    change = datetime(2026, 6, 1, tzinfo=UTC)
    custom("openai", "gpt-4o-mini", prices={"input": "1"}, valid_to=change)
    custom("openai", "gpt-4o-mini", prices={"input": "2"}, valid_from=change)
    call = "openai", "gpt-4o-mini", Tokens(input=1_000_000)
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
