"""The current registry: in memory, refreshed behind the backs of those who read it.

Readers take what is in memory. What is newer comes by `keep_current()`, from
the database (where some process of this deployment stored it) or from upstream
(by whichever process's turn it is). Only a process that has nothing at all lets
a reader wait, for a few seconds and not again soon.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from core.errors import DomainError
from registry_proxy import client, editions, snapshots
from registry_proxy.client import RegistryClient, UpstreamUnavailable
from registry_proxy.editions import Edition
from registry_proxy.models import RETRY_SECONDS, Refresh, Snapshot

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5  # the longest that a request waits for the very first copy


class RegistryUnavailable(DomainError):
    """There is no copy of what was asked for, and upstream does not give one now."""

    status_code = 503
    code = "registry_unavailable"
    headers = {"Retry-After": str(RETRY_SECONDS)}


class CurrentEdition:
    """The newest edition of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self.forget()

    def get(self) -> Edition | None:
        """The edition; None as long as upstream has never been reached."""
        return self._edition or self._first()

    def forget(self) -> None:
        """As in a process that has just started."""
        self._edition: Edition | None = None
        self._has_tried = False
        self._silent_until = float("-inf")

    def follow(self) -> None:
        """Take up the newest stored snapshot. One query when there is nothing newer."""
        newest = Snapshot.objects.order_by("-id").values_list("id", flat=True).first()
        if newest is None:
            if self._has_tried:  # who follows will find it: no reader needs to try again
                self._silent_until = self.clock() + RETRY_SECONDS
        elif self._edition is None or self._edition.snapshot_id != newest:
            self._edition = editions.edition(newest)

    def _first(self) -> Edition | None:
        if self.clock() < self._silent_until:
            return None
        # Once it has failed, at most one reader waits for another attempt, and no others for it.
        if not self._lock.acquire(timeout=0 if self._has_tried else PATIENCE_SECONDS):
            return None
        try:
            if self._edition is None and self.clock() >= self._silent_until:
                self._load_or_fetch()
            return self._edition
        finally:
            self._lock.release()

    def _load_or_fetch(self) -> None:
        self.follow()
        if self._edition is None:
            with suppress(UpstreamUnavailable):  # `refresh` has noted it
                refresh(now=timezone.now(), timeout=PATIENCE_SECONDS / 2)
            self.follow()
        self._has_tried = True
        self._silent_until = self.clock() + RETRY_SECONDS


current = CurrentEdition()


def edition() -> Edition:
    """The current edition; raises RegistryUnavailable when there has never been one."""
    found = current.get()
    if found is None:
        raise RegistryUnavailable("The model registry could not be fetched yet; try again")
    return found


@contextmanager
def upstream(timeout: float | None = None) -> Iterator[RegistryClient]:
    """A client of the public registry; each file may take `timeout` seconds."""
    with client.open_session() as session:
        yield RegistryClient(
            session,
            base_url=settings.REGISTRY_BASE_URL,
            timeout=timeout or settings.REGISTRY_TIMEOUT,
        )


def refresh(*, now: datetime, timeout: float | None = None) -> Snapshot | None:
    """Ask upstream; the new snapshot, or None when nothing has changed.

    Raises UpstreamUnavailable, having noted it.
    """
    source = hashlib.sha256(settings.REGISTRY_BASE_URL.encode()).hexdigest()
    # The validators of another registry's files would vouch for files of this one.
    is_known = Refresh.objects.filter(source=source).exists()
    known = snapshots.files(Snapshot.objects.newest()) if is_known else {}
    try:
        with upstream(timeout) as registry_client:
            registry = registry_client.registry(known)
    except UpstreamUnavailable as error:
        # While upstream is away it is asked again and again: one line in the log will do.
        if Refresh.objects.note_failure(str(error), now=now):
            logger.warning("the registry was not refreshed: %s", error)
        raise
    taken = snapshots.take(registry, source=source, now=now)
    if taken is not None:
        logger.info("registry snapshot %s: %s changes", taken, taken.change_count)
    return taken


def keep_current(*, now: datetime) -> None:
    """Refresh when the copy is old and it is this process's turn; take up what is newest."""
    current.follow()
    if Refresh.objects.claim(now=now, max_age=timedelta(seconds=settings.CACHE_TTL_SECONDS)):
        with suppress(UpstreamUnavailable):
            refresh(now=now)
        current.follow()
