"""Allowances: what all calls of a token may use together.

An Allowance limits the requests and the costs of its whole life, and the requests of each
minute by the database's clock. Before a call is made, it takes one request and reserves an
upper bound of its cost; afterwards it settles the actual cost. Both lock one row in the
database, so they are exact for any number of workers and machines.

Other apps call the functions within statements of their own:

    take_allowance(id, amounts)             text for each amount: a Refusal, "" if granted
    settle_allowance(id, released, spent)   give back a reservation, add what was spent
"""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from accounts.models import Allowance


class Refusal(StrEnum):
    """Which limit a call would exceed."""

    MAX_REQUESTS = "max_requests"
    BUDGET = "budget"
    REQUESTS_PER_MINUTE = "requests_per_minute"
    GONE = "gone"  # the allowance was deleted meanwhile


def count_cache_hit(id: UUID) -> None:
    """Count a call that was answered from the cache, which uses nothing of the allowance."""
    Allowance.objects.filter(id=id).update(
        cache_hits=F("cache_hits") + 1, last_used_at=timezone.now()
    )


def remaining(allowance: Allowance, now: datetime) -> dict[str, object]:
    """Return what is left: `requests`, `requests_this_minute`, `budget_usd`; None: no limit."""
    used_now = allowance.minute_requests if _is_current(allowance.minute, now) else 0
    return {
        "requests": _left(allowance.max_requests, allowance.requests),
        "requests_this_minute": _left(allowance.requests_per_minute, used_now),
        "budget_usd": _left(allowance.budget_usd, allowance.spent_usd + allowance.reserved_usd),
    }


def _is_current(minute: datetime | None, now: datetime) -> bool:
    """Return whether the counted minute is the current one."""
    return minute is not None and minute <= now < minute + timedelta(minutes=1)


def _left(limit, used):
    return None if limit is None else max(limit - used, 0)
