"""Amounts by the registry's prices, and the text that shows how each was calculated.

    input 1000 * 0.15 + output 300 * 0.6 = 330 per 1000000 = 0.00033 USD;
    openai:gpt-4o-mini in registry 2026.08.18 sha256:9f86…

Counts of tokens times US dollars per million tokens; the registry is named by
its snapshot and the digest of its content, so that anybody can recompute it.
Source: docs/receipt-format.md, "The calculation".
"""

from decimal import Context, Decimal
from functools import lru_cache
from uuid import UUID

from core.json_writer import plain
from core.schemas import twelve_places
from receipts.amounts import parse_time
from receipts.draft_schemas import NestedDraft
from registry_proxy import pricing
from registry_proxy.models import Snapshot
from registry_proxy.prices import Quote
from usage import costing
from usage.reports.reported_usage import Usage, UsageStatus

_EXACT = Context(prec=80)
_STATED = "stated by the caller"
_WITHOUT_COUNTS = {
    UsageStatus.FAILED: "failed: nothing was billed",
    UsageStatus.UNKNOWN: f"unpriced: {costing.UNKNOWN_USAGE}",
}
_OUTPUT_CLASSES = ("output", "thinking", "audio_output", "image_output")


def complete_cost(draft: NestedDraft, project_id: UUID) -> dict:
    """Return both members of the draft's cost, a missing amount by the prices of its time.

    Without a price the amount is "0", and the calculation gives the reason. So it is for
    calls that failed or whose usage is unknown: they have no counts to price.
    """
    stated = draft.stated_cost
    if stated.is_complete:
        return {"amount": stated.amount, "calculation": stated.calculation}
    if draft.used.status in _WITHOUT_COUNTS:
        amount = "0" if stated.amount is None else stated.amount
        return {"amount": amount, "calculation": _WITHOUT_COUNTS[draft.used.status]}
    provider, model = draft.provider or "", draft.model
    at = parse_time(draft.timestamp) if draft.timestamp else None
    priced = costing.price_of(provider, model, draft.used, project_id=project_id, at=at)
    calculation = None
    if priced.quote:
        name = f"{provider}:{model}" if provider and ":" not in model else model
        calculation = _calculation(priced.quote, name, _source(priced))
    if stated.amount is not None:
        by_registry = f"{_STATED}; by the registry: {calculation}" if calculation else _STATED
        return {"amount": stated.amount, "calculation": by_registry}
    if priced.cost is None:
        return {"amount": "0", "calculation": f"unpriced: {priced.unpriced_reason}"}
    return {"amount": plain(priced.cost), "calculation": calculation}


def _calculation(quote: Quote, model: str, source: str) -> str:
    terms = " + ".join(
        f"{term.token_class} {term.tokens} * {plain(term.dollars_per_million)}"
        for term in quote.terms
    )
    millionths = Decimal(0)
    for term in quote.terms:
        millionths = _EXACT.fma(term.dollars_per_million, term.tokens, millionths)
    rounded = "" if _EXACT.scaleb(millionths, -6) == quote.total else " rounded to 12 places"
    return (
        f"{terms or 'no tokens'} = {plain(millionths)} per 1000000 "
        f"= {plain(quote.total)} USD{rounded}; {model} in {source}"
    )


def _source(priced: pricing.Pricing) -> str:
    """Return the source of the prices: a registry snapshot, the operator's price, or both."""
    sources = []
    if priced.snapshot_id is not None:
        sources.append(f"registry {_registry_name(priced.snapshot_id)}")
    if priced.custom_price_id is not None:
        sources.append(f"custom price {priced.custom_price_id}")
    return " and ".join(sources)


@lru_cache(maxsize=256)
def _registry_name(snapshot_id: int) -> str:
    """Return a snapshot's own name and the digest of its content: `2026.08.18 sha256:9f86…`."""
    snapshot = Snapshot.objects.get(pk=snapshot_id)
    return f"{snapshot.name} sha256:{snapshot.digest}"


def input_cost(cost: Decimal, provider: str, model: str, usage: Usage) -> Decimal:
    """Return the part of a call's cost that its input made, in proportion of the prices.

    The ledger has one cost per call. Without a price all of it is the output's,
    as the older server split it.
    """
    priced = costing.price_of(provider, model, usage)
    if not priced.cost:
        return Decimal(0)
    output = sum(term.amount for term in priced.quote.terms if term.token_class in _OUTPUT_CLASSES)
    # The price is rounded, so that of a few tokens the output alone may be more.
    return twelve_places(cost * max(1 - output / priced.cost, Decimal(0)))
