"""The cache of looked-up keys, and the listener that invalidates it.

A database trigger notifies every process of any change of keys, by whatever program, and
earlier entries are not used again. Unless the connection of `KeyListener` is known to be
healthy, the cache is not used, so a revocation is never missed.
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


Value = TypeVar("Value")


class KeyCache(Generic[Value]):
    """A cache by the digests of keys or tokens."""

    def __init__(self) -> None:
        self._entries: dict[bytes, tuple[int, Value]] = {}

    def get(self, digest: bytes) -> Value | None:
        """Return the cached value; None if there is none, or it may be outdated."""
        generation, value = self._entries.get(digest, (-1, None))
        return value if generation == listener.generation and listener.is_healthy else None

    def put(self, digest: bytes, value: Value, *, generation: int) -> None:
        """Cache a value that was looked up when the listener was at `generation`.

        Later changes make it outdated, even those that arrived during the look-up.
        """
        if listener.is_healthy:
            if len(self._entries) >= MAX_ENTRIES:
                self._entries.clear()
            self._entries[digest] = generation, value


callers: KeyCache[tuple[Caller, datetime | None]] = KeyCache()


def get(digest: bytes) -> Caller | None:
    """Return the cached caller of a key; None if there is none, or it may be outdated."""
    caller, expires_at = callers.get(digest) or (None, None)
    return caller if expires_at is None or expires_at > timezone.now() else None


class KeyListener(ProcessThread):
    """Listens for changed keys, on a connection of its own."""

    name = "key-listener"

    def __init__(self) -> None:
        super().__init__()
        self.generation = 0
        self.prepare()

    def prepare(self) -> None:
        self.listening = threading.Event()
        self._stopped = threading.Event()
        self._checked_at = float("-inf")
        self._loss = ""  # the reason that was logged last
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
                self._log_loss(type(error).__name__)
            self._checked_at = float("-inf")
            self._forget()
            self._stopped.wait(1)

    def _log_loss(self, reason: str) -> None:
        """Log the reason of a lost connection once, not at every attempt; "" is a new one."""
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
            own.prepare_threshold = None  # a pooler may switch sessions
            own.execute(f"LISTEN {CHANNEL}")
            # Behind a pooler in transaction mode LISTEN succeeds, but no notification of other
            # connections arrives: neither does this one.
            with raw_connection.connect() as other:
                other.execute(f"NOTIFY {CHANNEL}")
            if not any(own.notifies(timeout=2, stop_after=1)):
                logger.warning("notifications do not arrive; every request looks its key up")
                self._stopped.wait(60)
                return
            self._forget()
            self._log_loss("")
            arrivals = select.poll()  # psycopg would wake up ten times a second
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
