from decimal import Decimal

import pytest

from registry_proxy.prices import PriceEntry, PriceMissing, Term, Tokens, quote


def entry(**prices):
    """A model entry; `input=0.15` stands for the long name of the price."""
    members = {f"dollars_per_million_tokens_{name}": price for name, price in prices.items()}
    return PriceEntry.parse(members)


def tiered(**prices):
    return PriceEntry.parse(
        {
            "dollars_per_million_tokens_input": 3.0,
            "dollars_per_million_tokens_output": 15.0,
            "dollars_per_million_tokens_cache_read": 0.3,
            "dollars_per_million_tokens_input_long_context": 6.0,
            "dollars_per_million_tokens_output_long_context": 22.5,
            "long_context_threshold_tokens": 200_000,
            "supports_long_context_pricing": True,
            **prices,
        }
    )


MINI = {"input": 0.15, "output": 0.6}
SONNET = {"input": 3.0, "output": 15.0}


@pytest.mark.parametrize(
    "prices, tokens, total",
    [
        # The first two are the contract's reference vectors.
        (MINI, Tokens(1000, 200), "0.00027"),
        (MINI | {"cached_input": 0.075}, Tokens(1000, 200, 400), "0.00024"),
        (MINI, Tokens(0, 0), "0"),
        (MINI, Tokens(1000, 200, 400), "0.00027"),
        (MINI | {"cached_input": 0.075, "cache_read": 0.05}, Tokens(1000, 0, 400), "0.00011"),
        (MINI | {"cached_input": 0}, Tokens(1000, 0, 400), "0.00009"),
        (SONNET | {"cache_write_5m": 3.75}, Tokens(0, 0, cache_write_5m=1000), "0.00375"),
        (SONNET | {"cache_write_1h": 6.0}, Tokens(0, 0, cache_write_5m=1000), "0.006"),
        (SONNET | {"cached_input": 0.3}, Tokens(0, 0, cache_write_5m=1000), "0.0003"),
        (SONNET, Tokens(0, 0, cache_write_5m=1000), "0.003"),
        (SONNET | {"cache_write_1h": 6.0}, Tokens(0, 0, cache_write_1h=1000), "0.006"),
        (SONNET | {"cache_write_5m": 3.75}, Tokens(0, 0, cache_write_1h=1000), "0.00375"),
        (SONNET | {"cached_input": 0.3}, Tokens(0, 0, cache_write_1h=1000), "0.0003"),
        (SONNET, Tokens(0, 0, cache_write_1h=1000), "0.003"),
        (SONNET | {"cache_write_5m": 3.75}, Tokens(1000, 0, cache_write_5m=1000), "0.00675"),
        (SONNET | {"output_thinking": 20.0}, Tokens(0, 1000, thinking=400), "0.017"),
        (SONNET, Tokens(0, 1000, thinking=400), "0.015"),
        (MINI, Tokens(1, 1), "0.00000075"),
        (MINI, Tokens(9_223_372_036_854_775_807, 0), "1383505805528.21637105"),
        ({"input": 0.0000001, "output": 1.0}, Tokens(7, 0), "0.000000000001"),
    ],
    ids=[
        "plain",
        "cached at cached_input",
        "nothing used",
        "cached without a rate costs as input",
        "cache_read before cached_input",
        "a price of zero is a price",
        "5m write",
        "5m write at the 1h rate",
        "5m write at cached_input",
        "5m write at input",
        "1h write",
        "1h write at the 5m rate",
        "1h write at cached_input",
        "1h write at input",
        "writes stand beside the prompt",
        "thinking at its rate",
        "thinking at the output rate",
        "eight places",
        "largest count",
        "rounded to twelve places",
    ],
)
def test_quote_total(prices, tokens, total):
    assert quote(entry(**prices), tokens).total == Decimal(total)


@pytest.mark.parametrize(
    "tokens, total",
    [
        (Tokens(200_000, 0), "0.6"),
        (Tokens(250_000, 0), "0.9"),
        (Tokens(250_000, 1000), "0.915"),
        (Tokens(250_000, 0, 100_000), "0.63"),
        (Tokens(250_000, 0, 220_000), "0.246"),
        (Tokens(250_000, 0, 250_000), "0.075"),
    ],
    ids=[
        "at the threshold",
        "only the excess is dearer",
        "output stays at the output rate",
        "100k cached, 100k below, 50k above",
        "all that is uncached lies above",
        "all cached",
    ],
)
def test_long_context_prices_the_excess_of_the_prompt(tokens, total):
    """Our reading of the contract: the cached part of a prompt is its beginning."""
    assert quote(tiered(), tokens).total == Decimal(total)


@pytest.mark.parametrize(
    "change",
    [
        {"supports_long_context_pricing": False},
        {"supports_long_context_pricing": None},
        {"long_context_threshold_tokens": None},
        {"dollars_per_million_tokens_input_long_context": None},
    ],
)
def test_long_context_needs_the_flag_a_threshold_and_a_price(change):
    assert quote(tiered(**change), Tokens(250_000, 0)).total == Decimal("0.75")


@pytest.mark.parametrize(
    "tokens, total",
    [(Tokens(1000, 200, 5000), "0.000195"), (Tokens(1000, 200, thinking=900), "0.00027")],
    ids=["cached above input", "thinking above output"],
)
def test_a_part_never_counts_for_more_than_its_whole(tokens, total):
    assert quote(entry(**MINI, cached_input=0.075), tokens).total == Decimal(total)


def test_terms_name_what_was_billed_at_which_price():
    found = quote(entry(**MINI, cached_input=0.075), Tokens(1000, 200, 400))
    assert found.terms == (
        Term("input", 600, Decimal("0.15"), Decimal("0.00009")),
        Term("cache_read", 400, Decimal("0.075"), Decimal("0.00003")),
        Term("output", 200, Decimal("0.6"), Decimal("0.00012")),
    )
    assert found.total == sum(term.amount for term in found.terms)


def test_prices_are_taken_by_their_shortest_text():
    assert str(entry(input=0.15).input) == "0.15"


@pytest.mark.parametrize("price", [None, "0.15", True, -1, float("nan"), float("inf"), 1e300, []])
def test_what_is_no_price_counts_as_missing(price):
    with pytest.raises(PriceMissing, match="no price for input tokens"):
        quote(entry(input=price, output=0.6), Tokens(1, 1))


def test_missing_prices_matter_only_to_calls_that_need_them():
    assert quote(entry(input=0.15), Tokens(1000, 0)).total == Decimal("0.00015")
    with pytest.raises(PriceMissing):
        quote(entry(input=0.15), Tokens(1000, 1))


@pytest.mark.parametrize(
    "name", ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "thinking"]
)
def test_negative_counts_are_refused(name):
    with pytest.raises(ValueError, match="never negative"):
        Tokens(**({"input": 1, "output": 1} | {name: -1}))
