"""The admin's date hierarchy over tables of millions of rows.

Django looks for the first and last date, and for the dates between, by scanning
the table. Ids carry the time and are indexed: a handful of index lookups replaces
the scans.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.contrib.admin.options import IncorrectLookupParameters
from unfold.views import ChangeList

from core import ids

# More days than a month's page can show; also bounds a hierarchy of all years.
MAX_PERIODS = 100


class TimelineChangeList(ChangeList):
    """A change list whose dates are ranges of ids."""

    def get_filters(self, request):
        specs, has_filters, lookups, *rest = super().get_filters(request)
        for comparison in ("gte", "lt"):
            values = lookups.pop(f"{self.date_hierarchy}__{comparison}", None)
            if values:
                lookups[f"id__{comparison}"] = [ids.lowest(_time(values[0]))]
        return specs, has_filters, lookups, *rest

    def get_results(self, request):
        super().get_results(request)
        # From here on only the date hierarchy asks the queryset anything. Finding nothing may
        # have taken seconds: it is not looked for again.
        is_empty = not self.result_list and self.page_num == 1
        self.queryset = _Timeline(self.queryset.none() if is_empty else self.queryset)


def _time(value: datetime | str) -> datetime:
    """Return the time of a lookup: the hierarchy's own, or the text of a query string."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise IncorrectLookupParameters(f"{value} is not a date") from None
    if not 1970 <= time.year < 9000:
        raise IncorrectLookupParameters(f"No id carries {value}")
    return time


class _Timeline:
    """What the date hierarchy asks of a queryset."""

    def __init__(self, rows) -> None:
        self._ids = rows.order_by().values_list("id", flat=True)

    def aggregate(self, **wanted) -> dict[str, datetime | None]:
        first, last = self._ids.order_by("id").first(), self._ids.order_by("-id").first()
        return {
            "first": first and ids.moment(first).astimezone(UTC),
            "last": last and ids.moment(last).astimezone(UTC),
        }

    def datetimes(self, field: str, kind: str) -> Iterator[datetime]:
        """The beginnings of the days, months or years in which there are rows."""
        first = self._ids.order_by("id").first()
        for _ in range(MAX_PERIODS):
            if first is None:
                return
            beginning = _begin(ids.moment(first), kind)
            yield beginning
            after = ids.lowest(_begin(beginning + _LONGER[kind], kind))
            first = self._ids.filter(id__gte=after).order_by("id").first()


# Added to the beginning of a period, these end inside the next one.
_LONGER = {"day": timedelta(days=1), "month": timedelta(days=32), "year": timedelta(days=366)}


def _begin(moment: datetime, kind: str) -> datetime:
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return start
    return start.replace(day=1) if kind == "month" else start.replace(day=1, month=1)
