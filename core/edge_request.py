"""A request to the edge. Its body is read on demand."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings

from core import bridge, joined_parts, parsing, request_checks, request_ids
from core.asgi import Headers, Receive, Scope
from core.client_address import client_address
from core.errors import BodyTooLarge, InvalidInput
from core.reply_headers import RawHeaders, common_headers

if TYPE_CHECKING:
    from core.edge import Route

# A body with more of them is parsed in a thread: each takes a microsecond or two, and may be no
# more than `{}`.
_MAX_OBJECTS_ON_LOOP = 1_000


class ClientDisconnected(Exception):
    """The client no longer waits for the reply."""


class Request:
    """A request to the edge."""

    body_size = 0  # bytes, of the body that was read, without its content coding
    is_large = False  # its body has too many bytes or objects for the event loop
    route: "Route | None" = None  # the one that serves it
    noted_headers: Mapping[str, str] = {}
    stores_log = False

    def __init__(self, scope: Scope, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        self._size = 0  # of the body so far
        self._passing: asyncio.Event | None = None  # set when `parts` has ended
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
        bound = self._limit(limit)
        part, more = await self._part(bound)
        parts = [part]
        while more:  # not by `parts`: starting a generator costs more than a small body
            part, more = await self._part(bound)
            parts.append(part)
        body = await joined_parts.join(parts)
        if body and (coding := self.headers.get("Content-Encoding")):
            body = await bridge.in_thread(request_checks.decode, body, coding, limit=limit)
        self.body_size = len(body)
        return body

    async def parts(self, *, limit: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives. Raises BodyTooLarge, ClientDisconnected."""
        limit = self._limit(limit)
        passing = self._passing = asyncio.Event()
        more = True
        try:
            while more:
                part, more = await self._part(limit)
                yield part
        finally:
            passing.set()

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
        limit = bridge.MAX_ON_LOOP // 8 if unique_members else bridge.MAX_ON_LOOP
        self.is_large = len(body) > limit or body.count(b"{") > _MAX_OBJECTS_ON_LOOP
        if self.is_large:
            return await bridge.in_thread(_parse_large, model, body, **arguments)
        return parsing.parse(model, body, **arguments)

    async def disconnected(self) -> None:
        """Return when the client has disconnected; for replies that take long.

        While `parts` is being iterated, that reports a disconnect instead.
        """
        if self._passing is not None:
            await self._passing.wait()
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


def _parse_large(model: type, body: bytes, **arguments: Any) -> Any:
    try:
        return parsing.parse(model, body, **arguments)
    except InvalidInput as error:
        # Its frames hold the parsed body, which would be freed on the event loop.
        raise error.with_traceback(None) from None
