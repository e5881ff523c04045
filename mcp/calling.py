"""Calling a registered MCP server from a request: what is read from its row, and noted there.

No database connection is held while a server is waited for: a worker has few of
them, and MCP servers take their time.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from django.conf import settings
from django.db import connection
from django.utils import timezone

from core.errors import DomainError
from mcp.client.errors import McpError, Refused, TimedOut, Unreachable
from mcp.client.opening import Target
from mcp.client.pool import pool
from mcp.client.session import Session
from mcp.models import Server, Transport


class ServerFailed(DomainError):
    """An MCP server did not do its part."""

    status_code = 502
    code = "mcp_server_failed"


class NotCallable(DomainError):
    """This server is not called: its owner, its transport or the settings are against it."""

    code = "mcp_not_callable"


def check_callable(server: Server) -> None:
    """Raises NotCallable."""
    if not settings.MCP_EXECUTE:
        raise NotCallable("Calling MCP servers is switched off (LLMRING_MCP_EXECUTE)")
    if not server.is_active:
        raise NotCallable("The MCP server is switched off (is_active)")
    if server.transport_type == Transport.WEBSOCKET:
        raise NotCallable("Calling MCP servers over websocket is not supported")


def session(server: Server) -> AbstractContextManager[Session]:
    """A session for one call. Raises McpError, of the call in the block too, and TooBusy."""
    return _noted(server, pool.session)


def fresh_session(server: Server) -> AbstractContextManager[Session]:
    """As `session`, with the revision of the protocol agreed anew."""
    return _noted(server, pool.fresh_session)


@contextmanager
def failing_as_reply() -> Iterator[None]:
    """Raises McpErrors as ServerFailed."""
    try:
        yield
    except McpError as error:
        raise ServerFailed(str(error)) from error


@contextmanager
def _noted(server: Server, opened) -> Iterator[Session]:
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
        with opened(target) as found:
            yield found
    except McpError as error:
        away = isinstance(error, Unreachable | TimedOut | Refused)
        _note(server, failure=str(error) if away else "")
        raise
    _note(server, failure="")


def _note(server: Server, *, failure: str) -> None:
    """Whether the server was reached; written when that is news."""
    news = {"reachable": not failure, "last_error": failure[:1000]}
    if any(getattr(server, name) != value for name, value in news.items()):
        Server.objects.filter(pk=server.pk).update(**news, contacted_at=timezone.now())
