"""The client of the benchmark: raw HTTP/1.1 over keep-alive connections, one call at a time."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_SENT_AT = re.compile(rb"t=(\d{20});")
_END = b"0\r\n\r\n"


class ConnectionClosed(Exception):
    """The server closed the connection before its answer was whole."""


@dataclass(slots=True)
class Answer:
    """The answer of a call, with times in nanoseconds of the monotonic clock."""

    started: int
    status: int = 0
    ended: int = 0
    pieces: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        return self.status == 200

    @property
    def total_ms(self) -> float:
        return (self.ended - self.started) / 1e6

    def delays_ms(self) -> list[float]:
        """Return how long after the upstream sent it each chunk of a stream arrived."""
        delays, rest = [], b""
        for arrived, piece in self.pieces:
            data, found_to = rest + piece, 0
            for found in _SENT_AT.finditer(data):
                delays.append((arrived - int(found[1])) / 1e6)
                found_to = found.end()
            rest = data[max(found_to, len(data) - 22) :]
        return delays

    def first_chunk_ms(self) -> float:
        """Return how long after the request the first chunk arrived."""
        for arrived, piece in self.pieces:
            if _SENT_AT.search(piece):
                return (arrived - self.started) / 1e6
        return self.total_ms

    def is_whole_stream(self, chunks: int) -> bool:
        """Return whether all chunks have come, and the stream's end."""
        data = b"".join(piece for _, piece in self.pieces)
        return data.count(b"t=0") == chunks and b"data: [DONE]" in data[-100:]


class Connection(asyncio.Protocol):
    """A connection, which makes one call at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    async def call(self, request: bytes) -> Answer:
        """Return the answer. Raises ConnectionClosed."""
        if self._transport.is_closing():
            raise ConnectionClosed
        self._done = asyncio.get_running_loop().create_future()
        self._answer = Answer(time.monotonic_ns())
        self._left: int | None = None  # of a body of known length
        self._tail = b""
        self._transport.write(request)
        return await self._done

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        now = time.monotonic_ns()
        answer.pieces.append((now, data))
        if not answer.status:
            end = data.find(b"\r\n\r\n")
            answer.status = int(data[9:12])
            if stated := _LENGTH.search(data, 0, end):
                self._left = int(stated[1]) + end + 4
        if self._left is not None:
            self._left -= len(data)
            is_whole = self._left <= 0
        else:
            self._tail = (self._tail + data)[-len(_END) :]
            is_whole = self._tail == _END
        if is_whole:
            answer.ended = now
            self._done.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._done.done():
            self._done.set_exception(ConnectionClosed())

    def close(self) -> None:
        self._transport.close()


async def connect(url: str) -> Connection:
    parts = urlsplit(url)
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection, parts.hostname, parts.port
    )
    return connection


def chat(url: str, token: str, *, stream: tuple[int, int] | None = None) -> bytes:
    """Return the bytes of a chat request.

    `stream` is the number of its chunks, and the milliseconds between them.
    """
    prompt = "What does a benchmark measure, and what does it leave out?"
    body = {"model": "gpt-4o-mini", "max_tokens": 200}
    if stream:
        prompt += " chunks={} pace={}".format(*stream)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    body["messages"] = [{"role": "user", "content": prompt}]
    data = json.dumps(body).encode()
    parts = urlsplit(url)
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data
