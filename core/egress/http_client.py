"""HTTP requests on the event loop: the policy of this package, for streams.

    answer = await client.send("POST", url, headers, body, connect_seconds=5)
    while data := await answer.read():
        …
    answer.close()

A client follows no redirects, keeps no cookies, decodes nothing, and adds only `Host` and the
headers that delimit the body.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterable, Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import certifi
from aiohappyeyeballs import start_connection
from django.conf import settings
from django.utils.functional import cached_property

from core.egress.addresses import is_permitted
from core.egress.http_answer import Answer
from core.egress.http_connection import HttpConnection
from core.origins import DEFAULT_PORTS

# Shorter than servers keep idle connections: few calls use one that is being closed.
KEEP_ALIVE_SECONDS = 15
_LOOKUP_SECONDS = 10  # for which a host's addresses are cached
_EYEBALL_SECONDS = 0.25  # after which another address is tried as well (RFC 8305)
_WITHOUT_LENGTH = frozenset({"GET", "HEAD", "OPTIONS"})  # without a body: no Content-Length

Body = bytes | AsyncIterable[bytes] | None


class Unreachable(ConnectionError):
    """No connection to the host could be made; nothing was sent."""


class _ForbiddenAddress(OSError):
    """The policy refuses the address; nothing was sent."""


class _Origin(NamedTuple):
    is_encrypted: bool
    host: str
    port: int


class _Target(NamedTuple):
    origin: _Origin
    host: str  # as in the Host header
    path: str


class HttpClient:
    """Sends requests over pooled connections. Belongs to the loop that it was created on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._connections: set[HttpConnection] = set()
        # In the order in which they became idle, each with that time.
        self._idle: dict[_Origin, deque[tuple[float, HttpConnection]]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._lookups: dict[_Origin, asyncio.Future] = {}

    async def send(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]],
        body: Body = None,
        *,
        connect_seconds: float,
        head_seconds: float | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Return the answer as soon as its head is there.

        `head_seconds` limits the silence until then, `seconds` the whole answer. Raises
        Unreachable (also if connecting takes too long), BrokenConnection, TimeoutError
        (BodyStalled), and ValueError for a header with a line break.
        """
        ends_at = None
        if seconds is not None:
            ends_at = self._loop.time() + seconds
            connect_seconds = min(connect_seconds, seconds)
        try:
            target = _target(url)
        except ValueError as error:  # the host or the port is invalid
            raise Unreachable(str(error)) from error
        head, is_chunked = _head(method, target, headers, body)
        connection = self._take(target.origin)
        if connection is None:
            connection = await self._open(target.origin, connect_seconds)
        answer = connection.request(
            head, b"" if body is None else body, is_chunked=is_chunked, is_for_head=method == "HEAD"
        )
        if head_seconds is not None:
            answer.limit_silence(head_seconds)
        if ends_at is not None:
            answer.limit_time(max(ends_at - self._loop.time(), 0))
        try:
            return await answer.head()
        except BaseException:
            answer.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        for connection in [*self._connections]:
            connection.abort()

    def _take(self, origin: _Origin) -> HttpConnection | None:
        """Return the idle connection that was used last; None if there is none."""
        idle = self._idle.get(origin)
        while idle:
            _, connection = idle.pop()
            if connection.is_usable:
                return connection
        return None

    def _keep(self, origin: _Origin, connection: HttpConnection) -> None:
        self._idle.setdefault(origin, deque()).append((self._loop.time(), connection))
        if self._sweep is None:
            self._sweep = self._loop.call_later(KEEP_ALIVE_SECONDS, self._close_unused)

    def _close_unused(self) -> None:
        self._sweep = None
        oldest = self._loop.time() - KEEP_ALIVE_SECONDS
        for origin, idle in [*self._idle.items()]:
            while idle and idle[0][0] <= oldest:
                idle.popleft()[1].abort()
            if not idle:
                del self._idle[origin]
        if self._idle:
            first = min(idle[0][0] for idle in self._idle.values())
            self._sweep = self._loop.call_later(first - oldest, self._close_unused)

    async def _open(self, origin: _Origin, seconds: float) -> HttpConnection:
        try:
            async with asyncio.timeout(seconds):
                return await self._connect(origin)
        except (OSError, UnicodeError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            raise Unreachable(f"{origin.host}: {error or type(error).__name__}") from error

    async def _connect(self, origin: _Origin) -> HttpConnection:
        sock = await start_connection(
            await self._addresses(origin),
            happy_eyeballs_delay=_EYEBALL_SECONDS,
            interleave=1,
            loop=self._loop,
            socket_factory=_permitted_socket,
        )
        encryption = {}
        if origin.is_encrypted:
            encryption = {"ssl": self._trusted, "server_hostname": origin.host.rstrip(".")}
        try:
            _, connection = await self._loop.create_connection(
                partial(
                    HttpConnection,
                    self._loop,
                    freed=partial(self._keep, origin),
                    lost=self._connections.discard,
                ),
                sock=sock,
                **encryption,
            )
        except BaseException:
            sock.close()
            raise
        self._connections.add(connection)
        return connection

    async def _addresses(self, origin: _Origin) -> list[tuple]:
        lookup = self._lookups.get(origin)
        if lookup is None:
            looking = self._loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            lookup = self._lookups[origin] = asyncio.ensure_future(looking)
            lookup.add_done_callback(_forget_error)
            self._loop.call_later(_LOOKUP_SECONDS, self._lookups.pop, origin, None)
        try:
            return await asyncio.shield(lookup)
        except (OSError, UnicodeError):
            self._lookups.pop(origin, None)
            raise

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        """The certificates that `requests` trusts, too."""
        bundle = certifi.where() if settings.CA_BUNDLE is True else settings.CA_BUNDLE
        if Path(bundle).is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)


def _forget_error(lookup: asyncio.Future) -> None:
    """Retrieve the error of a lookup that nobody awaits, which asyncio would log."""
    if not lookup.cancelled():
        lookup.exception()


def _permitted_socket(address_info: tuple) -> socket.socket:
    """Return a socket for an address that was resolved. Raises _ForbiddenAddress."""
    family, kind, protocol, _, address = address_info
    if not is_permitted(address[0], private=settings.EGRESS == "private"):
        raise _ForbiddenAddress("the address is one that this server does not call")
    return socket.socket(family=family, type=kind, proto=protocol)


@lru_cache(maxsize=1024)
def _target(url: str) -> _Target:
    parts = urlsplit(url)
    default_port = DEFAULT_PORTS[parts.scheme]
    host = parts.hostname or ""
    origin = _Origin(parts.scheme == "https", host, parts.port or default_port)
    shown = f"[{host}]" if ":" in host else host.encode("idna").decode()
    if origin.port != default_port:
        shown += f":{origin.port}"
    return _Target(origin, shown, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _head(
    method: str, target: _Target, headers: Iterable[tuple[str, str]], body: Body
) -> tuple[bytes, bool]:
    """Return the head of a request, and whether its body is sent in chunks. Raises ValueError."""
    pairs = [("Host", target.host), *headers]
    is_chunked = False
    if isinstance(body, bytes):
        pairs.append(("Content-Length", str(len(body))))
    elif body is None:
        if method not in _WITHOUT_LENGTH:
            pairs.append(("Content-Length", "0"))
    elif not any(name.lower() == "content-length" for name, _ in pairs):
        pairs.append(("Transfer-Encoding", "chunked"))
        is_chunked = True
    lines = [f"{method} {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs)]
    text = "\r\n".join(lines)
    if not text.count("\n") == text.count("\r") == len(lines) - 1 or "\0" in text:
        raise ValueError("a header has a line break or a null character")
    return f"{text}\r\n\r\n".encode(), is_chunked
