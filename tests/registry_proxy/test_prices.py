from decimal import Decimal

import pytest

from registry_proxy.prices import ModelPrices, PriceMissing, Term, parse_price, quote


def stated(**prices):
    """The members of a registry entry; `input=0.15` stands for the long name of the price."""
    return {f"dollars_per_million_tokens_{name}": price for name, price in prices.items()}


def total(prices: ModelPrices, **counts) -> Decimal:
    prompt = sum(
        count for name, count in counts.items() if name == "input" or name.startswith("cache")
    )
    return quote(counts, prices.for_prompt(prompt)).total


MINI = {"input": 0.15, "output": 0.6}
SONNET = {"input": 3.0, "output": 15.0}


@pytest.mark.parametrize(
    "prices, counts, expected",
    [
        # The first two are the contract's reference vectors.
        (MINI, {"input": 1000, "output": 200}, "0.00027"),
        (
            MINI | {"cached_input": 0.075},
            {"input": 600, "cache_read": 400, "output": 200},
            "0.00024",
        ),
        (MINI, {}, "0"),
        (MINI, {"input": 600, "cache_read": 400, "output": 200}, "0.00027"),
        (MINI | {"cached_input": 0.075, "cache_read": 0.05}, {"cache_read": 400}, "0.00002"),
        (MINI | {"cached_input": 0}, {"input": 600, "cache_read": 400}, "0.00009"),
        (SONNET | {"cache_write_5m": 3.75}, {"cache_write_5m": 1000}, "0.00375"),
        (SONNET | {"cache_write_1h": 6.0}, {"cache_write_1h": 1000}, "0.006"),
        (SONNET | {"cache_write_5m": 3.75}, {"cache_write": 1000}, "0.00375"),
        (SONNET | {"output_thinking": 20.0}, {"output": 600, "thinking": 400}, "0.017"),
        (SONNET, {"output": 600, "thinking": 400}, "0.015"),
        (MINI, {"input": 1, "output": 1}, "0.00000075"),
        (MINI, {"input": 9_223_372_036_854_775_807}, "1383505805528.21637105"),
        ({"input": 0.0000001}, {"input": 7}, "0.000000000001"),
        ({"input": "0.15", "output": "6e-1"}, {"input": 1000, "output": 200}, "0.00027"),
    ],
    ids=[
        "plain",
        "cached at cached_input",
        "nothing used",
        "cached without a rate costs as input",
        "cache_read before cached_input",
        "a price of zero is a price",
        "5m write",
        "1h write",
        "a write of unstated lifetime is one of five minutes",
        "thinking at its rate",
        "thinking at the output rate",
        "eight places",
        "largest count",
        "rounded to twelve places",
        "prices as text",
    ],
)
def test_cost_by_class(prices, counts, expected):
    assert total(ModelPrices.parse(stated(**prices)), **counts) == Decimal(expected)


@pytest.mark.parametrize(
    "prices, token_class",
    [
        (SONNET | {"cached_input": 0.3}, "cache_write_5m"),
        (SONNET | {"cache_write_5m": 3.75}, "cache_write_1h"),
        (SONNET | {"cache_write_1h": 6.0}, "cache_write_5m"),
        (SONNET | {"cache_write_1h": 6.0}, "cache_write"),
        (SONNET, "audio_input"),
        (SONNET, "image_output"),
        ({"input": 3.0}, "thinking"),
    ],
)
def test_a_class_without_a_price_is_never_billed_at_a_neighbors(prices, token_class):
    with pytest.raises(PriceMissing, match=f"no price for {token_class}"):
        total(ModelPrices.parse(stated(**prices)), **{token_class: 1})


def test_missing_prices_matter_only_to_calls_that_need_them():
    prices = ModelPrices.parse(stated(input=0.15))
    assert total(prices, input=1000, output=0) == Decimal("0.00015")


def tiered(**changed):
    prices = SONNET | {
        "cache_read": 0.3,
        "cache_write_5m": 3.75,
        "input_long_context": 6.0,
        "output_long_context": 22.5,
    }
    entry = {
        **stated(**prices),
        "long_context_threshold_tokens": 200_000,
        "supports_long_context_pricing": True,
        **changed,
    }
    return ModelPrices.parse(entry, provider="anthropic", model="claude-sonnet-4-5")


@pytest.mark.parametrize(
    "counts, expected",
    [
        ({"input": 199_999, "output": 1000}, "0.614997"),
        ({"input": 200_000, "output": 1000}, "0.615"),
        ({"input": 200_001, "output": 1000}, "1.222506"),
        ({"input": 250_000, "thinking": 1000}, "1.5225"),
        ({"input": 50_000, "cache_read": 200_000}, "0.42"),
        ({"input": 100_000, "cache_write_5m": 150_000}, "1.725"),
    ],
    ids=[
        "below the threshold",
        "at the threshold",
        "above it the whole request is dearer, output included",
        "thinking is output",
        "cached tokens count, and rise with the input price",
        "written tokens too",
    ],
)
def test_long_context_is_the_price_of_the_whole_request(counts, expected):
    """Anthropic: requests over 200K tokens, caches included, cost premium rates for all tokens;
    the multipliers of caches apply on top."""
    assert total(tiered(), **counts) == Decimal(expected)


def test_output_without_a_long_price_is_unpriced_above_the_threshold():
    prices = tiered(dollars_per_million_tokens_output_long_context=None)
    assert total(prices, input=200_000, output=1) == Decimal("0.600015")
    with pytest.raises(PriceMissing, match="output"):
        total(prices, input=200_001, output=1)


@pytest.mark.parametrize(
    "changed",
    [
        {"supports_long_context_pricing": False},
        {"supports_long_context_pricing": None},
        {"long_context_threshold_tokens": None},
        {"dollars_per_million_tokens_input_long_context": None},
    ],
)
def test_long_context_needs_the_flag_a_threshold_and_a_price(changed):
    assert total(tiered(**changed), input=250_000) == Decimal("0.75")


def test_terms_name_what_was_billed_at_which_price():
    prices = ModelPrices.parse(stated(**MINI, cached_input=0.075))
    result = quote({"input": 600, "cache_read": 400, "output": 200}, prices.standard)
    assert result.terms == (
        Term("input", 600, Decimal("0.15")),
        Term("cache_read", 400, Decimal("0.075")),
        Term("output", 200, Decimal("0.6")),
    )
    amounts = [term.amount for term in result.terms]
    assert amounts == [Decimal("0.00009"), Decimal("0.00003"), Decimal("0.00012")]
    assert result.total == sum(term.amount for term in result.terms)


@pytest.mark.parametrize(
    "value",
    [None, "free", "1_5", "１", True, -1, "-1", "nan", float("nan"), float("inf"), 1e300, []],
)
def test_an_invalid_price_counts_as_missing(value):
    assert parse_price(value) is None
    with pytest.raises(PriceMissing, match="no price for input"):
        total(ModelPrices.parse(stated(input=value, output=0.6)), input=1)


def test_a_price_is_taken_by_its_shortest_text():
    assert str(parse_price(0.15)) == "0.15"
