"""The periodic jobs, each run by one of all workers, and their intervals."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

from django.db import ProgrammingError
from django.utils import timezone

from accounts import periodic
from accounts.limits import notices as limit_notices
from core.background_rounds import run_round
from core.database import embedded
from core.process_thread import ProcessThread
from gateway import budgets, response_cache
from usage import retention

logger = logging.getLogger(__name__)

_POLL_SECONDS = 20
_RETENTION_SECONDS = 300  # of each hour at most


def _notify_owners(now: datetime) -> None:
    limit_notices.send(
        chain(limit_notices.of_quotas(now), limit_notices.of_retention(now), budgets.notices())
    )


def _enforce_retention(now: datetime) -> None:
    if deleted := sum(retention.enforce(now=now, seconds=_RETENTION_SECONDS)):
        logger.info("%s logs deleted that were past their tiers' retention", deleted)


_JOBS: dict[str, tuple[timedelta, Callable[[datetime], None]]] = {
    "limit-notices": (timedelta(minutes=1), _notify_owners),
    "retention": (timedelta(hours=1), _enforce_retention),
    "gateway-cache": (timedelta(minutes=1), lambda now: response_cache.sweep()),
    "postgres-log": (timedelta(hours=1), lambda now: embedded.rotate_log()),
    "request-windows": (timedelta(hours=1), periodic.forget_old_windows),
}


def run_due(now: datetime) -> list[str]:
    """Run the due jobs that no other worker has claimed; return their names."""
    claimed = periodic.claim(now, {name: every for name, (every, _) in _JOBS.items()})
    for name in claimed:
        _, job = _JOBS[name]
        run_round(partial(job, now), logger=logger, failed=f"periodic job {name} failed")
    return claimed


class PeriodicJobs(ProcessThread):
    name = "periodic-jobs"

    def prepare(self) -> None:
        self._is_registered = False

    def run(self) -> None:
        while True:
            run_round(
                self._poll,
                logger=logger,
                failed="periodic jobs failed",
                expected=(ProgrammingError,),  # not migrated yet
            )
            time.sleep(_POLL_SECONDS)

    def _poll(self) -> None:
        if not self._is_registered:
            periodic.register(_JOBS)
            self._is_registered = True
        run_due(timezone.now())


jobs = PeriodicJobs()
