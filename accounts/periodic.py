"""Jobs that one worker does for all of them, once in a while."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from accounts.models import PeriodicJob, RequestWindow

_WINDOWS_KEPT = timedelta(hours=1)


def register(names: Iterable[str]) -> None:
    """Store the jobs that the database does not have yet; they are due now."""
    PeriodicJob.objects.bulk_create(
        [PeriodicJob(name=name) for name in names], ignore_conflicts=True
    )


def claim(now: datetime, every: dict[str, timedelta]) -> list[str]:
    """Return the jobs that are due; this worker has to do them, and `every` says when again."""
    jobs = PeriodicJob.objects.filter(name__in=every)
    return [
        name
        for name, due_at in jobs.values_list("name", "due_at")
        if _is_due(due_at, now, every[name])
        # Unless another worker has claimed it meanwhile.
        and jobs.filter(name=name, due_at=due_at).update(due_at=now + every[name])
    ]


def _is_due(due_at: datetime, now: datetime, pause: timedelta) -> bool:
    # A job that is due later than can be was claimed while a clock was wrong.
    return due_at <= now or due_at > now + 2 * pause


def forget_old_windows(now: datetime) -> None:
    """Delete the counters of minutes that are over."""
    RequestWindow.objects.filter(minute__lt=now - _WINDOWS_KEPT).delete()
