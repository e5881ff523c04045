"""Keep sessions with MCP servers open between calls, shared by the threads of a process.

Opening one costs a handshake or the start of a process. A session ends when it was
idle for some minutes, or when its server's registration changes.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from django.conf import settings

from core import egress
from core.egress.deadlines import remaining
from core.errors import DomainError
from mcp.client.duplex import Duplex
from mcp.client.mcp_errors import (
    Cancelled,
    McpError,
    Refused,
    Rejected,
    TimedOut,
    translated,
)
from mcp.client.negotiation import Target, is_outdated, open_session
from mcp.client.session import Session

T = TypeVar("T")

# Of the 64 threads of a worker (core/bridge.py): the others stay free for everything
# else, however slow MCP servers are.
MAX_CALLS = 52
_MAX_CALLS_PER_PROJECT = 40  # hanging servers of one project must not block all others
_MAX_SESSIONS = 200
_IDLE_SECONDS = 300
_REAP_SECONDS = 30
_MAX_TIMEOUTS = 3  # consecutive ones, after which the session is replaced


class TooBusy(DomainError):
    """This process has no slot left for another call."""

    status_code = 503
    code = "too_busy"
    headers = {"Retry-After": "2"}

    def __init__(self) -> None:
        super().__init__("Too many MCP calls are in progress; try again")


@dataclass
class _Slot:
    """The shared session of one server, and its concurrency limit."""

    target: Target
    session: Session | None = None
    used_at: float = 0.0
    users: int = 0
    timeouts: int = 0  # consecutive
    is_closed: bool = False
    replaced: list[Session] = field(default_factory=list)
    opening: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.permits = threading.BoundedSemaphore(settings.MCP_CONCURRENCY)

    def ready(self) -> Session:
        """Return the session, opened if there is none alive. Raises McpError."""
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

    @contextmanager
    def lend(self) -> Iterator[Session]:
        """Yield the session for one call, and drop it if the call shows that it is unusable."""
        session = self.ready()
        try:
            yield session
            self.timeouts = 0
        except McpError as error:
            if not isinstance(error, Cancelled):
                self.timeouts = self.timeouts + 1 if isinstance(error, TimedOut) else 0
            hangs = self.timeouts >= _MAX_TIMEOUTS
            if (hangs or is_outdated(error)) and self.session is session:
                self.session = None
                if isinstance(session.connection, Duplex):  # its stream would stay open
                    _in_background(session.close)
                else:
                    session.connection.stop_listening()
            raise

    def adopt(self, session: Session) -> bool:
        """Replace the session by one that was opened since; return False for a closed slot.

        Calls that still run in the old one may finish.
        """
        with self.opening:
            if self.is_closed:
                return False
            old, self.session = self.session, session
            self.timeouts = 0
        if old is not None and old is not session:
            self.replaced.append(old)
        return True

    def take_replaced(self) -> list[Session]:
        """Remove and return the replaced sessions that are no longer in use."""
        if self.users:
            return []
        replaced, self.replaced = self.replaced, []
        return replaced

    def close(self) -> None:
        """End the session, also one that is just being opened."""
        with self.opening:
            self.is_closed = True
            sessions = [*self.replaced, *([self.session] if self.session else [])]
            self.session, self.replaced = None, []
        for session in sessions:
            session.close()


class Pool:
    def __init__(self) -> None:
        self._slots: dict[UUID, _Slot] = {}
        self._lock = threading.Lock()
        self._calls = threading.BoundedSemaphore(MAX_CALLS)
        self._reaper: threading.Thread | None = None

    def call(self, target: Target, ask: Callable[[Session], T]) -> T:
        """Return what `ask` makes of a session, within the time that a call may take.

        When the server turns the call away before it ran, because it has lost the session or
        is another one meanwhile, `ask` is repeated once in a new session. Raises McpError and
        TooBusy.
        """
        with self._admit(target) as slot:
            try:
                with slot.lend() as session:
                    return ask(session)
            except Rejected:
                pass
            try:
                with slot.lend() as session:
                    return ask(session)
            except Rejected as error:
                raise error.reason from None

    @contextmanager
    def fresh_session(self, target: Target) -> Iterator[Session]:
        """Yield a newly negotiated session, which then replaces the pool's."""
        with self._admit(target) as slot:
            # A stdio server that exits at a probe would be started twice each time.
            known = target.known_version if target.transport == "stdio" else ""
            session = open_session(replace(target, known_version=known))
            try:
                yield session
            except BaseException:
                _in_background(session.close)
                raise
            if not slot.adopt(session):
                _in_background(session.close)

    def forget(self, id: UUID) -> None:
        """End the session with a server; running calls fail or finish."""
        with self._lock:
            slot = self._slots.pop(id, None)
        if slot is not None:
            _in_background(slot.close)

    @contextmanager
    def _admit(self, target: Target) -> Iterator[_Slot]:
        if not self._calls.acquire(blocking=False):
            raise TooBusy
        seconds = target.timeout_seconds or settings.MCP_TIMEOUT
        try:
            with (
                translated(),
                egress.time_limit(seconds, max_seconds=settings.MCP_MAX_TIMEOUT),
                self._slot_of(target) as slot,
            ):
                yield slot
        finally:
            self._calls.release()

    @contextmanager
    def _slot_of(self, target: Target) -> Iterator[_Slot]:
        with self._lock:
            if self._users_of(target.project_id) >= _MAX_CALLS_PER_PROJECT:
                raise TooBusy
            slot = self._slots.get(target.id)
            if slot is None or slot.target != target:
                outdated, slot = slot, _Slot(target)
                self._slots[target.id] = slot
            else:
                outdated, slot.target = None, target  # with what is known of it now
            slot.users += 1
            self._start_reaper()
        gone = self._take_idle(time.monotonic()) if len(self._slots) > _MAX_SESSIONS else []
        for each in [*gone, *([outdated] if outdated else [])]:
            _in_background(each.close)
        try:
            if not slot.permits.acquire(timeout=remaining(3600)):
                raise Refused("The MCP server is busy with other calls of this server")
            try:
                yield slot
            finally:
                slot.permits.release()
        finally:
            with self._lock:
                slot.users -= 1
                slot.used_at = time.monotonic()
                replaced = slot.take_replaced()
            for session in replaced:
                _in_background(session.close)

    def _users_of(self, project_id: UUID) -> int:
        own = (each for each in self._slots.values() if each.target.project_id == project_id)
        return sum(slot.users for slot in own)

    def _start_reaper(self) -> None:
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._reap, name="mcp-reaper", daemon=True)
            self._reaper.start()

    def _reap(self) -> None:
        while True:
            time.sleep(_REAP_SECONDS)
            for slot in self._take_idle(time.monotonic()):
                _in_background(slot.close)

    def _take_idle(self, now: float) -> list[_Slot]:
        """Remove and return the slots that were idle for too long, or exceed the maximum."""
        with self._lock:
            unused = sorted(
                (slot for slot in self._slots.values() if not slot.users),
                key=lambda slot: slot.used_at,
            )
            surplus = len(self._slots) - _MAX_SESSIONS
            gone = [
                slot
                for index, slot in enumerate(unused)
                if index < surplus or now - slot.used_at > _IDLE_SECONDS
            ]
            for slot in gone:
                del self._slots[slot.target.id]
        return gone


def _in_background(close: Callable[[], None]) -> None:
    """Run `close` in a thread: a server that hangs delays it."""
    threading.Thread(target=close, name="mcp-close", daemon=True).start()


pool = Pool()
