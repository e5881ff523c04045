"""Periodic jobs, each run by one of all workers."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from accounts.models import PeriodicJob, RequestWindow

_WINDOWS_KEPT = timedelta(hours=1)


def register(names: Iterable[str]) -> None:
    """Create the jobs that are not in the database yet, due now."""
    PeriodicJob.objects.bulk_create(
        [PeriodicJob(name=name) for name in names], ignore_conflicts=True
    )


def claim(now: datetime, every: dict[str, timedelta]) -> list[str]:
    """Claim the due jobs for this worker; return their names. `every` has the intervals."""
    jobs = PeriodicJob.objects.filter(name__in=every)
    return [
        name
        for name, due_at in jobs.values_list("name", "due_at")
        if _is_due(due_at, now, every[name])
        # Unless another worker has claimed it.
        and jobs.filter(name=name, due_at=due_at).update(due_at=now + every[name])
    ]


def _is_due(due_at: datetime, now: datetime, pause: timedelta) -> bool:
    # A time too far ahead was stored while a clock was wrong.
    return due_at <= now or due_at > now + 2 * pause


def forget_old_windows(now: datetime) -> None:
    """Delete the counters of minutes that are over."""
    RequestWindow.objects.filter(minute__lt=now - _WINDOWS_KEPT).delete()
