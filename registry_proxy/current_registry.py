"""The newest registry snapshot in the memory of this process, and what keeps it current.

Readers take what is in memory. Newer content comes by `keep_current()`, from
the database (where some process of this deployment stored it) or from upstream
(one process at a time asks). Only a process without any snapshot lets a reader
wait, for a few seconds; if upstream cannot be reached, the bundled copy serves.
"""

import logging
import threading
import time
from bisect import bisect_right
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from core.background_rounds import run_round
from core.errors import DomainError
from core.process_thread import ProcessThread
from registry_proxy import custom_prices, refreshing, snapshots
from registry_proxy.client import UpstreamUnavailable
from registry_proxy.models import RETRY_SECONDS, Refresh, Snapshot
from registry_proxy.snapshots import LoadedSnapshot, SnapshotPrices

logger = logging.getLogger(__name__)

MAX_PRICE_AGE_DAYS = 30  # older prices are reported as old
FIRST_FETCH_TIMEOUT_SECONDS = 5  # the longest that a request waits for the very first copy
_POLL_SECONDS = 3  # until a process learns of a snapshot that another one stored


class RegistryUnavailable(DomainError):
    """There is no copy of what was requested, and upstream cannot be reached now."""

    status_code = 503
    code = "registry_unavailable"
    headers = {"Retry-After": str(RETRY_SECONDS)}


class CurrentSnapshot:
    """The newest snapshot of this process."""

    def __init__(self) -> None:
        self.clock = time.monotonic
        self._lock = threading.Lock()
        self.reset()

    def get(self) -> LoadedSnapshot | None:
        """Return the snapshot; None as long as upstream has never been reached."""
        return self._snapshot or self._load_first()

    def is_loaded(self, at: datetime | None = None) -> bool:
        """Return whether `held_at` returns at once, without a query or a wait for upstream."""
        snapshot = self._snapshot
        if snapshot is None:
            return self.clock() < self._retry_at
        return at is None or self._id_at(at) == snapshot.id

    def in_memory(self) -> LoadedSnapshot | None:
        """Return the snapshot if this process has it; never wait for it."""
        return self._snapshot

    def require(self) -> LoadedSnapshot:
        """Return the snapshot; raise RegistryUnavailable if there has never been one."""
        snapshot = self.get()
        if snapshot is None:
            raise RegistryUnavailable("The model registry could not be fetched yet; try again")
        return snapshot

    def held_at(self, at: datetime | None = None) -> SnapshotPrices | None:
        """Return the prices that this server had at a time, by default those it has now.

        For times before the oldest snapshot it is that one; None without any snapshot.
        """
        snapshot = self.get()
        if snapshot is None:
            return None
        snapshot_id = snapshot.id if at is None else self._id_at(at)
        return snapshot.prices if snapshot_id == snapshot.id else snapshots.load_prices(snapshot_id)

    def reset(self) -> None:
        """Return to the state of a process that has just started."""
        self._snapshot: LoadedSnapshot | None = None
        self._timeline: list[tuple[datetime, int]] = []  # when each snapshot was first held
        self._has_tried = False
        self._retry_at = float("-inf")

    def follow(self) -> None:
        """Load the newest stored snapshot. One query when there is nothing newer."""
        newest = Snapshot.objects.order_by("-id").values_list("id", flat=True).first()
        if newest is None:
            if self._has_tried:  # the follower tries again, so that readers need not
                self._retry_at = self.clock() + RETRY_SECONDS
        elif self._snapshot is None or self._snapshot.id != newest:
            snapshot = snapshots.load(newest)
            timeline = Snapshot.objects.order_by("fetched_at", "id")
            self._timeline = list(timeline.values_list("fetched_at", "id"))
            self._snapshot = snapshot
            if are_old(snapshot.prices_made_at, now=timezone.now()):
                made = snapshot.prices_made_at or "an unknown time"
                logger.warning("registry %s has old prices, of %s", snapshot.name, made)

    def _id_at(self, at: datetime) -> int:
        position = bisect_right(self._timeline, at, key=lambda held: held[0])
        return self._timeline[max(position - 1, 0)][1]

    def _load_first(self) -> LoadedSnapshot | None:
        if self.clock() < self._retry_at:
            return None
        # After a failure one reader makes another attempt, for which no others wait.
        timeout = 0 if self._has_tried else FIRST_FETCH_TIMEOUT_SECONDS
        if not self._lock.acquire(timeout=timeout):
            return None
        try:
            if self._snapshot is None and self.clock() >= self._retry_at:
                self._load_or_fetch()
            return self._snapshot
        finally:
            self._lock.release()

    def _load_or_fetch(self) -> None:
        self.follow()
        if self._snapshot is None:
            try:
                refreshing.refresh(now=timezone.now(), timeout=FIRST_FETCH_TIMEOUT_SECONDS / 2)
            except UpstreamUnavailable:  # `refresh` has recorded it
                snapshots.take_bundled(now=timezone.now())
            self.follow()
        self._has_tried = True
        self._retry_at = self.clock() + RETRY_SECONDS


current = CurrentSnapshot()


def are_old(prices_made_at: datetime | None, *, now: datetime) -> bool:
    """Return whether prices are older than thirty days, or of unknown age."""
    return prices_made_at is None or now - prices_made_at > timedelta(days=MAX_PRICE_AGE_DAYS)


def keep_current(*, now: datetime) -> None:
    """Refresh the registry if it is due and this process claims it; load the newest state."""
    current.follow()
    custom_prices.current.follow()
    if Refresh.objects.claim(now=now, max_age=timedelta(seconds=settings.CACHE_TTL_SECONDS)):
        try:
            refreshing.refresh(now=now)
        except UpstreamUnavailable:  # `refresh` has recorded it
            snapshots.take_bundled(now=now)
        current.follow()


class RegistryFollower(ProcessThread):
    """Keeps the snapshot of this process current for as long as the process lives."""

    name = "registry-follower"

    def run(self) -> None:
        while True:
            self.poll()
            time.sleep(_POLL_SECONDS)

    def poll(self) -> None:
        """Run one round; no exception propagates."""
        run_round(
            lambda: keep_current(now=timezone.now()),
            logger=logger,
            failed="registry not refreshed",
        )


follower = RegistryFollower()
