"""A list of logs in terms of the daily sums: the days and projects to read, and its sums.

The sums are an index of the ledger by its labels that costs nothing to keep: a model
that was called on two days is found by reading the logs of two days.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from core.timeline import MAX_PERIODS, beginning_of
from usage.day_ranges import on_days
from usage.models import DailyUsage
from usage.windows import midnight

MAX_PROJECTS = 20
_DAY = timedelta(days=1)
TOTALS = (
    "entries",
    "requests",
    "unpriced_requests",
    "unknown_requests",
    "cost",
    "input_tokens",
    "output_tokens",
)


class DailyTimeline:
    """The timeline of logs, from the days that have any, which is faster than from the logs."""

    def __init__(self, rows: QuerySet[DailyUsage]) -> None:
        self._days = [
            midnight(day) for day in rows.order_by("day").values_list("day", flat=True).distinct()
        ]

    def aggregate(self, **wanted) -> dict[str, datetime | None]:
        first, last = (self._days[0], self._days[-1]) if self._days else (None, None)
        return {"first": first, "last": last}

    def datetimes(self, field: str, kind: str) -> list[datetime]:
        return list(dict.fromkeys(beginning_of(day, kind) for day in self._days))[:MAX_PERIODS]


@dataclass(frozen=True)
class DailySelection:
    """Rows of the daily sums that have a share of the selected logs.

    `is_narrow`: a label was chosen, so that other days have none of them.
    `is_exact`: the rows consist of the selected logs and nothing else, but for `cut_days`,
    of which the window has only a part.
    """

    rows: QuerySet[DailyUsage]
    is_narrow: bool = False
    is_exact: bool = True
    cut_days: tuple[date, ...] = ()

    @classmethod
    def all(cls) -> "DailySelection":
        return cls(DailyUsage.objects.order_by())

    def within(self, start: datetime | None, end: datetime | None) -> "DailySelection":
        """Return the days of a window of time."""
        rows = self.rows
        if start:
            rows = rows.filter(day__gte=start.date())
        if end:
            rows = rows.filter(day__lt=(end + _DAY - timedelta.resolution).date())
        cut = {at.date() for at in (start, end) if at and at.time() != time.min}
        return replace(self, rows=rows, cut_days=tuple(sorted(cut)))

    def labelled(self, condition: Q) -> "DailySelection":
        """Return the rows whose labels are the chosen ones."""
        return replace(self, rows=self.rows.filter(condition), is_narrow=True)

    def without(self, project_id: UUID) -> "DailySelection":
        """Return the rows of all other projects."""
        return replace(self, rows=self.rows.exclude(project_id=project_id))

    def inexact(self) -> "DailySelection":
        return replace(self, is_exact=False)

    def entries(self) -> int:
        """Return how many logs there are on these days, with the chosen labels. One query."""
        return self.rows.aggregate(all=Sum("entries"))["all"] or 0

    def sums(self) -> dict[str, Any]:
        """Return the sums of the selected logs of whole days. One query."""
        rows = self.rows.exclude(day__in=self.cut_days)
        sums = rows.aggregate(**{name: Sum(name) for name in TOTALS})
        return {name: value or 0 for name, value in sums.items()}

    def narrowed(self, logs: QuerySet) -> QuerySet:
        """Return the logs, of the days and projects that have any of the selected ones."""
        if not self.is_narrow:
            return logs
        days = self.rows.values_list("day", flat=True).distinct()
        if not days:
            return logs.none()
        projects = list(
            self.rows.values_list("project_id", flat=True).distinct()[: MAX_PROJECTS + 1]
        )
        if len(projects) <= MAX_PROJECTS:
            logs = logs.filter(project_id__in=projects)
        return logs.filter(on_days(days))
