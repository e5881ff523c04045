"""The upstream of the benchmark: an OpenAI-compatible server that costs little itself.

`python -m bench.gateway.mock` prints its port. A call's prompt says what it gets: `pace=10`
milliseconds between the chunks of a stream, `chunks=100`. GET /counts returns the counted
calls and tokens by the key of the calls.
"""

import asyncio
import json
import re
import time
from collections import defaultdict
from dataclasses import asdict, dataclass

import uvloop

CHUNK_BYTES = 250
PROMPT_TOKENS, COMPLETION_TOKENS = 20, 100

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"authorization: *bearer +([\w-]+)", re.IGNORECASE)
_PACE = re.compile(rb"pace=(\d+)")
_CHUNKS = re.compile(rb"chunks=(\d+)")
_STREAMS = re.compile(rb'"stream" *: *true')


@dataclass
class Counts:
    """The calls of one key. Their tokens differ, so that sums reveal missing calls."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def next_usage(self) -> dict[str, int]:
        self.calls += 1
        prompt = PROMPT_TOKENS + self.calls % 7
        completion = COMPLETION_TOKENS + self.calls % 13
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


_counts: dict[str, Counts] = defaultdict(Counts)


class Upstream(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end]
        stated = _LENGTH.search(head)
        size = end + 4 + (int(stated[1]) if stated else 0)
        if len(self._received) < size:
            return
        body, self._received = self._received[end + 4 : size], self._received[size:]
        self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /counts"):
            self._reply({key: asdict(counts) for key, counts in _counts.items()})
            return
        key = _KEY.search(head)
        usage = _counts[key[1].decode() if key else ""].next_usage()
        if not _STREAMS.search(body):
            self._reply(_plain(usage))
            return
        pace, chunks = _PACE.search(body), _CHUNKS.search(body)
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        last = usage if b'"include_usage"' in body else None
        self._stream(0, int(chunks[1]), int(pace[1]) / 1000, self._loop.time(), last)

    def _reply(self, value: dict) -> None:
        body = json.dumps(value).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(body), body)
        )

    def _stream(
        self, number: int, chunks: int, pace: float, started: float, usage: dict | None
    ) -> None:
        """Write the chunks that are due. A late chunk does not delay those after it."""
        if self._transport.is_closing():
            return
        while number < chunks:
            due = started + number * pace
            if due > self._loop.time():
                self._loop.call_at(due, self._stream, number, chunks, pace, started, usage)
                return
            self._transport.write(_framed(_chunk()))
            number += 1
        ending = _framed(_usage_chunk(usage)) if usage else b""
        self._transport.write(ending + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def _plain(usage: dict[str, int]) -> dict:
    message = {"role": "assistant", "content": "It measures what it repeats. " * 8}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def _framed(event: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event)


_START = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,'
_START += b'"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"'
_END = b'"},"finish_reason":null}]}\n\n'
_FILL = b"x" * (CHUNK_BYTES - len(_START) - len(_END) - len(b"t=;") - 20)


def _chunk() -> bytes:
    """Return a chunk that contains its send time, in nanoseconds of the monotonic clock."""
    return b"%st=%020d;%s%s" % (_START, time.monotonic_ns(), _FILL, _END)


def _usage_chunk(usage: dict[str, int]) -> bytes:
    value = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [],
        "usage": usage,
    }
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
