"""The quota of a tier: how many new logs of a project may arrive in a UTC month.

The counter is moved by the statement that stores the logs, through a function of the
database, so it is exact however many workers store at once:

    count_logs(project, month, refusable, others)   fails with `SQLSTATE` beyond the quota

It only grows: deleting logs frees nothing. `others` are counted but never refused: calls that
the gateway has made already.
"""

import sys
import time
from datetime import UTC, date, datetime
from uuid import UUID

from accounts.limits import LimitExceeded
from accounts.models import MonthlyLogs, Project
from core.scoping import Caller

SQLSTATE = "LR429"
_MAX_PROJECTS = 100_000
# Projects whose quota is known to be used up: the quota, and the month's end.
_used_up: dict[UUID, tuple[int, datetime]] = {}
_checked_at: dict[UUID, float] = {}  # of time.monotonic()


def has_tier(project: str) -> str:
    """Return the SQL condition under which logs of a project (an SQL expression) are counted.

    Without a tier `count_logs` returns 0 as well, but only after a query of its own.
    """
    return f"(SELECT tier_id FROM projects WHERE projects.id = {project}) IS NOT NULL"


def exceeded(caller: Caller, now: datetime) -> LimitExceeded:
    """Return the error that refuses a log, and cache it."""
    end = next_month(now)
    quota = caller.limits.logs_per_month if caller.limits else None
    if quota is None:  # the caller was cached before its project got a tier
        quota = 0
    elif len(_used_up) < _MAX_PROJECTS:
        _used_up[caller.project_id] = quota, end
    return _refusal(quota, end, now)


def known_refusal(caller: Caller, now: datetime) -> LimitExceeded | None:
    """Return the error that refuses a log, if the quota is known to be used up."""
    if not _used_up or (known := _used_up.get(caller.project_id)) is None:
        return None
    quota, end = known
    if now >= end or caller.limits is None or caller.limits.logs_per_month != quota:
        _used_up.pop(caller.project_id, None)
        return None
    return _refusal(quota, end, now)


def check(caller: Caller, now: datetime) -> None:
    """Raise LimitExceeded if the quota is used up. At most one query a second for a project."""
    if refusal := known_refusal(caller, now):
        raise refusal
    if caller.limits is None or caller.limits.logs_per_month is None:
        return
    if time.monotonic() - _checked_at.get(caller.project_id, float("-inf")) < 1:
        return
    if len(_checked_at) >= _MAX_PROJECTS:
        _checked_at.clear()
    _checked_at[caller.project_id] = time.monotonic()
    if not room(caller.project_id, now):
        raise exceeded(caller, now)


def forget() -> None:
    """Clear the caches, for tests."""
    _used_up.clear()
    _checked_at.clear()


def is_cause(error: Exception) -> bool:
    """Return whether a database error, Django's or psycopg's, is about a quota."""
    return SQLSTATE in (getattr(error, "sqlstate", ""), getattr(error.__cause__, "sqlstate", ""))


def room(project_id: UUID, now: datetime) -> int:
    """Return how many logs may still arrive this month, not counting open transactions."""
    quota = Project.objects.filter(id=project_id).values_list("tier__logs_per_month", flat=True)
    if (limit := quota.first()) is None:
        return sys.maxsize
    return max(limit - arrived(project_id, now), 0)


def arrived(project_id: UUID, now: datetime) -> int:
    """Return how many logs of a project have arrived in this month."""
    counters = MonthlyLogs.objects.filter(project_id=project_id, month=month_of(now))
    return counters.values_list("logs", flat=True).first() or 0


def _refusal(quota: int, end: datetime, now: datetime) -> LimitExceeded:
    return LimitExceeded(
        "logs per month",
        limit=quota,
        reset=int(end.timestamp()),
        seconds=(end - now).total_seconds(),
    )


def month_of(now: datetime) -> date:
    """Return the first day of the UTC month."""
    return now.astimezone(UTC).date().replace(day=1)


def next_month(now: datetime) -> datetime:
    """Return when the next UTC month begins."""
    now = now.astimezone(UTC)
    years, month = divmod(now.month, 12)
    return datetime(now.year + years, month + 1, 1, tzinfo=UTC)
