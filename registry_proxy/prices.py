"""The cost of a call: token counts and a registry entry in, exact dollars out.

Prices are US dollars per million tokens. Token classes are disjoint when they
are billed, so no token is paid for twice.
Source: docs/http-contract.md, section "Cost".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import NamedTuple

_PLACES = Decimal(1).scaleb(-12)
# Wide enough for any price times any 64-bit count, so that no product is rounded.
_EXACT = Context(prec=60)
# A dollar per token: a larger number is a mistake, not a price.
_MAX_PRICE = 1_000_000


class PriceMissing(Exception):
    """The registry entry has no price for a class of tokens that the call used."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token counts of one call.

    `input` is the whole prompt and contains `cache_read`; `output` is the whole
    completion and contains `thinking`. Cache writes stand beside `input`, because
    the client bills them without taking them out of the prompt.
    A part never counts for more than its whole: the surplus is dropped.
    """

    input: int
    output: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    thinking: int = 0

    def __post_init__(self) -> None:
        writes = min(self.cache_write_5m, self.cache_write_1h)
        if min(self.input, self.output, self.cache_read, self.thinking, writes) < 0:
            raise ValueError("token counts are never negative")


class Term(NamedTuple):
    """The part of a cost that comes from one class of tokens."""

    token_class: str
    tokens: int
    dollars_per_million: Decimal
    amount: Decimal


class Quote(NamedTuple):
    """A cost in US dollars and the terms that add up to it."""

    terms: tuple[Term, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """The prices of one model, fallbacks applied. None: the registry has no price."""

    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None
    cache_write_5m: Decimal | None
    cache_write_1h: Decimal | None
    thinking: Decimal | None
    input_long_context: Decimal | None
    long_context_threshold: int | None

    @classmethod
    def parse(cls, entry: Mapping) -> "PriceEntry":
        """Return the prices of a registry entry; an invalid price counts as missing."""

        def price(name: str) -> Decimal | None:
            return _price(entry.get(f"dollars_per_million_tokens_{name}"))

        plain, completion, cached = price("input"), price("output"), price("cached_input")
        write_5m, write_1h = price("cache_write_5m"), price("cache_write_1h")
        threshold = entry.get("long_context_threshold_tokens")
        tiered = entry.get("supports_long_context_pricing") is True and type(threshold) is int
        long_context = price("input_long_context") if tiered else None
        return cls(
            input=plain,
            output=completion,
            cache_read=_first(price("cache_read"), cached, plain),
            cache_write_5m=_first(write_5m, write_1h, cached, plain),
            cache_write_1h=_first(write_1h, write_5m, cached, plain),
            thinking=_first(price("output_thinking"), completion),
            input_long_context=long_context,
            long_context_threshold=None if long_context is None else max(threshold, 0),
        )


def quote(entry: PriceEntry, tokens: Tokens) -> Quote:
    """Return the exact cost of one call; the total is rounded only beyond twelve places.

    Raises PriceMissing if a class that has tokens has no price.
    """
    cached = min(tokens.cache_read, tokens.input)
    thinking = min(tokens.thinking, tokens.output)
    uncached = tokens.input - cached
    excess = _long_context_tokens(entry, tokens.input, uncached)
    terms = []
    total = Decimal(0)
    for token_class, count, price in (
        ("input", uncached - excess, entry.input),
        ("input_long_context", excess, entry.input_long_context),
        ("cache_read", cached, entry.cache_read),
        ("cache_write_5m", tokens.cache_write_5m, entry.cache_write_5m),
        ("cache_write_1h", tokens.cache_write_1h, entry.cache_write_1h),
        ("output", tokens.output - thinking, entry.output),
        ("thinking", thinking, entry.thinking),
    ):
        if not count:
            continue
        if price is None:
            raise PriceMissing(f"no price for {token_class} tokens")
        amount = _EXACT.scaleb(_EXACT.multiply(price, count), -6)
        terms.append(Term(token_class, count, price, amount))
        total = _EXACT.add(total, amount)
    if total.as_tuple().exponent < -12:
        total = total.quantize(_PLACES, context=_EXACT)
    return Quote(tuple(terms), total)


def _long_context_tokens(entry: PriceEntry, prompt: int, uncached: int) -> int:
    """Return how many uncached tokens are above the threshold.

    Caches hold the beginning of a prompt, so what exceeds the threshold is uncached
    first. Output has no such tier here although the registry lists one: the client
    prices only the excess of the prompt, and both sides must come to the same sum.
    """
    if entry.long_context_threshold is None:
        return 0
    return min(uncached, max(prompt - entry.long_context_threshold, 0))


def _price(value: object) -> Decimal | None:
    """Return a JSON number as Decimal through its shortest text: 0.15 is exactly 0.15."""
    if type(value) not in (int, float) or not 0 <= value <= _MAX_PRICE:
        return None
    return Decimal(str(value))


def _first(*prices: Decimal | None) -> Decimal | None:
    return next((price for price in prices if price is not None), None)
