"""The ASGI application: the hot routes natively, everything else by Django.

A hot endpoint is a function of (caller, validated input), written once in its app; its
DRF view calls the same function. The edge has no rules of its own: `admit` decides who may
call, schemas read bodies and queries, errors become replies as in the views, and Django's
own middleware writes the headers.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from django.utils.functional import cached_property
from structlog.contextvars import bind_contextvars

from core import bridge, memory, parsing, request_checks
from core.asgi import Application, Headers, Receive, Scope, Send
from core.edge_replies import Reply, StreamingReply, as_reply, compressed, failed, send_reply
from core.edge_request import ClientDisconnected, Request
from core.middleware import log_access
from core.reply_headers import noted

# Memory is released after larger bodies. It takes 10 ms: a third of a request half as large.
_RELEASE_BYTES = 1024 * 1024

_UUID = "([0-9a-fA-F-]{36})"


@dataclass(frozen=True)
class Route:
    """A native route.

    `endpoint(caller, *names in the path, body, query, **inputs(request))` gets `body` and
    `query` if their schemas are given, and no caller when the route is public; `inputs` is
    called once the body has been read. The endpoint returns a Reply, a JSON value, or a pair of
    a JSON value and headers; on a route without a body also None, which leaves the request to
    Django. A sync endpoint runs in a thread, with Django's database connection.
    """

    method: str
    # "/things/{thing_id}", served with and without a trailing slash; a segment that is not
    # a UUID is left to the view.
    path: str
    endpoint: Callable[..., Any]
    body: type | None = None
    query: type | None = None
    unique_members: bool = False  # refuse bodies in which a member occurs twice
    inputs: Callable[[Request], dict[str, Any]] | None = None
    is_public: bool = False
    unless: str | None = None  # requests with this header are left to the view
    access: str | None = None  # its Action, if the method does not imply it
    stores_log: bool = False  # each request counts against the monthly quota of logs

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
    authenticates in other ways. `admit_public` may refuse a request to a public route. The
    fallback does not count a request again that was admitted here: it finds
    `llmring.noted_headers` in the scope.
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
            reply = await compressed(reply, request)
        await send_reply(reply, request, send)
        log_access(request.method, request.path, reply.status, started)
        if request.body_size > _RELEASE_BYTES:
            reply = None
            await bridge.in_thread(memory.release)

    def match(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        """Return the route of a request and the ids in its path; None if no route matches."""
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
            return failed(error, request)

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
            return as_reply(result)
        # Long replies are written in the thread, too.
        return await bridge.in_thread(lambda: as_reply(route.endpoint(*arguments, **inputs)))


def _finish_large(result: Any, arguments: list[Any]) -> Reply | StreamingReply | None:
    """Free the parsed body, and write the reply, which may contain parts of it."""
    arguments.clear()
    return as_reply(result)
