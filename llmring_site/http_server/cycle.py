"""One request and its response, as ASGI has them: what `receive` gives and `send` takes."""

import asyncio
import logging
from typing import Any, Protocol

from core.asgi import Application, Scope
from llmring_site.http_server.own_reply import own_reply
from llmring_site.http_server.response_head import RawHeaders, ResponseHead, response_head

logger = logging.getLogger(__name__)

_HIGH_WATER = 64 * 1024  # bytes of a body that wait to be read; from there on, the client waits
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_DISCONNECT = {"type": "http.disconnect"}


class Connection(Protocol):
    """What a cycle needs of its connection."""

    default_headers: RawHeaders
    writable: asyncio.Event | None  # awaited while the client is slow
    is_half_closed: bool  # the client sends no more, but may still read

    def write(self, data: bytes, *, is_followed: bool = False) -> None: ...
    def pause_reading(self) -> None: ...
    def await_request(self) -> None: ...
    def abort(self) -> None: ...
    def responded(self, *, keeps_alive: bool) -> None: ...


class Cycle:
    """A request that may still be arriving, and the response to it."""

    __slots__ = (
        "_arrived", "_connection", "_expects_continue", "_head", "_is_handed_over", "_left",
        "_pieces", "_size", "is_complete", "is_disconnected", "is_whole", "keeps_alive", "scope",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, scope: Scope, *, keeps_alive: bool, expects_continue: bool
    ) -> None:
        self.scope = scope
        self.keeps_alive = keeps_alive
        self.is_whole = False  # the request
        self.is_complete = False  # the response
        self.is_disconnected = False
        self._connection = connection
        self._expects_continue = expects_continue
        self._pieces: list[bytes] = []  # of the request's body
        self._size = 0  # of the pieces
        self._is_handed_over = False  # the last piece
        self._arrived: asyncio.Event | None = None  # waited for by those who receive
        self._head: ResponseHead | None = None
        self._left: int | None = None  # bytes of the response's body that are still to come

    async def run(self, application: Application) -> None:
        """Have the application respond; reply 500 or abort the response if it fails."""
        try:
            await application(self.scope, self.receive, self)
        except BaseException:  # SystemExit too, which would end the server
            logger.exception("a request failed")
            self._end_failed()
        else:
            if not self.is_complete and not self.is_disconnected:
                self._end_unanswered()

    @property
    def is_arriving(self) -> bool:
        """Whether the request is not whole, and has no response yet."""
        return not (self.is_whole or self.has_begun)

    @property
    def is_awaited(self) -> bool:
        """Whether the application waits for more of an arriving request."""
        is_waiting = self._arrived is not None and not self._arrived.is_set()
        return is_waiting and self.is_arriving

    def feed(self, data: bytes) -> None:
        """Take a piece of the request's body."""
        if self.is_complete:  # the response did not wait for it
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER:
            self._connection.pause_reading()
        self._wake()

    def end(self) -> None:
        """Take the end of the request."""
        self.is_whole = True
        self._wake()

    def disconnect(self) -> None:
        """Note that the client has gone."""
        self.is_disconnected = True
        self._wake()

    def half_close(self) -> None:
        """Note that the client sends no more, and wake the waiters: often it has gone."""
        self._wake()

    async def receive(self) -> dict[str, Any]:
        if self._expects_continue:
            self._expects_continue = False
            if not (self._pieces or self.is_whole or self.has_begun):
                self._connection.write(_CONTINUE)
        while not (self.is_complete or self.is_disconnected):
            if self._pieces or (self.is_whole and not self._is_handed_over):
                return self._arrived_part()
            if self._connection.is_half_closed:
                break
            self._connection.await_request()
            await self._arrival()
        return _DISCONNECT

    def _arrived_part(self) -> dict[str, Any]:
        pieces, self._pieces, self._size = self._pieces, [], 0
        self._is_handed_over = self.is_whole
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return {"type": "http.request", "body": body, "more_body": not self.is_whole}

    async def _arrival(self) -> None:
        if self._arrived is None:
            self._arrived = asyncio.Event()
        self._arrived.clear()
        await self._arrived.wait()

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()

    @property
    def has_begun(self) -> bool:
        return self._head is not None

    async def __call__(self, message: dict[str, Any]) -> None:
        """Send a message: this object is the application's ASGI `send`."""
        if self._connection.writable is not None and not self.is_disconnected:
            await self._connection.writable.wait()
        if self.is_disconnected:
            return
        kind = message["type"]
        if self._head is None and kind == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
        elif self._head is not None and not self.is_complete and kind == "http.response.body":
            self._write(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} is out of place")

    @property
    def can_write_now(self) -> bool:
        is_under_way = self._head is not None and not (self.is_complete or self.is_disconnected)
        return is_under_way and self._connection.writable is None

    def write_now(self, body: bytes) -> None:
        self._write_body(body, is_last=False)

    def _start(self, status: int, headers: RawHeaders) -> None:
        head = response_head(
            status,
            [*self._connection.default_headers, *headers],
            may_have_body=self.scope["method"] != "HEAD",
            may_be_chunked=self.scope["http_version"] == "1.1",
            keeps_alive=self.keeps_alive,
        )
        self._head, self._left = head, head.length
        # Held for the body if one of known length follows; a stream's may come much later.
        self._connection.write(head.data, is_followed=head.length is not None)

    def _write(self, body: bytes, *, is_last: bool) -> None:
        self._write_body(body, is_last=is_last)
        if is_last:
            self.is_complete = True
            self._wake()
            keeps_alive = self.keeps_alive and self._head.keeps_alive
            self._connection.responded(keeps_alive=keeps_alive)

    def _write_body(self, body: bytes, *, is_last: bool) -> None:
        if not self._head.has_body:
            return
        if self._head.is_chunked:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if is_last:
                body += _LAST_CHUNK
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (is_last and self._left):
                raise RuntimeError("the body does not have the stated length")
        self._connection.write(body, is_followed=is_last)

    def _end_unanswered(self) -> None:
        # An application that leaves a response incomplete means it, as where an upstream's broke
        # off. One whose client closed its half was told that the client disconnected.
        if self._head is not None or self._connection.is_half_closed:
            self._connection.abort()
        else:
            logger.error("a request was not answered")
            self._end_failed()

    def _end_failed(self) -> None:
        """Reply 500; abort a response that has begun."""
        if self.is_complete or self.is_disconnected:
            return
        if self._head is not None:
            self._connection.abort()
            return
        self.keeps_alive = False
        headers, body = own_reply(self.scope, "Internal Server Error")
        self._start(500, headers)
        self._write(body, is_last=True)
