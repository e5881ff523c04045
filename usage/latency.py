"""Figures of a window that only the ledger has: latencies, and calls that are not settled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from core import ids
from core.database.any_id import uuid_array
from core.database.raw_connection import pooled_cursor
from usage.models import EntryType, UsageStatus
from usage.windows import midnight

_COUNTED = [status for status in UsageStatus if status != UsageStatus.SETTLED]
_STATUSES = ", ".join(
    f"count(*) FILTER (WHERE usage_status = '{status}') AS {status}" for status in _COUNTED
)
# Milliseconds of a call: its whole latency, and until the first data of its answer.
MEASURED = ("latency_ms", "first_byte_ms")
# As calls were first logged: corrections do not count.
OF_CALLS = ", ".join(
    f"CASE entry_type WHEN '{EntryType.CALL}' THEN {name} END AS {name}" for name in MEASURED
)


def percentiles(column: str) -> str:
    """Return the SQL of a column's p50 and p95 by nearest rank; NULL without any value."""
    return f"percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY {column})"


@dataclass(frozen=True, slots=True)
class CallFigures:
    """Of the calls of a window, as they were first logged: corrections do not count.

    `p50` and `p95` are milliseconds by nearest rank, of the calls that state a latency;
    None without any. `unsettled` counts calls by their status.
    """

    calls: int
    measured: int
    p50: int | None
    p95: int | None
    unsettled: dict[str, int]


def call_figures(projects: Sequence[UUID], first: date, last: date) -> CallFigures:
    """Return the figures of whole days (UTC). Reads every call of the window.

    Raises the statement timeout's error for windows that take too long (core.errors.is_timeout).
    """
    start, end = (ids.lowest(midnight(day)) for day in (first, last + timedelta(days=1)))
    with pooled_cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*), count(latency_ms), {percentiles("latency_ms")}, {_STATUSES}
            FROM usage_logs
            WHERE project_id = ANY(%(projects)s::uuid[]) AND id >= %(start)s AND id < %(end)s
                AND entry_type = '{EntryType.CALL}'
            """,
            {"projects": uuid_array(projects), "start": start, "end": end},
        )
        calls, measured, latencies, *counts = cursor.fetchone()
    p50, p95 = latencies or (None, None)
    return CallFigures(calls, measured, p50, p95, dict(zip(_COUNTED, counts, strict=True)))
