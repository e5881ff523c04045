"""Open sessions: choose the transport, and negotiate the protocol version."""

from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from core.secrets import Sealed
from mcp import server_urls
from mcp.client import protocol, sse, stdio
from mcp.client.auth_headers import Credentials
from mcp.client.http_transport import HttpTransport
from mcp.client.mcp_errors import HttpError, ProtocolViolation, Refused, RpcError, TimedOut
from mcp.client.session import QUICK_TIMEOUT_SECONDS, Connection, Session
from mcp.client.streamable import Streamable

_PROBE_TIMEOUT_SECONDS = 5  # older servers may leave `server/discover` unanswered
# Statuses with which servers without Streamable HTTP answer a POST.
_NOT_STREAMABLE = (400, 404, 405, 406, 415)


@dataclass(frozen=True, slots=True)
class Target:
    """Which server to call, and how. Plain data: calls hold no database connection."""

    id: UUID
    url: str
    transport: str
    project_id: UUID
    auth_config: Sealed | None = None
    known_version: str = field(default="", compare=False)


def open_session(target: Target) -> Session:
    """Open a session in the newest revision that both speak. Raise McpError."""
    match target.transport:
        case "http":
            return _open_http(target)
        case "sse":
            return _negotiate(sse.connect(_http(target)), versions=protocol.HANDSHAKE_VERSIONS)
        case "stdio":
            words = server_urls.allowed_command(target.url)
            if words is None:
                raise Refused("The command is not one of LLMRING_MCP_STDIO_COMMANDS")
            # No quick timeout: a command like `uvx` may first download what it runs.
            return _negotiate(
                stdio.connect(words), versions=_versions(target), timeout=float("inf")
            )
    raise Refused(f"Calling MCP servers over {target.transport} is not supported")


def _http(target: Target) -> HttpTransport:
    credentials = Credentials(target.auth_config)
    return HttpTransport(target.url, credentials, pool_size=settings.MCP_CONCURRENCY + 4)


def _open_http(target: Target) -> Session:
    try:
        return _negotiate(Streamable(_http(target)), versions=_versions(target))
    except HttpError as error:
        if error.status not in _NOT_STREAMABLE:
            raise
        not_streamable = error
    try:
        return _negotiate(sse.connect(_http(target)), versions=protocol.HANDSHAKE_VERSIONS)
    except (HttpError, ProtocolViolation):
        raise not_streamable from None


def _versions(target: Target) -> tuple[str, ...]:
    """Return the revisions to try: no probe if a handshake worked the last time."""
    if target.known_version in protocol.HANDSHAKE_VERSIONS:
        return protocol.HANDSHAKE_VERSIONS
    return protocol.MODERN_VERSIONS + protocol.HANDSHAKE_VERSIONS


def _negotiate(
    connection: Connection, *, versions: tuple[str, ...], timeout: float = QUICK_TIMEOUT_SECONDS
) -> Session:
    session = Session(connection)
    try:
        if set(versions) & set(protocol.MODERN_VERSIONS) and _discover(session):
            return session
        try:
            session.initialize(timeout=timeout)
        except RpcError as error:
            # Only servers without handshake answer this.
            if error.code != protocol.UNSUPPORTED_VERSION or not _discover(session):
                raise
        return session
    except BaseException:
        connection.close({})
        raise


def _discover(session: Session) -> bool:
    """Return whether the server speaks a stateless revision. Raise McpError if it is away."""
    version = protocol.MODERN_VERSIONS[-1]
    try:
        session.discover(version, timeout=_PROBE_TIMEOUT_SECONDS)
        return True
    except RpcError as error:
        supported = error.data.get("supported") if isinstance(error.data, dict) else None
        if error.code == protocol.UNSUPPORTED_VERSION and isinstance(supported, list):
            ours = protocol.MODERN_VERSIONS + protocol.HANDSHAKE_VERSIONS
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
            raise  # over HTTP an older server would have answered with an error
        return False
