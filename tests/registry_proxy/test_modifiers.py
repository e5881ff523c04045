"""Service tiers and other modifiers, and units, by the published rules."""

from decimal import Decimal

import pytest

from registry_proxy import pricing
from registry_proxy.tokens import Tokens

pytestmark = pytest.mark.django_db(transaction=True)  # for `real`

CALL = "openai", "gpt-4o-mini", Tokens(input=1000, output=200)
PRIORITY = {"service_tier": "priority"}


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
    tokens = Tokens(1000, 1000, output=60, thinking=40)
    priced = pricing.price(provider, model, tokens, modifiers={"service_tier": tier})
    assert priced.cost == Decimal(cost)


@pytest.mark.parametrize(
    "model, dollars",
    [
        ("gpt-5.5", "12.5"),
        ("gpt-5.4", "5"),
        ("gpt-5.4-mini", "1.5"),
        ("gpt-5.2", "3.5"),
        ("gpt-5.1", "2.5"),
        ("gpt-5.1-codex", "2.5"),
        ("gpt-5", "2.5"),
        ("gpt-5-codex", "2.5"),
        ("gpt-5-mini", "0.45"),
        ("gpt-4.1", "3.5"),
    ],
)
def test_a_million_input_tokens_at_openais_priority(real, model, dollars):
    """What the page of the rules lists; a prompt of 272,000 tokens has such a price."""
    priced = pricing.price("openai", model, Tokens(272_000), modifiers=PRIORITY)
    assert priced.cost == Decimal(dollars) * Decimal("0.272")


@pytest.mark.parametrize("window, cost", [("2h", "0.002975"), ("8h", "0.00255")])
def test_a_later_completion_costs_less(real, window, cost):
    """70 and 60 % of the 4,250 millionths of a call without a window."""
    tokens, modifiers = Tokens(1000, 1000, output=100), {"completion_window": window}
    assert pricing.price("openai", "gpt-5.4", tokens, modifiers=modifiers).cost == Decimal(cost)


@pytest.mark.parametrize("tier", ["batch", "flex"])
def test_gemini_halves_text_and_leaves_cached_tokens_unpriced(real, tier):
    call, modifiers = ("google", "gemini-2.5-flash"), {"service_tier": tier}
    text = Tokens(1000, output=100, thinking=100)
    # 1,000 × 0.3 + 200 × 2.5 = 800 millionths, and their half
    assert pricing.price(*call, text, modifiers=modifiers).cost == Decimal("0.0004")
    priced = pricing.price(*call, Tokens(1000, 1), modifiers=modifiers)
    assert priced.unpriced_reason == "no price for cache_read of google:gemini-2.5-flash"


@pytest.mark.parametrize(
    "provider, model, tokens, modifiers",
    [
        ("openai", "gpt-4o", Tokens(1), PRIORITY),
        ("openai", "gpt-5.5", Tokens(272_001), PRIORITY),
        ("openai", "gpt-5.5", Tokens(1), {"service_tier": "scale"}),
        ("anthropic", "claude-opus-4-6", Tokens(1), {"speed": "fast"}),
        ("anthropic", "claude-opus-4-6", Tokens(1), {"region": "us"}),
        ("anthropic", "claude-opus-4-6", Tokens(1), {"service_tier": "batch", "speed": "fast"}),
        ("google", "gemini-2.5-flash", Tokens(1), PRIORITY),
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
