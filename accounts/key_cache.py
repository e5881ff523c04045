"""What this process has looked up for keys, and what ends that.

A database trigger notifies every process of any change of keys, whoever makes it, and what was
looked up before is not used again. While the connection of `KeyListener` is not known to be
healthy, nothing is cached, so a revocation is never missed.
"""

import logging
import select
import threading
import time
from datetime import datetime
from typing import Generic, TypeVar

import psycopg
from django.utils import timezone

from core.database import raw_connection
from core.process_thread import ProcessThread
from core.scoping import Caller

logger = logging.getLogger(__name__)

CHANNEL = "llmring_keys"  # the trigger of migration accounts.0002 notifies it
MAX_ENTRIES = 100_000  # of a cache
_CHECK_SECONDS = 0.3  # how often the listener checks its connection
_HEALTHY_SECONDS = 0.9  # how long one check is good for


Found = TypeVar("Found")


class KeyCache(Generic[Found]):
    """What was looked up by the digests of keys or tokens."""

    def __init__(self) -> None:
        self._entries: dict[bytes, tuple[int, Found]] = {}

    def get(self, digest: bytes) -> Found | None:
        """Return what was found if nothing has changed since it was looked up; None if unsure."""
        generation, found = self._entries.get(digest, (-1, None))
        return found if generation == listener.generation and listener.is_healthy else None

    def put(self, digest: bytes, found: Found, *, generation: int) -> None:
        """Cache what was looked up when the listener was at `generation`.

        A change that arrived meanwhile may be newer than what was seen.
        """
        if listener.is_healthy:
            if len(self._entries) >= MAX_ENTRIES:
                self._entries.clear()
            self._entries[digest] = generation, found


callers: KeyCache[tuple[Caller, datetime | None]] = KeyCache()


def get(digest: bytes) -> Caller | None:
    """Return the caller of a key that has neither changed nor expired; None if unsure."""
    caller, expires_at = callers.get(digest) or (None, None)
    return caller if expires_at is None or expires_at > timezone.now() else None


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


listener = KeyListener()
