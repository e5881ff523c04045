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
    due = PeriodicJob.objects.filter(due_at__lte=now)
    return [
        name
        for name in due.values_list("name", flat=True)
        if name in every and due.filter(name=name).update(due_at=now + every[name])
    ]


def forget_old_windows(now: datetime) -> None:
    """Delete the counters of minutes that are over."""
    RequestWindow.objects.filter(minute__lt=now - _WINDOWS_KEPT).delete()
