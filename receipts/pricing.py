"""The amount that a receipt leaves to us, and the calculation beside one that it states."""

from decimal import Decimal
from functools import lru_cache

from django.apps import apps

from core.media import plain
from receipts import calculation
from registry_proxy import pricing
from registry_proxy.prices import Tokens

_PLACES = Decimal(1).scaleb(-12)


def load() -> None:
    """Have the registry's prices in memory: a transaction is no place to wait for them."""
    pricing.load()


def completed(cost: dict, given: dict) -> dict:
    """`cost` with both members: an amount that is missing comes from the registry's prices.

    `given` has the call's model, provider and tokens. Without a price the amount is
    "0", and the calculation says so.
    """
    model, provider = given["model"], given.get("provider") or ""
    name = f"{provider}:{model}" if provider and ":" not in model else model
    counted = given["tokens"]
    tokens = Tokens(counted["input"], counted["output"], counted.get("cached_input") or 0)
    priced = pricing.price(provider, model, tokens)
    calculated = None
    if priced:
        registry = registry_name(priced.snapshot_id)
        calculated = calculation.of_quote(priced.quote, model=name, registry=registry)
    if "amount" in cost:
        return {**cost, "calculation": calculation.stated(calculated)}
    return {
        "amount": plain(priced.cost) if priced else "0",
        "calculation": calculated or calculation.unpriced(name),
    }


def prompt_part(
    cost: Decimal, provider: str, model: str, prompt: int, completion: int, cached: int
) -> Decimal:
    """What of a call's cost its prompt makes, in the proportion of the registry's prices.

    The ledger has one cost a call. Without a price all of it is the
    completion's, as the older server split it.
    """
    priced = pricing.price(provider, model, Tokens(prompt, completion, min(cached, prompt)))
    if priced is None or not priced.cost:
        return Decimal(0)
    completed = sum(
        term.amount for term in priced.quote.terms if term.token_class in ("output", "thinking")
    )
    return (cost * (1 - completed / priced.cost)).quantize(_PLACES)


@lru_cache(maxsize=256)
def registry_name(snapshot_id: int) -> str:
    """A snapshot's own name and the digest of its content: `2026.08.18 sha256:9f86…`."""
    snapshot = apps.get_model("registry_proxy", "Snapshot").objects.get(pk=snapshot_id)
    return f"{snapshot.name} sha256:{snapshot.digest}"
