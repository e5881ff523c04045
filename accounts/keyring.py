"""From a key's text to the caller it opens.

Looking a key up is one query. A process that serves requests keeps what it
found in `_callers`; a database trigger notifies every process of any change of
keys, whoever makes it, and `KeyListener` then forgets everything. While the
listener cannot vouch for its connection, nothing is remembered at all, so a
revocation is never missed.
"""

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Project
from core.database import raw_connection as own_connection
from core.scoping import Caller

logger = logging.getLogger(__name__)

CHANNEL = "llmring_keys"  # the trigger of migration accounts.0002 notifies it
ANONYMOUS = ApiKey(id=UUID(int=0))
_PROOF_SECONDS = 0.3  # how often the listener proves that its connection lives
_TRUST_SECONDS = 0.9  # how long one proof is good for
MAX_CACHED_CALLERS = 100_000


class KeyRefused(Exception):
    """The key is unknown (in strict mode), revoked or expired."""


@dataclass(frozen=True, slots=True)
class _Found:
    caller: Caller
    expires_at: datetime | None


_callers: dict[bytes, _Found] = {}


def remembered(digest: bytes) -> Caller | None:
    """The caller of a key that was looked up before and has not changed since; None if unsure."""
    found = _callers.get(digest)
    if found is None or not listener.vouches:
        return None
    if found.expires_at is not None and found.expires_at <= timezone.now():
        return None
    return found.caller


def authenticate_key(key: str, *, writing: bool) -> Caller:
    """The caller that a well-formed key opens.

    In bridge mode a key never seen before opens a project of its own, which
    is made when the request is one that writes; until then it sees nothing.
    Raises KeyRefused.
    """
    digest = keys.digest(key)
    if caller := remembered(digest):
        return caller
    generation = listener.generation
    found = _look_up(digest) or _first_seen(digest, writing)
    if found is None:
        return Caller(project_id=ANONYMOUS.id, api_key_id=ANONYMOUS.id)
    # A change that arrived while we looked may be newer than what we saw.
    if listener.vouches and listener.generation == generation:
        if len(_callers) >= MAX_CACHED_CALLERS:
            _callers.clear()
        _callers[digest] = found
    return found.caller


def _look_up(digest: bytes) -> _Found | None:
    row = (
        ApiKey.objects.filter(digest=digest)
        .values_list("id", "project_id", "expires_at", "revoked_at")
        .first()
    )
    if row is None:
        return None
    id, project_id, expires_at, revoked_at = row
    if revoked_at or (expires_at and expires_at <= timezone.now()):
        raise KeyRefused
    return _Found(Caller(project_id=project_id, api_key_id=id), expires_at)


def _first_seen(digest: bytes, writing: bool) -> _Found | None:
    if settings.API_KEY_VALIDATION_MODE == "strict":
        raise KeyRefused
    if not writing:
        return None
    with transaction.atomic():
        # Two first requests may race: the lock makes the second see the first one's rows.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], signed=True)]
            )
        if found := _look_up(digest):
            return found
        project = Project.objects.create(name=f"Key {digest.hex()[:8]}")
        row = ApiKey.objects.create(project=project, digest=digest, name="brought by its client")
    return _Found(Caller(project_id=project.id, api_key_id=row.id), None)


class KeyListener(threading.Thread):
    """Listens for changed keys on a connection of its own, for as long as the process lives."""

    def __init__(self) -> None:
        super().__init__(name="key-listener", daemon=True)
        self.generation = 0
        self.listening = threading.Event()
        self._stopped = threading.Event()
        self._proven_at = float("-inf")

    @property
    def vouches(self) -> bool:
        """Whether a change of keys would have been heard by now."""
        return time.monotonic() - self._proven_at < _TRUST_SECONDS

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except (psycopg.Error, OSError) as error:
                logger.warning("key listener lost its connection: %s", type(error).__name__)
            self._proven_at = float("-inf")
            self._forget()
            self._stopped.wait(1)

    def stop(self) -> None:
        """End the thread and its connection."""
        self._stopped.set()
        self.join()

    def _listen(self) -> None:
        with own_connection.connect() as own:
            own.prepare_threshold = None  # behind a pooler, the next server would not know it
            own.execute(f"LISTEN {CHANNEL}")
            # Behind a pooler in transaction mode LISTEN succeeds and nothing of other
            # connections ever arrives: then this notification does not either.
            with own_connection.connect() as other:
                other.execute(f"NOTIFY {CHANNEL}")
            if not any(own.notifies(timeout=2, stop_after=1)):
                logger.warning("notifications do not arrive; every request looks its key up")
                self._stopped.wait(60)
                return
            self._forget()
            while not self._stopped.is_set():
                self._prove()
                self.listening.set()
                if any(own.notifies(timeout=_PROOF_SECONDS, stop_after=1)):
                    self._forget()
                own.execute("SELECT 1")

    def _prove(self) -> None:
        self._proven_at = time.monotonic()

    def _forget(self) -> None:
        self.generation += 1
        _callers.clear()


listener = KeyListener()
