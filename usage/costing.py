"""What a call costs: what its caller states, else what the prices of its time come to.

Source: docs/http-contract.md, section "Cost".
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from core.schemas import twelve_places
from registry_proxy import pricing
from usage.models import CostSource
from usage.reports.reported_usage import Usage, UsageStatus

UNKNOWN_USAGE = "unknown usage"  # the reason why such a call has no price


class Cost(NamedTuple):
    """US dollars, None when no price is known; and where the figure comes from."""

    amount: Decimal | None
    source: str
    priced_as: str | None = None
    snapshot_id: int | None = None
    custom_price_id: int | None = None
    unpriced_reason: str | None = None

    def columns(self) -> dict[str, object]:
        """Return the columns of the ledger that say it."""
        return dict(zip(_COLUMNS, self, strict=True))


_COLUMNS = ("cost", "cost_source", *Cost._fields[2:])


def cost_of(
    provider: str,
    model: str,
    usage: Usage,
    *,
    project_id: UUID | None = None,
    at: datetime | None = None,
) -> Cost:
    """Return the cost of a call made `at` a time, by default now."""
    if usage.cost is not None:
        return Cost(twelve_places(usage.cost), CostSource.CALLER.value)
    if usage.status == UsageStatus.FAILED:
        return Cost(Decimal(0), CostSource.CALLER.value)
    if usage.tokens is None:
        return Cost(None, CostSource.UNPRICED.value, unpriced_reason=UNKNOWN_USAGE)
    priced = price_of(provider, model, usage, project_id=project_id, at=at)
    source = CostSource.UNPRICED if priced.cost is None else CostSource.REGISTRY
    return Cost(
        priced.cost,
        source.value,
        priced.priced_as,
        priced.snapshot_id,
        priced.custom_price_id,
        priced.unpriced_reason,
    )


def price_of(
    provider: str,
    model: str,
    usage: Usage,
    *,
    project_id: UUID | None = None,
    at: datetime | None = None,
) -> pricing.Pricing:
    """Return the price of known usage, with its terms, whatever its caller states as cost."""
    return pricing.price(
        provider,
        usage.priced_model(model),
        usage.tokens,
        units=usage.units,
        modifiers=usage.price_terms(),
        prompts=usage.prompts(),
        at=at,
        project_id=project_id,
    )


def is_immediate(usage: Usage, at: datetime | None) -> bool:
    """Return whether the cost is known without a query or a wait for upstream."""
    return usage.cost is not None or pricing.is_loaded(at)
