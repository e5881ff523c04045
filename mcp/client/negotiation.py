"""Open sessions: choose the transport, and negotiate the protocol version."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from core.secrets import Sealed
from mcp import server_urls
from mcp.client import protocol, sse, stdio
from mcp.client.auth_headers import Credentials
from mcp.client.http_transport import HttpTransport
from mcp.client.mcp_errors import (
    HttpError,
    McpError,
    ProtocolViolation,
    Refused,
    Rejected,
    RpcError,
    ServerFault,
    TimedOut,
    Unreachable,
)
from mcp.client.session import QUICK_TIMEOUT_SECONDS, Connection, Session
from mcp.client.streamable import Streamable

_PROBE_TIMEOUT_SECONDS = 5  # older servers may leave `server/discover` unanswered
# Statuses with which servers without Streamable HTTP answer a POST.
_NOT_STREAMABLE = (400, 404, 405, 406, 415)
# With these, only servers without handshake refuse `initialize`.
_NO_HANDSHAKE = (
    protocol.UNSUPPORTED_VERSION,
    protocol.HEADER_MISMATCH,
    protocol.METHOD_NOT_FOUND,
)
_BLAME = ", after server/discover; if that has crashed it, restart it and set legacy"
_ALL_VERSIONS = protocol.MODERN_VERSIONS + protocol.HANDSHAKE_VERSIONS


def _ignore_change() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Target:
    """Which server to call, and how. Plain data: calls hold no database connection.

    `on_list_changed` is called, from any thread, when the server says that its tools,
    resources or prompts have changed.
    """

    id: UUID
    url: str
    transport: str
    project_id: UUID
    auth_config: Sealed | None = None
    timeout_seconds: float | None = None
    is_legacy: bool = False
    known_version: str = field(default="", compare=False)
    on_list_changed: Callable[[], None] = field(default=_ignore_change, compare=False)


def open_session(target: Target) -> Session:
    """Open a session in the newest revision that both speak. Raises McpError."""
    session = _open(target)
    session.on_list_changed = target.on_list_changed
    session.listen()
    return session


def _open(target: Target) -> Session:
    match target.transport:
        case "http":
            return _open_http(target)
        case "sse":
            return _negotiate(sse.connect(_http(target)), versions=protocol.HANDSHAKE_VERSIONS)
    return _open_stdio(target)  # websocket is refused before, as are commands that are not listed


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


def _open_stdio(target: Target) -> Session:
    words = server_urls.allowed_command(target.url)
    if words is None:
        raise Refused(server_urls.UNLISTED_COMMAND)
    # No quick timeout: a command like `uvx` may first download what it runs.
    versions, timeout = _versions(target), float("inf")
    try:
        return _negotiate(stdio.connect(words), versions=versions, timeout=timeout)
    except (Unreachable, RpcError):
        if versions == protocol.HANDSHAKE_VERSIONS:
            raise
    # Some servers exit at a first message that is not `initialize`, or refuse it afterwards.
    versions = protocol.HANDSHAKE_VERSIONS
    return _negotiate(stdio.connect(words), versions=versions, timeout=timeout)


def _versions(target: Target) -> tuple[str, ...]:
    """Return the revisions to try: no probe if a handshake worked the last time."""
    if target.is_legacy or target.known_version in protocol.HANDSHAKE_VERSIONS:
        return protocol.HANDSHAKE_VERSIONS
    return _ALL_VERSIONS


def _negotiate(
    connection: Connection, *, versions: tuple[str, ...], timeout: float = QUICK_TIMEOUT_SECONDS
) -> Session:
    session = Session(connection)
    probe = _Probe()
    try:
        if versions == _ALL_VERSIONS and _discover(session, probe):
            return session
        try:
            with probe.blamed():
                session.initialize(timeout=timeout)
        except RpcError as error:
            if version := _older_version(error):
                session.initialize(version, timeout=timeout)
            elif error.code not in _NO_HANDSHAKE or not _discover(session, probe):
                raise
        return session
    except BaseException:
        connection.close({})
        raise


@dataclass(slots=True)
class _Probe:
    """How a server that is older than `server/discover` took it."""

    loss: McpError | None = None  # instead of an answer

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Name the probe in the failure of the block if it may have crashed the server.

        Python's SDK 1.8 and 1.9 ends all sessions of a stateless server at an unknown method.
        """
        try:
            yield
        except (HttpError, Unreachable) as error:
            is_crash = isinstance(error, Unreachable) or error.status >= 500
            # A server that is away, or a proxy before it, fails in the same way both times.
            if self.loss is None or not is_crash or str(error) == str(self.loss):
                raise
            kind = Unreachable if isinstance(error, Unreachable) else ProtocolViolation
            raise kind(f"{error}{_BLAME}") from error


def _discover(session: Session, probe: _Probe) -> bool:
    """Return whether the server speaks a stateless revision. Raises McpError if it is away."""
    is_http = isinstance(session.connection, Streamable)
    try:
        return _agree(session) or _agree(session)
    except RpcError as error:
        supported = _supported(error)
        if supported is not None and not any(version in supported for version in _ALL_VERSIONS):
            raise ProtocolViolation("The MCP server speaks no revision known here") from error
        return False
    except ProtocolViolation as error:
        probe.loss = error
        return False  # with HttpError: some servers fail with 500 at an unknown method
    except TimedOut:
        if is_http:
            raise  # over HTTP an older server would have answered with an error
        return False
    except Unreachable as error:
        if not is_http:
            raise
        probe.loss = error
        return False  # some servers close the connection; one that is away fails again


def _agree(session: Session) -> bool:
    """Agree on a stateless revision; return False if the server refuses one that it lists.

    Such a request is to be sent again, with a revision of the list. Raises McpError.
    Source: MCP 2026-07-28, "UnsupportedProtocolVersionError".
    """
    try:
        session.discover(protocol.MODERN_VERSIONS[-1], timeout=_PROBE_TIMEOUT_SECONDS)
    except RpcError as error:
        if not any(version in (_supported(error) or []) for version in protocol.MODERN_VERSIONS):
            raise
        return False
    return True


def _older_version(error: RpcError) -> str:
    """Return the newest revision with handshake that a refused `initialize` lists, or "".

    Servers should answer with a revision of theirs; some refuse the newest instead.
    Source: MCP 2025-11-25, "Lifecycle", "Error Handling".
    """
    listed = _listed(error) or []
    older = [each for each in protocol.HANDSHAKE_VERSIONS[:-1] if each in listed]
    return older[-1] if older else ""


def _supported(error: RpcError) -> list | None:
    """Return the revisions that an error about the revision lists."""
    return _listed(error) if error.code == protocol.UNSUPPORTED_VERSION else None


def _listed(error: RpcError) -> list | None:
    supported = error.data.get("supported") if isinstance(error.data, dict) else None
    return supported if isinstance(supported, list) else None


def is_outdated(error: McpError) -> bool:
    """Return whether the server may be another one than the session was negotiated with."""
    if isinstance(error, Unreachable | HttpError | Rejected | ServerFault):
        return True
    codes = (protocol.UNSUPPORTED_VERSION, protocol.HEADER_MISMATCH)
    return isinstance(error, RpcError) and error.code in codes
