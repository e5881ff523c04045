"""Sessions with MCP servers, kept open between calls and shared by the threads of a process.

Opening one takes a server's handshake, or the start of a process: too much for
every call. A session ends when it was idle for some minutes, or when its server's
registration changes.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.conf import settings

from core import egress
from core.egress.deadlines import remaining
from core.errors import DomainError
from mcp.client import wire
from mcp.client.duplex import Duplex
from mcp.client.errors import (
    HttpError,
    McpError,
    Refused,
    RpcError,
    TimedOut,
    Unreachable,
    translated,
)
from mcp.client.opening import Target, open_session
from mcp.client.session import Session

# Of the 64 threads that a worker has (llmring_site/cli.py): some stay free for
# everything else, however slow MCP servers are.
MOST_CALLS = 52
_MOST_OF_A_PROJECT = 40  # of them: what hangs in one project must not stop all others
_MOST_SESSIONS = 200
_IDLE_SECONDS = 300
_REAP_SECONDS = 30
_MOST_TIMEOUTS = 3  # in a row, after which another session may do better


class TooBusy(DomainError):
    """This process waits for as many MCP servers as it can."""

    status_code = 503
    code = "too_busy"
    headers = {"Retry-After": "2"}

    def __init__(self) -> None:
        super().__init__("Too many calls of MCP servers are under way; try again")


@dataclass
class _Place:
    """The session of one server, and how many may use it at once."""

    target: Target
    session: Session | None = None
    used_at: float = 0.0
    users: int = 0
    timeouts: int = 0  # in a row
    is_closed: bool = False
    opening: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.slots = threading.BoundedSemaphore(settings.MCP_CONCURRENCY)

    def ready(self) -> Session:
        """The session, opened if there is none that works. Raises McpError."""
        session = self.session
        if session is not None and session.is_alive:
            return session
        if not self.opening.acquire(timeout=remaining(3600)):
            raise TimedOut("The MCP server did not answer in time")
        try:
            if self.is_closed:
                raise Refused("The MCP server was changed or deleted meanwhile")
            if self.session is None or not self.session.is_alive:
                self.session = open_session(self.target)
            return self.session
        finally:
            self.opening.release()

    def takes(self, session: Session) -> bool:
        """Whether it has use for a session that was opened elsewhere."""
        if not self.opening.acquire(blocking=False):
            return False  # another one is about to be there
        try:
            needs = self.session is None or not self.session.is_alive
            if needs and not self.is_closed:
                self.session = session
            return self.session is session
        finally:
            self.opening.release()

    def close(self) -> None:
        """End the session; one that is being opened too, which else nobody would end."""
        with self.opening:
            self.is_closed = True
            session, self.session = self.session, None
        if session is not None:
            session.close()


class Pool:
    def __init__(self) -> None:
        self._places: dict[UUID, _Place] = {}
        self._lock = threading.Lock()
        self._calls = threading.BoundedSemaphore(MOST_CALLS)
        self._reaper: threading.Thread | None = None

    @contextmanager
    def session(self, target: Target) -> Iterator[Session]:
        """A session with the server, for one call that takes settings.MCP_TIMEOUT at most.

        Raises McpError, of the call in the block too, and TooBusy.
        """
        with self._admitted(target) as place:
            session = place.ready()
            try:
                yield session
                place.timeouts = 0
            except McpError as error:
                place.timeouts = place.timeouts + 1 if isinstance(error, TimedOut) else 0
                hangs = place.timeouts >= _MOST_TIMEOUTS
                if (hangs or _is_stale(error)) and place.session is session:
                    place.session = None
                    if isinstance(session.connection, Duplex):  # its stream would stay open
                        _in_background(session.close)
                raise

    @contextmanager
    def fresh_session(self, target: Target) -> Iterator[Session]:
        """As `session`, but one that is opened anew, so that its revision is agreed anew."""
        with self._admitted(target) as place:
            session = open_session(replace(target, known_version=""))
            try:
                yield session
            except BaseException:
                _in_background(session.close)
                raise
            if not place.takes(session):
                _in_background(session.close)

    def forget(self, id: UUID) -> None:
        """End the session with a server; calls under way fail or finish."""
        with self._lock:
            place = self._places.pop(id, None)
        if place is not None:
            _in_background(place.close)

    @contextmanager
    def _admitted(self, target: Target) -> Iterator[_Place]:
        if not self._calls.acquire(blocking=False):
            raise TooBusy
        try:
            with (
                translated(),
                egress.time_limit(settings.MCP_TIMEOUT),
                self._place(target) as place,
            ):
                yield place
        finally:
            self._calls.release()

    @contextmanager
    def _place(self, target: Target) -> Iterator[_Place]:
        with self._lock:
            if self._users_of(target.project_id) >= _MOST_OF_A_PROJECT:
                raise TooBusy
            place = self._places.get(target.id)
            if place is None or place.target != target:
                outdated, place = place, _Place(target)
                self._places[target.id] = place
            else:
                outdated = None
            place.users += 1
            self._start_reaper()
        gone = self._take_idle(time.monotonic()) if len(self._places) > _MOST_SESSIONS else []
        for each in [*gone, *([outdated] if outdated else [])]:
            _in_background(each.close)
        try:
            if not place.slots.acquire(timeout=remaining(3600)):
                raise Refused("The MCP server is busy with other calls of ours")
            try:
                yield place
            finally:
                place.slots.release()
        finally:
            with self._lock:
                place.users -= 1
                place.used_at = time.monotonic()

    def _users_of(self, project_id: UUID) -> int:
        own = (each for each in self._places.values() if each.target.project_id == project_id)
        return sum(place.users for place in own)

    def _start_reaper(self) -> None:
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._reap, name="mcp-reaper", daemon=True)
            self._reaper.start()

    def _reap(self) -> None:
        while True:
            time.sleep(_REAP_SECONDS)
            for place in self._take_idle(time.monotonic()):
                _in_background(place.close)

    def _take_idle(self, now: float) -> list[_Place]:
        """Remove the places that were idle for too long, or are too many."""
        with self._lock:
            unused = sorted(
                (place for place in self._places.values() if not place.users),
                key=lambda place: place.used_at,
            )
            surplus = len(self._places) - _MOST_SESSIONS
            gone = [
                place
                for index, place in enumerate(unused)
                if index < surplus or now - place.used_at > _IDLE_SECONDS
            ]
            for place in gone:
                del self._places[place.target.id]
        return gone


def _is_stale(error: McpError) -> bool:
    """Whether the server may be another one than the session was agreed with."""
    if isinstance(error, RpcError):
        return error.code in (wire.UNSUPPORTED_VERSION, wire.HEADER_MISMATCH)
    return isinstance(error, Unreachable | HttpError)


def _in_background(close: Callable[[], None]) -> None:
    """A server that does not answer any more takes its time when it is left, too."""
    threading.Thread(target=close, name="mcp-close", daemon=True).start()


pool = Pool()
