"""Ranges of ids that hold what a query looks for, so that the rest of a ledger is not read.

The daily sums know on which days a label occurs, and how much is logged on each.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q

from core import ids
from core.scoping import Caller
from usage import filters
from usage.query_schemas import WindowQuery
from usage.windows import midnight

MAX_RANGES = 31  # read one after the other, or by one statement
MAX_ENTRIES = 500_000  # of several days that one statement reads
_DAY = timedelta(days=1)


class IdRange(NamedTuple):
    """Ids from `start` up to `end`, without it."""

    start: UUID
    end: UUID


def consecutive(days: Iterable[date]) -> list[tuple[datetime, datetime]]:
    """Return the half-open ranges of time that cover the days, the newest first."""
    ranges: list[tuple[datetime, datetime]] = []
    for day in sorted(days, reverse=True):
        start = midnight(day)
        if ranges and ranges[-1][0] - start == _DAY:
            ranges[-1] = (start, ranges[-1][1])
        else:
            ranges.append((start, start + _DAY))
    if len(ranges) > MAX_RANGES:
        return [(ranges[-1][0], ranges[0][1])]
    return ranges


def on_days(days: Iterable[date]) -> Q:
    """Return the condition of logs of these days, which selects all if there are none."""
    condition = Q()
    for start, end in consecutive(days):
        condition |= Q(id__gte=ids.lowest(start), id__lt=ids.lowest(end))
    return condition


def labelled(caller: Caller, query: WindowQuery) -> list[IdRange]:
    """Return the parts of the window that can have logs with the query's labels, newest first."""
    window = query.window()
    if not filters.on_daily_sums(query)[0]:
        return [IdRange(ids.lowest(window.start), ids.lowest(window.end))]
    return [
        IdRange(ids.lowest(max(start, window.start)), ids.lowest(min(end, window.end)))
        for start, end in consecutive(_entries(caller, query))
    ]


def portions(caller: Caller, query: WindowQuery) -> list[IdRange]:
    """Return what `labelled` does, oldest first, cut where a statement would read too much.

    One that finds nothing reads all of its range, and must end before its time does.
    """
    entries = sorted(_entries(caller, query).items())
    cuts, total = [], 0
    for day, count in entries:
        if total and total + count > MAX_ENTRIES:
            cuts.append(ids.lowest(midnight(day)))
            total = 0
        total += count
    return [
        IdRange(start, end)
        for first, beyond in reversed(labelled(caller, query))
        for start, end in pairwise([first, *(cut for cut in cuts if first < cut < beyond), beyond])
    ]


def _entries(caller: Caller, query: WindowQuery) -> dict[date, int]:
    """Return the days of the window on which the labels occur, with all entries of each."""
    window = query.window()
    condition, parameters = filters.on_daily_sums(query)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT day, sum(entries) FROM usage_daily
            WHERE project_id = %(project)s AND day >= %(first)s AND day <= %(last)s
            GROUP BY day HAVING bool_or(true{condition})
            """,
            {
                **parameters,
                "project": caller.project_id,
                "first": window.start.date(),
                "last": window.end.date(),
            },
        )
        return dict(cursor.fetchall())
