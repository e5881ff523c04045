"""Call registered MCP servers, and record on their rows how that went.

No database connection is held while a server is waited for: a worker has few of
them, and MCP servers can take long.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from core.errors import DomainError
from mcp import server_urls
from mcp.client.mcp_errors import (
    Cancelled,
    McpError,
    NotSent,
    Refused,
    TimedOut,
    Unauthorized,
    Unreachable,
)
from mcp.client.negotiation import Target
from mcp.client.session import Session
from mcp.client.session_pool import pool
from mcp.models import Server, Transport

T = TypeVar("T")


class ServerFailed(DomainError):
    """The MCP server failed, or could not be reached."""

    status_code = 502
    code = "mcp_server_failed"


class NotCallable(DomainError):
    """The server must not be called: inactive, not enabled, a forbidden address, and the like."""

    code = "mcp_not_callable"


class ChangedServers:
    """The servers that said that their lists have changed, for `background_refresh`."""

    def __init__(self) -> None:
        self._ids: queue.SimpleQueue[UUID] = queue.SimpleQueue()
        self.arrived = threading.Event()

    def add(self, id: UUID) -> None:
        self._ids.put(id)
        self.arrived.set()

    def take(self) -> set[UUID]:
        """Remove and return the ids that are there. Never waits: several threads take them."""
        ids = set()
        with suppress(queue.Empty):
            while True:
                ids.add(self._ids.get_nowait())
        return ids


changed_servers = ChangedServers()


def check_callable(server: Server) -> None:
    """Raise NotCallable, with the reason, unless this deployment may call the server."""
    if not settings.MCP_EXECUTE:
        raise NotCallable("Calling MCP servers is switched off (LLMRING_MCP_EXECUTE)")
    if not server.is_active:
        raise NotCallable("The MCP server is switched off (is_active)")
    if server.transport_type == Transport.WEBSOCKET:
        raise NotCallable("Calling MCP servers over websocket is not supported")
    is_stdio = server.transport_type == Transport.STDIO
    if is_stdio and server_urls.allowed_command(server.url) is None:
        raise NotCallable(server_urls.UNLISTED_COMMAND)


def call(server: Server, ask: Callable[[Session], T]) -> T:
    """Return what `ask` makes of a session with the server. Raises McpError and TooBusy."""
    with _recording(server) as contact:

        def ask_and_note(session: Session) -> T:
            contact.version = session.version
            return ask(session)

        return pool.call(contact.target, ask_and_note)


@contextmanager
def fresh_session(server: Server) -> Iterator[Session]:
    """Yield a session whose protocol version has just been negotiated. Raises as `call`."""
    with _recording(server) as contact, pool.fresh_session(contact.target) as session:
        contact.version = session.version
        yield session


@contextmanager
def as_domain_errors() -> Iterator[None]:
    """Raise McpErrors of the block as ServerFailed, or NotCallable where nothing was sent."""
    try:
        yield
    except NotSent as error:
        raise NotCallable(str(error)) from error
    except McpError as error:
        raise ServerFailed(str(error)) from error


@dataclass(slots=True)
class _Contact:
    target: Target
    version: str = ""


@contextmanager
def _recording(server: Server) -> Iterator[_Contact]:
    contact = _Contact(
        Target(
            id=server.id,
            url=server.url,
            transport=server.transport_type,
            project_id=server.project_id,
            auth_config=server.auth_config,
            timeout_seconds=server.timeout_seconds,
            is_legacy=server.legacy,
            known_version=server.protocol_version,
            on_list_changed=partial(changed_servers.add, server.id),
        )
    )
    if not connection.in_atomic_block:
        connection.close()  # back to the pool
    try:
        yield contact
    except Cancelled:  # which says nothing of the server
        raise
    except McpError as error:
        if isinstance(error, Unreachable | TimedOut | Unauthorized):
            _record(server, reachable=False, last_error=str(error)[:1000])
        elif not isinstance(error, Refused):  # that one is this server's own
            _record_answer(server, contact)
        raise
    _record_answer(server, contact)


def _record_answer(server: Server, contact: _Contact) -> None:
    """Store that the server answered. Errors of the last refresh stay."""
    _record(server, protocol_version=contact.version or server.protocol_version)
    if not server.reachable:
        # Another refresh may have reached it since the row was read, and named its errors.
        _record(server, ~Q(reachable=True), reachable=True, last_error="")


def _record(server: Server, *conditions: Q, **state) -> None:
    """Store how the contact went, if that is new, and the server has not moved meanwhile."""
    if any(getattr(server, name) != value for name, value in state.items()):
        address = {"url": server.url, "transport_type": server.transport_type}
        rows = Server.objects.filter(*conditions, pk=server.pk, **address)
        rows.update(**state, contacted_at=timezone.now())
        for name, value in state.items():
            setattr(server, name, value)
