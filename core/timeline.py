"""The admin's date hierarchy over tables of millions of rows.

Django scans the table for the first and last date, and for the dates in between. Ids contain
the time and are indexed: a few index lookups replace the scans.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

from django.db.models import QuerySet

from core import ids
from core.change_list import ChangeList, utc_time

# More days than a month's page can show; also bounds a hierarchy of all years.
MAX_PERIODS = 100


class TimelineChangeList(ChangeList):
    """A change list whose dates are ranges of ids.

    `start` and `end` are the half-open window of time, None if it is open.
    """

    start: datetime | None = None
    end: datetime | None = None

    def get_filters(self, request):
        specs, has_filters, lookups, *rest = super().get_filters(request)
        starts = [
            utc_time(value) for value in lookups.pop(f"{self.date_hierarchy}__gte", ()) if value
        ]
        ends = [utc_time(value) for value in lookups.pop(f"{self.date_hierarchy}__lt", ()) if value]
        self.start, self.end = max(starts, default=None), min(ends, default=None)
        if self.start:
            lookups["id__gte"] = [ids.lowest(self.start)]
        if self.end:
            lookups["id__lt"] = [ids.lowest(self.end)]
        return specs, has_filters, lookups, *rest

    def get_results(self, request):
        super().get_results(request)
        # From here on only the date hierarchy uses the queryset. An empty result may have taken
        # seconds: it is not queried again.
        is_empty = not self.result_list and self.page_num == 1
        self.queryset = self.get_timeline(self.queryset.none() if is_empty else self.queryset)

    def get_timeline(self, rows: QuerySet) -> "Timeline":
        """Return the timeline for the date hierarchy, by default that of the listed rows."""
        return _Rows(rows)


class Timeline(Protocol):
    """The methods of a queryset that the date hierarchy calls."""

    def aggregate(self, **wanted) -> dict[str, datetime | None]:
        """Return the `first` and the `last` time."""

    def datetimes(self, field: str, kind: str) -> Iterable[datetime]:
        """Return the beginnings of the days, months or years in which there are rows."""


class _Rows:
    """The timeline of rows whose ids contain their time."""

    def __init__(self, rows) -> None:
        self._ids = rows.order_by().values_list("id", flat=True)

    def aggregate(self, **wanted) -> dict[str, datetime | None]:
        first, last = self._ids.order_by("id").first(), self._ids.order_by("-id").first()
        return {
            "first": first and ids.moment(first).astimezone(UTC),
            "last": last and ids.moment(last).astimezone(UTC),
        }

    def datetimes(self, field: str, kind: str) -> Iterator[datetime]:
        """Yield the beginnings of the days, months or years in which there are rows."""
        first = self._ids.order_by("id").first()
        for _ in range(MAX_PERIODS):
            if first is None:
                return
            beginning = beginning_of(ids.moment(first), kind)
            yield beginning
            after = ids.lowest(beginning_of(beginning + _LONGER[kind], kind))
            first = self._ids.filter(id__gte=after).order_by("id").first()


# Added to the beginning of a period, these end inside the next one.
_LONGER = {"day": timedelta(days=1), "month": timedelta(days=32), "year": timedelta(days=366)}


def beginning_of(moment: datetime, kind: str) -> datetime:
    """Return the first moment of the day, month or year."""
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return start
    return start.replace(day=1) if kind == "month" else start.replace(day=1, month=1)
