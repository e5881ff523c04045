"""What a log costs: what its caller states, else what the registry's prices come to.

Source: docs/http-contract.md, section "Cost".
"""

from decimal import Decimal
from typing import NamedTuple

from registry_proxy import pricing
from registry_proxy.tokens import Tokens
from usage.models import CostSource
from usage.schemas import METADATA_CLASSES, LogEntry


class Cost(NamedTuple):
    """US dollars, None when no price is known; and where the figure comes from."""

    amount: Decimal | None
    source: str
    snapshot_id: int | None = None


def cost_of_entry(entry: LogEntry) -> Cost:
    """Return the cost of a log; of one that was exported, what it cost."""
    match entry.cost_source:
        case CostSource.UNPRICED:
            return Cost(None, CostSource.UNPRICED.value)
        case CostSource.REGISTRY if entry.cost is not None:
            return Cost(entry.cost, CostSource.REGISTRY.value)
    return cost_of(entry.provider, entry.model, tokens_of(entry), stated=entry.cost)


def is_immediate(entry: LogEntry) -> bool:
    """Return whether the cost of a log is known without a query or a wait for upstream."""
    return entry.cost is not None or pricing.is_loaded()


def cost_of(provider: str, model: str, tokens: Tokens, *, stated: Decimal | None) -> Cost:
    """Return the cost of a call. `stated` is the caller's figure, which wins."""
    if stated is not None:
        return Cost(stated, CostSource.CALLER.value)
    priced = pricing.price(provider, model, tokens)
    if priced.cost is None:
        return Cost(None, CostSource.UNPRICED.value)
    return Cost(priced.cost, CostSource.REGISTRY.value, priced.snapshot_id)


def tokens_of(entry: LogEntry) -> Tokens:
    """Return the entry's tokens by the classes that are billed apart."""
    finer: dict[str, int] = {}
    for name in METADATA_CLASSES.keys() & entry.metadata.keys():
        token_class = METADATA_CLASSES[name]
        finer[token_class] = finer.get(token_class, 0) + (entry.metadata[name] or 0)
    return Tokens.from_totals(
        entry.input_tokens, entry.output_tokens, entry.cached_input_tokens or 0, **finer
    )
