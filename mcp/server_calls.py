"""Open sessions with registered MCP servers, and record on their rows how that went.

No database connection is held while a server is waited for: a worker has few of
them, and MCP servers can take long.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from django.conf import settings
from django.db import connection
from django.utils import timezone

from core.errors import DomainError
from mcp.client.mcp_errors import McpError, Refused, TimedOut, Unreachable
from mcp.client.negotiation import Target
from mcp.client.session import Session
from mcp.client.session_pool import pool
from mcp.models import Server, Transport


class ServerFailed(DomainError):
    """The MCP server failed, or could not be reached."""

    status_code = 502
    code = "mcp_server_failed"


class NotCallable(DomainError):
    """The server must not be called: it is inactive, or its transport or calling is not enabled."""

    code = "mcp_not_callable"


def check_callable(server: Server) -> None:
    """Raise NotCallable."""
    if not settings.MCP_EXECUTE:
        raise NotCallable("Calling MCP servers is switched off (LLMRING_MCP_EXECUTE)")
    if not server.is_active:
        raise NotCallable("The MCP server is switched off (is_active)")
    if server.transport_type == Transport.WEBSOCKET:
        raise NotCallable("Calling MCP servers over websocket is not supported")


def session(server: Server) -> AbstractContextManager[Session]:
    """Return a context manager with a session for one call.

    It raises McpError, also that of the call in the block, and TooBusy.
    """
    return _recorded(server, pool.session)


def fresh_session(server: Server) -> AbstractContextManager[Session]:
    """Like `session`, with the protocol version negotiated anew."""
    return _recorded(server, pool.fresh_session)


@contextmanager
def as_bad_gateway() -> Iterator[None]:
    """Raise McpErrors of the block as ServerFailed."""
    try:
        yield
    except McpError as error:
        raise ServerFailed(str(error)) from error


@contextmanager
def _recorded(server: Server, opened) -> Iterator[Session]:
    target = Target(
        id=server.id,
        url=server.url,
        transport=server.transport_type,
        project_id=server.project_id,
        auth_config=server.auth_config,
        known_version=server.protocol_version,
    )
    if not connection.in_atomic_block:
        connection.close()  # back to the pool
    try:
        with opened(target) as session:
            yield session
    except McpError as error:
        is_away = isinstance(error, Unreachable | TimedOut | Refused)
        _record(server, failure=str(error) if is_away else "")
        raise
    _record(server, failure="")


def _record(server: Server, *, failure: str) -> None:
    """Store whether the server was reached, if that changed."""
    state = {"reachable": not failure, "last_error": failure[:1000]}
    if any(getattr(server, name) != value for name, value in state.items()):
        Server.objects.filter(pk=server.pk).update(**state, contacted_at=timezone.now())
