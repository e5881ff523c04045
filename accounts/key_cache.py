"""Callers of the keys that this process has looked up, and what empties the cache.

A database trigger notifies every process of any change of keys, whoever makes
it, and `KeyListener` then forgets everything. While the listener's connection is
not known to be healthy, nothing is cached, so a revocation is never missed.
"""

import logging
import select
import threading
import time
from dataclasses import dataclass
from datetime import datetime

import psycopg
from django.utils import timezone

from core.database import raw_connection
from core.process_thread import ProcessThread
from core.scoping import Caller

logger = logging.getLogger(__name__)

CHANNEL = "llmring_keys"  # the trigger of migration accounts.0002 notifies it
MAX_CALLERS = 100_000
_CHECK_SECONDS = 0.3  # how often the listener checks its connection
_HEALTHY_SECONDS = 0.9  # how long one check is good for


@dataclass(frozen=True, slots=True)
class _Entry:
    caller: Caller
    expires_at: datetime | None


_entries: dict[bytes, _Entry] = {}


def get(digest: bytes) -> Caller | None:
    """Return the caller of a key that has not changed since it was looked up; None if unsure."""
    entry = _entries.get(digest)
    if entry is None or not listener.is_healthy:
        return None
    if entry.expires_at is not None and entry.expires_at <= timezone.now():
        return None
    return entry.caller


def put(digest: bytes, caller: Caller, expires_at: datetime | None, *, generation: int) -> None:
    """Cache a caller that was looked up when the listener was at `generation`."""
    # A change that arrived meanwhile may be newer than what was seen.
    if listener.is_healthy and listener.generation == generation:
        if len(_entries) >= MAX_CALLERS:
            _entries.clear()
        _entries[digest] = _Entry(caller, expires_at)


class KeyListener(ProcessThread):
    """Listens for changed keys on a connection of its own, for as long as the process lives."""

    name = "key-listener"

    def __init__(self) -> None:
        super().__init__()
        self.generation = 0
        self.prepare()

    def prepare(self) -> None:
        self.listening = threading.Event()
        self._stopped = threading.Event()
        self._checked_at = float("-inf")
        self._loss = ""  # why it is not connected, as told
        self._forget()

    @property
    def is_healthy(self) -> bool:
        """Whether a change of keys would have been noticed by now."""
        return time.monotonic() - self._checked_at < _HEALTHY_SECONDS

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except (psycopg.Error, OSError) as error:
                self._tell_loss(type(error).__name__)
            self._checked_at = float("-inf")
            self._forget()
            self._stopped.wait(1)

    def _tell_loss(self, reason: str) -> None:
        """Log a reason once, not with every attempt while the database is away; "" is none."""
        if reason == self._loss:
            return
        if reason:
            logger.warning("key listener lost its connection: %s", reason)
        else:
            logger.info("key listener is connected again")
        self._loss = reason

    def stop(self) -> None:
        """End the thread and its connection."""
        self._stopped.set()
        self.join()

    def _listen(self) -> None:
        with raw_connection.connect() as own:
            own.prepare_threshold = None  # behind a pooler, the next server would not know it
            own.execute(f"LISTEN {CHANNEL}")
            # Behind a pooler in transaction mode LISTEN succeeds and nothing of other
            # connections ever arrives: then this notification does not either.
            with raw_connection.connect() as other:
                other.execute(f"NOTIFY {CHANNEL}")
            if not any(own.notifies(timeout=2, stop_after=1)):
                logger.warning("notifications do not arrive; every request looks its key up")
                self._stopped.wait(60)
                return
            self._forget()
            self._tell_loss("")
            arrivals = select.poll()  # psycopg's own waiting looks up ten times a second
            arrivals.register(own, select.POLLIN)
            while not self._stopped.is_set():
                self._checked_at = time.monotonic()
                self.listening.set()
                arrivals.poll(_CHECK_SECONDS * 1000)
                if any(own.notifies(timeout=0)):
                    self._forget()
                own.execute("SELECT 1")

    def _forget(self) -> None:
        self.generation += 1
        _entries.clear()


listener = KeyListener()
