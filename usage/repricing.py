"""Pricing the ledger again by what is known today: prices that came late, names, rules.

Entries whose cost differs are corrected. Costs that callers stated stay.
Source: docs/http-contract/usage.md, section "Corrections".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from core import ids
from core.json_writer import plain
from usage import costing, reversals
from usage.costing import Cost
from usage.ledger import LogRow
from usage.models import CostSource, EntryType, UsageLog
from usage.stored_usage import usage_of
from usage.windows import Window

AUTHOR = "repricelogs"
_CHUNK_ROWS = 2_000


class Repriced(NamedTuple):
    """An entry, and its cost by what is known today."""

    log: UsageLog
    cost: Cost

    @property
    def differs(self) -> bool:
        return (self.log.cost, self.log.cost_source) != (self.cost.amount, self.cost.source)


@dataclass(slots=True)
class Change:
    """How the costs of a model's logs change, in US dollars; unpriced ones count as 0."""

    logs: int = 0
    before: Decimal = field(default_factory=Decimal)
    after: Decimal = field(default_factory=Decimal)

    def add(self, repriced: Repriced) -> None:
        self.logs += 1
        self.before += repriced.log.cost or 0
        self.after += repriced.cost.amount or 0

    def __str__(self) -> str:
        return f"{self.logs} logs, {plain(self.before)} -> {plain(self.after)} USD"


def repriceable_logs(
    project_id: UUID, window: Window, *, unpriced: bool = False
) -> QuerySet[UsageLog]:
    """Return the entries of a project whose cost may change: of those corrected, the last.

    `unpriced`: only those without a price.
    """
    later = UsageLog.objects.filter(project_id=project_id, corrects_id=OuterRef("id"))
    sources = [CostSource.UNPRICED] if unpriced else [CostSource.UNPRICED, CostSource.REGISTRY]
    return UsageLog.objects.filter(
        ~Exists(later),
        project_id=project_id,
        id__gte=ids.lowest(window.start),
        id__lt=ids.lowest(window.end),
        cost_source__in=sources,
    ).exclude(entry_type=EntryType.REVERSAL)


def reprice(logs: QuerySet[UsageLog]) -> Iterator[Repriced]:
    """Yield the entries with their costs by what is known today, oldest first, in chunks."""
    # What the caller stores meanwhile has the times of the entries that it replaces.
    stored_meanwhile = Q(entry_type=EntryType.REPLACEMENT, received_at__gt=datetime.now(UTC))
    logs = logs.exclude(stored_meanwhile).order_by("id")
    chunk = list(logs[:_CHUNK_ROWS])
    while chunk:
        for log in chunk:
            cost = costing.cost_of(
                log.provider,
                log.model,
                usage_of(log),
                project_id=log.project_id,
                at=log.created_at,
            )
            yield Repriced(log, cost)
        chunk = list(logs.filter(id__gt=chunk[-1].id)[:_CHUNK_ROWS])


def correct(repriced: Repriced, *, author: str = AUTHOR) -> bool:
    """Replace an entry by one with the new cost; return False if somebody else has meanwhile."""
    columns = reversals.columns_of(repriced.log) | repriced.cost.columns()
    reason = f"repriced: {repriced.cost.unpriced_reason or 'by the prices known today'}"[:500]
    replacement = LogRow(columns)
    try:
        reversals.reverse(repriced.log, reason=reason, author=author, replacement=replacement)
    except reversals.AlreadyCorrected:
        return False
    return True
