"""The ASGI application: the hot routes natively, everything else by Django.

A hot endpoint is a function of (caller, validated input), written once in its app; its
DRF view calls the same function. The edge knows no rule: who may call is asked of
`authenticate`, bodies and queries are read by their schemas, errors become replies as
in the views, and Django's own middleware writes the headers.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any

from django.conf import settings
from django.utils.functional import cached_property
from structlog.contextvars import bind_contextvars

from core import bridge, compression, media, memory, parsing, request_checks, request_ids
from core.client_address import client_address
from core.errors import BodyTooLarge, InvalidInput, failure
from core.middleware import log_access
from core.reply_headers import RawHeaders, add_common, common_headers, noted

logger = logging.getLogger(__name__)

MAX_PARSED_ON_LOOP = 64 * 1024  # bytes; larger bodies are parsed in a thread
# So are bodies with more of them: each takes a microsecond or two, and may be no more than `{}`.
_MAX_OBJECTS_ON_LOOP = 1_000
# Memory is released after larger bodies. It takes 10 ms: a third of a request of half that.
_RELEASE_BYTES = 1024 * 1024

_UUID = "([0-9a-fA-F-]{36})"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict]]
Send = Callable[[dict], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientDisconnected(Exception):
    """Nobody waits for the reply any more."""


class Headers(Mapping[str, str]):
    """Request headers by name in any case; repeated ones are joined, as WSGI does."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for raw_name, raw_value in raw:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            known = self._values.get(name)
            self._values[name] = value if known is None else f"{known},{value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    # The inherited ones raise and catch for every header that is missing.
    def get(self, name: str, default: Any = None) -> Any:
        return self._values.get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in self._values

    def __iter__(self):
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Request:
    """A request to the edge."""

    body_size = 0  # bytes, of the body that was read, without its content coding
    is_large = False  # too large, or of too many objects, for the event loop
    route: "Route | None" = None  # that serves it
    noted_headers: Mapping[str, str] = {}
    stores_log = False

    def __init__(self, scope: Scope, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        self._size = 0  # of the body so far
        self.headers = headers
        self.raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: str = scope["query_string"].decode("latin-1")
        self.host = headers.get("Host") or (scope.get("server") or [""])[0]
        self.scheme: str = scope.get("scheme", "http")
        peer = scope["client"][0] if scope.get("client") else ""
        self.client_address = client_address(peer, self.headers.get("X-Forwarded-For", ""))
        self.id = request_ids.choose(self.headers.get("X-Request-ID"))

    async def body(self, *, limit: int | None = None) -> bytes:
        """Return the whole body, without its content coding.

        `limit` is LLMRING_MAX_BODY_BYTES by default. Raises BodyTooLarge,
        UnsupportedCoding, MalformedBody, and ClientDisconnected.
        """
        most = self._limit(limit)
        part, more = await self._part(most)
        parts = [part]
        while more:  # not by `parts`: starting a generator costs more than a small body
            part, more = await self._part(most)
            parts.append(part)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if body and (coding := self.headers.get("Content-Encoding")):
            body = await bridge.in_thread(request_checks.decode, body, coding, limit=limit)
        self.body_size = len(body)
        return body

    async def parts(self, *, limit: int | None = None) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises BodyTooLarge, ClientDisconnected."""
        limit = self._limit(limit)
        more = True
        while more:
            part, more = await self._part(limit)
            yield part

    def _limit(self, limit: int | None) -> int:
        """Return the limit of the body, whose stated length does not exceed it."""
        if limit is None:  # of the edge, which has checked the headers
            return settings.MAX_BODY_BYTES
        request_checks.body_length(self.headers.get("Content-Length"), limit=limit)
        return limit

    async def _part(self, limit: int) -> tuple[bytes, bool]:
        """Return the next part of the body, and whether there are more."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        part = message.get("body", b"")
        self._size += len(part)
        if self._size > limit:
            raise BodyTooLarge(limit)
        return part, message.get("more_body", False)

    async def parse(self, model: type, *, unique_members: bool = False) -> Any:
        """Return the model that the body holds. Raises what `body` and `parsing.parse` do."""
        body = await self.body()
        arguments = {
            "content_type": self.headers.get("Content-Type", ""),
            "unique_members": unique_members,
        }
        # Names that occur twice are looked for in Python.
        limit = MAX_PARSED_ON_LOOP // 8 if unique_members else MAX_PARSED_ON_LOOP
        self.is_large = len(body) > limit or body.count(b"{") > _MAX_OBJECTS_ON_LOOP
        if self.is_large:
            return await bridge.in_thread(_parse_large, model, body, **arguments)
        return parsing.parse(model, body, **arguments)

    async def disconnected(self) -> None:
        """Return when the client has gone; for replies that take long."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    @property
    def common_headers(self) -> RawHeaders:
        return common_headers(
            method=self.method,
            origin=self.headers.get("Origin"),
            scheme=self.scheme,
            proto=self.headers.get("X-Forwarded-Proto"),
        )


@dataclass(slots=True)
class Reply:
    """A finished reply; JSON unless its headers say otherwise."""

    body: bytes
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class StreamingReply:
    """A reply whose chunks are sent as they come; the iterator is closed when the client goes."""

    chunks: AsyncIterator[bytes]
    content_type: str
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Route:
    """A native route.

    `endpoint(caller, *names in the path, body, query, **inputs(request))` gets `body` and
    `query` as far as their schemas are given, and no caller when the route is public;
    `inputs` is asked when the body has been read. It
    returns a Reply, a JSON value, or a pair of a JSON value and headers; without a body,
    also None, which leaves the request to Django. A sync endpoint runs in a thread, with
    Django's database connection.
    """

    method: str
    # "/things/{thing_id}", served with and without a trailing slash; what is no UUID in its
    # place is left to the view.
    path: str
    endpoint: Callable[..., Any]
    body: type | None = None
    query: type | None = None
    unique_members: bool = False  # refuse bodies in which a member occurs twice
    inputs: Callable[[Request], dict[str, Any]] | None = None
    is_public: bool = False
    unless: str | None = None  # requests with this header are left to the view
    access: str | None = None  # what it does in a project, where the method does not say it
    stores_log: bool = False  # each request is one of a month's logs

    @cached_property
    def is_async(self) -> bool:
        return iscoroutinefunction(self.endpoint)

    @property
    def is_fixed(self) -> bool:
        return "{" not in self.path

    @property
    def pattern(self) -> re.Pattern:
        return re.compile(re.sub(r"\{(\w+)\}", _UUID, self.path.rstrip("/")) + "/?")


class Edge:
    """Serves `routes`; hands every other request to `fallback`.

    `admit` returns the caller of a request, raises, or returns None to leave the request to
    the fallback; a request for which `can_admit` is false is left to the fallback, which
    knows other ways in. `admit_public` may refuse a request to a public route. A request
    that was let in here is not counted again by the fallback, which finds
    `llmring.noted_headers` in its scope.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        can_admit: Callable[[Headers], bool],
        admit: Callable[[Request], Awaitable[object]],
        fallback: Application,
        admit_public: Callable[[Request], Awaitable[None]] | None = None,
    ) -> None:
        self._can_admit = can_admit
        self._admit = admit
        self._admit_public = admit_public
        self._fallback = fallback
        self._fixed: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[str, re.Pattern, Route]] = []
        for route in routes:
            if route.is_fixed:
                path = route.path.rstrip("/")
                self._fixed[route.method, path] = self._fixed[route.method, f"{path}/"] = route
            else:
                self._patterns.append((route.method, route.pattern, route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Mounted in another application, the path begins with that of the mount.
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        found = self.match(scope["method"], path)
        headers = Headers(scope["headers"]) if found else None
        if headers is None or not self.serves(found[0], headers):
            await self._fallback(scope, receive, send)
            return
        request = Request(scope, headers, receive)
        started = time.perf_counter()
        bind_contextvars(request_id=request.id)  # in the context of this request's task alone
        try:
            reply = await self._reply(*found, request)
        except ClientDisconnected:
            return
        if reply is None:
            scope = {**scope, "llmring.noted_headers": noted(request)}
            await self._fallback(scope, receive, send)
            return
        if isinstance(reply, Reply):
            reply = await _compressed(reply, request)
        await _send(reply, request, send)
        log_access(request.method, request.path, reply.status, started)
        if request.body_size > _RELEASE_BYTES:
            reply = None
            await bridge.in_thread(memory.release)

    def match(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        """Return the route of a request and what its path names; None if there is no such route."""
        if route := self._fixed.get((method, path)):
            return route, ()
        for own_method, pattern, route in self._patterns:
            if method == own_method and (found := pattern.fullmatch(path)):
                return route, found.groups()
        return None

    def serves(self, route: Route, headers: Headers) -> bool:
        """Return whether a request for the route stays here."""
        if route.unless is not None and headers.get(route.unless):
            return False  # an empty one is absent
        return route.is_public or self._can_admit(headers)

    async def _reply(
        self, route: Route, names: tuple[str, ...], request: Request
    ) -> Reply | StreamingReply | None:
        try:
            request_checks.check_host(request.host)
            request_checks.check_body(request.headers)
            return await self._call(route, names, request)
        except ClientDisconnected:
            raise
        except Exception as error:
            return _failed(error, request)

    async def _call(
        self, route: Route, names: tuple[str, ...], request: Request
    ) -> Reply | StreamingReply | None:
        request.route = route
        request.stores_log = route.stores_log
        if route.is_public and self._admit_public:
            await self._admit_public(request)
        arguments: list[Any] = []
        if not route.is_public:
            arguments.append(await self._admit(request))
            if arguments[0] is None:
                return None
        arguments += names
        if route.body is not None:
            arguments.append(await request.parse(route.body, unique_members=route.unique_members))
        if route.query is not None:
            arguments.append(parsing.parse_query(route.query, request.query_string))
        inputs = route.inputs(request) if route.inputs else {}
        if route.is_async:
            result = await route.endpoint(*arguments, **inputs)
            if request.is_large:
                return await bridge.in_thread(_finish_large, result, arguments)
            return _as_reply(result)
        # Long replies are written in the thread, too.
        return await bridge.in_thread(lambda: _as_reply(route.endpoint(*arguments, **inputs)))


def _parse_large(model: type, body: bytes, **arguments: Any) -> Any:
    try:
        return parsing.parse(model, body, **arguments)
    except InvalidInput as error:
        # The frames hold what was parsed, which would be freed on the event loop.
        raise error.with_traceback(None) from None


def _finish_large(result: Any, arguments: list[Any]) -> Reply | StreamingReply | None:
    """Free what a large body was parsed to, and write the reply, which may show it."""
    arguments.clear()
    return _as_reply(result)


def _as_reply(result: Any) -> Reply | StreamingReply | None:
    if result is None or isinstance(result, Reply | StreamingReply):
        return result
    value, headers = result if isinstance(result, tuple) else (result, {})
    return Reply(media.dumps(value), headers=[*headers.items()])


async def _compressed(reply: Reply, request: Request) -> Reply:
    """Return the reply in the coding of the request: as it is, unless it is large."""
    if len(reply.body) < compression.MIN_JSON_BYTES:
        return reply
    headers = Headers((name.encode(), value.encode("latin-1")) for name, value in reply.headers)
    if not compression.is_compressible(reply.status, headers, len(reply.body)):
        return reply
    vary = ", ".join(filter(None, [headers.get("Vary"), "Accept-Encoding"]))
    changed = {"vary": vary}
    body = reply.body
    if "gzip" in compression.accepted_codings(request.headers.get("Accept-Encoding", "")):
        tag = headers.get("ETag")
        body = await bridge.in_thread(
            lambda: compression.compress(body, is_prepared=tag is not None)
        )
        changed["content-encoding"] = "gzip"
        if tag is not None:
            changed["etag"] = compression.weak(tag)
    kept = [(name, value) for name, value in reply.headers if name.lower() not in changed]
    return Reply(body, reply.status, [*kept, *changed.items()])


def _failed(error: Exception, request: Request) -> Reply:
    reply = failure(error)
    if reply is None:
        logger.error("%s %s failed", request.method, request.path, exc_info=error)
        return Reply(media.dumps({"detail": "Internal Server Error"}), 500)
    return Reply(media.dumps({"detail": reply.detail}), reply.status, [*reply.headers.items()])


async def _send(reply: Reply | StreamingReply, request: Request, send: Send) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers
    ]
    if request.noted_headers:
        own = {name for name, _ in headers}
        for text, value in request.noted_headers.items():
            if (name := text.lower().encode()) not in own:
                headers.append((name, value.encode()))
    headers.append((b"x-request-id", request.id.encode()))
    if isinstance(reply, StreamingReply):
        headers.append((b"content-type", reply.content_type.encode()))
    elif reply.status != 304:
        headers.append((b"content-length", b"%d" % len(reply.body)))
        if not any(name == b"content-type" for name, _ in headers):
            headers.append((b"content-type", b"application/json"))
    add_common(headers, request.common_headers)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if isinstance(reply, StreamingReply):
        await _stream(reply.chunks, request, send)
    else:
        await send({"type": "http.response.body", "body": reply.body})


async def _stream(chunks: AsyncIterator[bytes], request: Request, send: Send) -> None:
    """Send the chunks until they or the client have gone."""

    async def send_all() -> None:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    sending = asyncio.ensure_future(send_all())
    gone = asyncio.ensure_future(request.disconnected())
    try:
        await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()  # an error after the first byte can only break the connection
    finally:
        for task in (sending, gone):
            task.cancel()
        await asyncio.gather(sending, gone, return_exceptions=True)
