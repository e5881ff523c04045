"""From a registered server to a session: the transport, and the revision of the protocol."""

from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from core.secrets import Sealed
from mcp import targets
from mcp.client import sse, stdio, wire
from mcp.client.auth import Credentials
from mcp.client.errors import HttpError, ProtocolViolation, Refused, RpcError, TimedOut
from mcp.client.http import Http
from mcp.client.session import QUICK_SECONDS, Connection, Session
from mcp.client.streamable import Streamable

_PROBE_SECONDS = 5  # an older server may leave the first question unanswered
# The answers to a POST that say: this is no Streamable HTTP.
_NOT_STREAMABLE = (400, 404, 405, 406, 415)


@dataclass(frozen=True, slots=True)
class Target:
    """Which server to call, and how. Without ORM: no call may hold a database connection."""

    id: UUID
    url: str
    transport: str
    project_id: UUID
    auth_config: Sealed | None = None
    known_version: str = field(default="", compare=False)


def open_session(target: Target) -> Session:
    """A session with the server, in the newest revision that both speak. Raises McpError."""
    match target.transport:
        case "http":
            return _open_http(target)
        case "sse":
            return _agreed(sse.connect(_http(target)), versions=wire.HANDSHAKE_VERSIONS)
        case "stdio":
            words = targets.listed_command(target.url)
            if words is None:
                raise Refused("The command is not one of LLMRING_MCP_STDIO_COMMANDS")
            # A command may first have to fetch what it runs: it has the whole time to start.
            return _agreed(stdio.connect(words), versions=_versions(target), patience=float("inf"))
    raise Refused(f"Calling MCP servers over {target.transport} is not supported")


def _http(target: Target) -> Http:
    credentials = Credentials(target.auth_config)
    return Http(target.url, credentials, pool_size=settings.MCP_CONCURRENCY + 4)


def _open_http(target: Target) -> Session:
    try:
        return _agreed(Streamable(_http(target)), versions=_versions(target))
    except HttpError as error:
        if error.status not in _NOT_STREAMABLE:
            raise
        not_streamable = error
    try:
        return _agreed(sse.connect(_http(target)), versions=wire.HANDSHAKE_VERSIONS)
    except (HttpError, ProtocolViolation):
        raise not_streamable from None


def _versions(target: Target) -> tuple[str, ...]:
    """The revisions to try: who shook hands the last time is not asked for more."""
    if target.known_version in wire.HANDSHAKE_VERSIONS:
        return wire.HANDSHAKE_VERSIONS
    return wire.MODERN_VERSIONS + wire.HANDSHAKE_VERSIONS


def _agreed(
    connection: Connection, *, versions: tuple[str, ...], patience: float = QUICK_SECONDS
) -> Session:
    session = Session(connection)
    try:
        if set(versions) & set(wire.MODERN_VERSIONS) and _discovered(session):
            return session
        try:
            session.initialize(patience=patience)
        except RpcError as error:
            # An answer that only servers without handshake give.
            if error.code != wire.UNSUPPORTED_VERSION or not _discovered(session):
                raise
        return session
    except BaseException:
        connection.close({})
        raise


def _discovered(session: Session) -> bool:
    """Whether the server can do without a handshake. Raises McpError when it is not there."""
    version = wire.MODERN_VERSIONS[-1]
    try:
        session.discover(version, patience=_PROBE_SECONDS)
        return True
    except RpcError as error:
        supported = error.data.get("supported") if isinstance(error.data, dict) else None
        if error.code == wire.UNSUPPORTED_VERSION and isinstance(supported, list):
            ours = wire.MODERN_VERSIONS + wire.HANDSHAKE_VERSIONS
            if not any(version in supported for version in ours):
                raise ProtocolViolation("The MCP server speaks no revision known here") from error
        return False
    except HttpError as error:
        if error.status >= 500:
            raise
        return False
    except ProtocolViolation:
        return False
    except TimedOut:
        if isinstance(session.connection, Streamable):
            raise  # over HTTP somebody would have said that this is unknown
        return False
