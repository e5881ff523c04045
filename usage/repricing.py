"""Pricing stored logs again, by what is known today of the prices of their time.

Source: docs/http-contract/usage.md, section "Corrections".
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from core import ids
from registry_proxy import pricing
from usage import costing, reversals
from usage.costing import Cost
from usage.ledger import LogRow
from usage.models import CostSource, EntryType, UsageLog, UsageStatus
from usage.reversals import AlreadyCorrected
from usage.stored_usage import usage_of

_CHUNK_ROWS = 1_000
_REASON = "priced again"


@dataclass
class Summary:
    """What a run found: how many logs it looked at, and the differences by model."""

    checked: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    difference: Counter[str] = field(default_factory=Counter)  # US dollars

    def add(self, log: UsageLog, cost: Cost) -> None:
        name = f"{log.provider}:{log.model}"
        self.changed[name] += 1
        self.difference[name] += (cost.amount or Decimal(0)) - (log.cost or Decimal(0))


def logs_to_price(
    project_id: UUID, start: datetime, end: datetime, *, unpriced_only: bool
) -> QuerySet[UsageLog]:
    """Return the logs of a project whose cost is ours to say, and that nothing took back."""
    sources = [CostSource.UNPRICED] if unpriced_only else [CostSource.REGISTRY, CostSource.UNPRICED]
    reversal = UsageLog.objects.filter(
        project_id=project_id, corrects_id=OuterRef("id"), entry_type=EntryType.REVERSAL
    )
    return (
        UsageLog.objects.filter(
            ~Exists(reversal),
            project_id=project_id,
            id__gte=ids.lowest(start),
            id__lt=ids.lowest(end),
            cost_source__in=sources,
        )
        .exclude(entry_type=EntryType.REVERSAL)
        .exclude(usage_status=UsageStatus.UNKNOWN)
    )


def reprice(logs: QuerySet[UsageLog], summary: Summary, *, author: str, dry_run: bool) -> Iterator:
    """Correct the logs whose cost differs, chunk by chunk; yield the size of each chunk.

    Without differences nothing is written.
    """
    pricing.load()
    last = None
    while chunk := list(_after(logs, last)[:_CHUNK_ROWS]):
        last = chunk[-1].id
        with transaction.atomic():
            for log in chunk:
                cost = _cost_today(log)
                if (cost.amount, cost.source) == (log.cost, log.cost_source):
                    continue
                summary.add(log, cost)
                if not dry_run:
                    _correct(log, cost, author)
        summary.checked += len(chunk)
        yield len(chunk)


def _after(logs: QuerySet[UsageLog], last: UUID | None) -> QuerySet[UsageLog]:
    return (logs if last is None else logs.filter(id__gt=last)).order_by("id")


def _cost_today(log: UsageLog) -> Cost:
    return costing.cost_of(
        log.provider, log.model, usage_of(log), project_id=log.project_id, at=log.created_at
    )


def _correct(log: UsageLog, cost: Cost, author: str) -> None:
    replacement = LogRow(reversals.columns_of(log) | cost.columns())
    with suppress(AlreadyCorrected):  # meanwhile, by someone else
        reversals.reverse(log, reason=_REASON, author=author, replacement=replacement)
