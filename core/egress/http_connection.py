"""One HTTP/1.1 client connection on the event loop, for one request after the other.

Built on httptools, like our HTTP server: aiohttp took a quarter of the gateway's processor
time for its work on each call and each chunk of a stream.
Source: RFC 9112.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from core.egress.http_answer import (
    Answer,
    BodyFailed,
    BrokenConnection,
    MalformedAnswer,
    RawHeaders,
)

_MAX_HEAD = 64 * 1024  # bytes; a Content-Security-Policy may exceed 8 KB
_MAX_HEADERS = 1_000  # more take the event loop too long; Python's own client takes 100
_MAX_AT_ONCE = 256 * 1024  # bytes; a longer body is sent in pieces, whose progress is seen
# Deviations that servers send, that are unambiguous, and that other clients accept.
_LENIENCIES = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}


class HttpConnection(asyncio.Protocol):
    """A connection for one request at a time.

    `freed` is called when it can take another request, `lost` when it is closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        freed: Callable[["HttpConnection"], None],
        lost: Callable[["HttpConnection"], None],
    ) -> None:
        self._loop = loop
        self._freed = freed
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENCIES)
        self._answer: Answer | None = None
        self._upload: asyncio.Task | None = None
        self._writable: asyncio.Future | None = None  # set while the server is slow to read
        self._free_since: float | None = None
        self._idle_seconds: float | None = None  # before the current request
        self._is_for_head = False
        self._begin_exchange()

    def _begin_exchange(self) -> None:
        self._headers: RawHeaders = []
        self._received = 0  # bytes
        self._has_progressed = False  # whether the last data completed a head or had body bytes
        self._since_progress = 0  # bytes
        self._is_interim = False
        self._is_kept = False

    @property
    def is_usable(self) -> bool:
        return not self._transport.is_closing() and self._answer is None

    def request(
        self,
        head: bytes,
        body: bytes | AsyncIterable[bytes],
        *,
        is_chunked: bool = False,
        is_for_head: bool = False,
    ) -> Answer:
        """Send a request and return its answer, of which nothing has arrived yet.

        An iterable body is sent as fast as the server reads it; if iterating raises, the
        connection is closed. `is_for_head`: the answer has no body.
        """
        answer = self._answer = Answer(self, self._loop)
        self._begin_exchange()
        if self._free_since is not None:
            self._idle_seconds = self._loop.time() - self._free_since
        self._is_for_head = is_for_head
        if self._transport.is_closing():  # since it was opened
            self._answer = None
            answer.end(self._broken("the connection was closed"))
        elif isinstance(body, bytes) and len(body) <= _MAX_AT_ONCE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            pieces = _pieces(body) if isinstance(body, bytes) else body
            self._upload = self._loop.create_task(self._send(answer, pieces, is_chunked=is_chunked))
        return answer

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    async def _send(self, answer: Answer, body: AsyncIterable[bytes], *, is_chunked: bool) -> None:
        try:
            async with aclosing(aiter(body)) as pieces:
                async for piece in pieces:
                    if self._transport.is_closing():
                        return
                    if piece and is_chunked:
                        piece = b"%x\r\n%b\r\n" % (len(piece), piece)
                    # Not `writelines`, which says nothing of a full buffer in asyncio of
                    # Python 3.12 and 3.13 until 3.13.2 (CVE-2024-12254).
                    self._transport.write(piece)
                    if self._writable is not None:
                        await self._writable
                    else:  # let other tasks run, however fast the server reads
                        await asyncio.sleep(0)
                    answer.note_progress()
            if is_chunked:
                self._transport.write(b"0\r\n\r\n")
        except Exception as error:  # whatever keeps the body from coming
            self._break(f"the request's body ended early: {type(error).__name__}", BodyFailed)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    @property
    def awaits_body(self) -> bool:
        """Whether the body's source is waited for, not the server."""
        is_uploading = self._upload is not None and not self._upload.done()
        return is_uploading and self._writable is None

    @property
    def _has_sent_all(self) -> bool:
        is_uploaded = self._upload is None or self._upload.done()
        return is_uploaded and not self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # nothing was asked
            self.abort()
            return
        if not self._answer.has_head:  # interim responses, for one, are progress
            self._answer.note_progress()
        self._received += len(data)
        self._has_progressed = False
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._break("the protocol changes", MalformedAnswer)
        except HttpParserError as error:
            self._break(f"the answer is not HTTP: {error}", MalformedAnswer)
        if self._has_progressed:
            self._since_progress = 0
        else:  # the parser buffers an incomplete header, trailer or chunk extension
            self._since_progress += len(data)
            self._limit_head(self._since_progress)
        if self._answer is not None:
            self._answer.offer()

    def connection_lost(self, error: Exception | None) -> None:
        if self._upload is not None:
            self._upload.cancel()
        self._lost(self)
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if error is None and answer.has_head and _ends_with_connection(answer.headers):
            answer.end()
        else:
            answer.end(self._broken("the connection was closed"))

    def _limit_head(self, size: int) -> None:
        if size > _MAX_HEAD:
            self._break(f"headers have more than {_MAX_HEAD} bytes", MalformedAnswer)

    def _break(self, reason: str, kind: type[BrokenConnection] = BrokenConnection) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.end(self._broken(reason, kind))
        self.abort()

    def _broken(
        self, reason: str, kind: type[BrokenConnection] = BrokenConnection
    ) -> BrokenConnection:
        return kind(reason, is_silent=not self._received, idle_seconds=self._idle_seconds)

    def on_message_begin(self) -> None:
        if self._answer is None:  # more than was asked for
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._has_progressed = True
        if self._answer is None:
            return
        headers, self._headers = self._headers, []  # trailers may follow the body
        status = self._parser.get_status_code()
        self._is_interim = 100 <= status < 200 and status != 101
        if self._is_interim:
            return
        if _has_unknown_coding(headers):
            self._break("the answer has a transfer coding that was not asked for", MalformedAnswer)
            return
        self._limit_head(sum(len(name) + len(value) + 4 for name, value in headers))
        if len(headers) > _MAX_HEADERS:
            self._break(f"there are more than {_MAX_HEADERS} headers", MalformedAnswer)
        if self._answer is None:
            return
        self._is_kept = self._parser.should_keep_alive() and not self._is_for_head
        self._answer.begin(status, headers)
        if self._is_for_head:  # the parser would wait for the body
            self._finish()

    def on_body(self, data: bytes) -> None:
        self._has_progressed = True
        if self._answer is not None:
            self._answer.feed(data)

    def on_message_complete(self) -> None:
        if not self._is_interim and self._answer is not None:
            self._finish()

    def _finish(self) -> None:
        answer, self._answer = self._answer, None
        answer.end()
        if not self._has_sent_all:
            self.abort()
        elif self._is_kept:
            self._upload = None
            self._free_since = self._loop.time()
            self._freed(self)
        else:
            self._transport.close()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _MAX_AT_ONCE):
        yield data[start : start + _MAX_AT_ONCE]


def _has_unknown_coding(headers: RawHeaders) -> bool:
    """Return whether the body has a transfer coding but chunked (RFC 9112, section 6.1)."""
    return any(
        name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked"
        for name, value in headers
    )


def _ends_with_connection(headers: RawHeaders) -> bool:
    """Return whether the end of the connection ends the body (RFC 9112, section 6.3)."""
    for name, value in headers:
        match name.lower():
            case b"content-length":
                return False
            case b"transfer-encoding" if b"chunked" in value.lower():
                return False
    return True
