"""Prices by token class, and the exact cost of what is billed at them.

Prices are US dollars per million. Token classes are disjoint, so no token is
paid for twice, and a class without a price has none: it is never billed at the
price of another class, except where the provider publishes that rule.
Source: docs/http-contract.md, section "Cost".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import NamedTuple

from pydantic_core import PydanticKnownError

from core import schemas
from registry_proxy import published_rules

# Wide enough for any price times any 64-bit count, so that no product is rounded.
_EXACT = Context(prec=60)
# A dollar per token: a larger number is a mistake, not a price.
_MAX_PRICE = 1_000_000
PRICE_PREFIX = "dollars_per_million_tokens_"
_CACHE_CLASSES = ("cache_read", "cache_write_5m", "cache_write_1h", "cache_write")
# The class whose price a class without a price of its own has.
_COSTS_AS = {
    "cache_read": "input",
    # Five minutes are the lifetime of a write that does not state one.
    "cache_write": "cache_write_5m",
    "thinking": "output",
}

Prices = Mapping[str, Decimal]


class PriceMissing(Exception):
    """A used class or unit has no price; the message names it."""


class Term(NamedTuple):
    """The part of a cost that comes from one token class or unit."""

    token_class: str
    tokens: int | Decimal
    dollars_per_million: Decimal

    @property
    def amount(self) -> Decimal:
        """The exact part of the cost in US dollars."""
        return _EXACT.scaleb(_EXACT.multiply(self.dollars_per_million, self.tokens), -6)


class Quote(NamedTuple):
    """A cost in US dollars and the terms that add up to it."""

    terms: tuple[Term, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """The prices of one model. A class that is absent has no price."""

    standard: Prices
    long_context: Prices
    long_context_threshold: int | None = None

    @classmethod
    def parse(
        cls, entry: Mapping, *, provider: str = "", model: str = "", sibling: Mapping | None = None
    ) -> "ModelPrices":
        """Return the prices of a registry entry; an invalid price counts as missing.

        Prices that the entry lacks are those of `sibling`, the entry of the same
        model under its undated name. `model` is the undated name itself.
        """
        stated = _stated_prices(entry)
        if sibling:
            stated = _stated_prices(sibling) | stated
            if not _is_tiered(entry):
                entry = sibling
        standard = _standard(stated, provider, model)
        if _is_tiered(entry) and "input_long_context" in stated:
            threshold = max(entry["long_context_threshold_tokens"], 0)
            return cls(standard, _long_context(stated, standard, provider), threshold)
        if rule := published_rules.long_context_rule(provider, model):
            return cls(standard, rule.apply(standard), rule.threshold)
        return cls(standard, {})

    def for_prompt(self, prompt_tokens: int) -> Prices:
        """Return the prices of a request: above the threshold all of it costs the long price."""
        if self.long_context_threshold is None or prompt_tokens <= self.long_context_threshold:
            return self.standard
        return self.long_context


def quote(counts: Mapping[str, int | Decimal], prices: Prices) -> Quote:
    """Return the exact cost of these counts; the total is rounded only beyond twelve places.

    Raises PriceMissing if something that was used has no price.
    """
    terms = []
    millionths = Decimal(0)
    for name, count in counts.items():
        if not count:
            continue
        if name not in prices:
            raise PriceMissing(f"no price for {name}")
        terms.append(Term(name, count, prices[name]))
        millionths = _EXACT.fma(prices[name], count, millionths)
    total = schemas.twelve_places(_EXACT.scaleb(millionths, -6))
    return Quote(tuple(terms), total)


def parse_price(value: object) -> Decimal | None:
    """Return a price given as a JSON number or as numeric text; None for anything else.

    A number counts by its shortest text: 0.15 is exactly 0.15.
    """
    try:
        price = schemas.decimal(value)
    except PydanticKnownError:
        return None
    return price if 0 <= price <= _MAX_PRICE else None


def scaled(prices: Prices, factor: Decimal) -> dict[str, Decimal]:
    """Return the prices times a factor."""
    return {name: _EXACT.multiply(price, factor) for name, price in prices.items()}


def replaced(prices: Prices, own: Prices) -> dict[str, Decimal]:
    """Return the prices, overridden by `own`.

    A class without a price of its own in either follows its class in `_COSTS_AS`.
    """
    result = {**prices, **own}
    for name, leader in _COSTS_AS.items():
        is_priced = name in prices and prices[name] != prices.get(leader)
        if leader in own and name not in own and not is_priced:
            result[name] = own[leader]
    return result


def _stated_prices(entry: Mapping) -> dict[str, Decimal]:
    """Return the valid prices of an entry by their names without the common prefix."""
    by_name = {
        name.removeprefix(PRICE_PREFIX): parse_price(value)
        for name, value in entry.items()
        if name.startswith(PRICE_PREFIX)
    }
    return {name: price for name, price in by_name.items() if price is not None}


def _standard(stated: Mapping[str, Decimal], provider: str, model: str) -> dict[str, Decimal]:
    classes = {
        "input": ("input",),
        "cache_read": ("cache_read", "cached_input"),
        "cache_write_5m": ("cache_write_5m",),
        "cache_write_1h": ("cache_write_1h",),
        "cache_write": ("cache_write",),
        "output": ("output",),
        "thinking": ("output_thinking",),
    }
    own = {
        token_class: next(stated[name] for name in names if name in stated)
        for token_class, names in classes.items()
        if any(name in stated for name in names)
    }
    prices = replaced({}, own)
    rule = published_rules.cache_write_rule(provider, model)
    if rule and "input" in prices:
        prices.setdefault("cache_write", prices["input"] * rule.factor)
    return prices


def _is_tiered(entry: Mapping) -> bool:
    return (
        entry.get("supports_long_context_pricing") is True
        and type(entry.get("long_context_threshold_tokens")) is int
    )


def _long_context(stated: Mapping[str, Decimal], standard: Prices, provider: str) -> Prices:
    long_input = stated["input_long_context"]
    prices = {"input": long_input}
    if "output_long_context" in stated:
        prices["output"] = stated["output_long_context"]
        if standard.get("thinking") == standard.get("output"):
            prices["thinking"] = prices["output"]
    if provider in published_rules.CACHES_FOLLOW_LONG_INPUT and standard.get("input"):
        for name in _CACHE_CLASSES:
            if name in standard:
                product = _EXACT.multiply(standard[name], long_input)
                prices[name] = _EXACT.divide(product, standard["input"])
    return prices
