"""The cost of calls by the registry: names, classes, long prompts, and reasons for none."""

from decimal import Decimal

import pytest

from registry_proxy import pricing
from registry_proxy.tokens import Tokens

pytestmark = pytest.mark.django_db(transaction=True)  # for `real`

CALL = "openai", "gpt-4o-mini", Tokens(input=1000, output=200)


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
        # 150,000 × 2.5 + 100,000 × 0.25 + 1,000 × 15
        ("google", "gemini-2.5-pro", Tokens(150_000, 100_000, output=1000), "0.415"),
        # 272,001 × 10 + 1,000 × 45, and with one token from the cache
        ("openai", "gpt-5.6-sol", Tokens(input=272_001, output=400, thinking=600), "2.76501"),
        ("openai", "gpt-5.5", Tokens(272_000, 1, output=1000), "2.765001"),
        # 272,001 × 5 + 1,000 × 22.5; 272,001 × 60 + 1,000 × 270
        ("openai", "gpt-5.4", Tokens(input=272_001, output=1000), "1.382505"),
        ("openai", "gpt-5.4-pro", Tokens(input=272_001, output=1000), "16.59006"),
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
        ("", "gpt-9", Tokens(1), "no prices for gpt-9"),  # a draft of a receipt names no provider
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
