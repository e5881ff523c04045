"""A scripted upstream on loopback: records each request, and answers with exactly these bytes."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from tests.connections import serving

Script = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float = field(default_factory=monotonic)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self):
        return json.loads(self.body)


class ScriptedUpstream:
    """Answers every request by `script`, which a test sets; a context manager."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.closed = threading.Event()  # a client has closed its connection
        self.script: Script = reply({})
        self._started = threading.Event()

    def __enter__(self) -> "ScriptedUpstream":
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()])
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *error) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        async with serving(self._connected) as port:
            self.port = port
            self.url = f"http://127.0.0.1:{port}"
            self._started.set()
            await self._stopped.wait()

    async def _connected(self, reader, writer) -> None:
        try:
            while request := await _read_request(reader):
                self.requests.append(request)
                await self.script(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.closed.set()
        finally:
            if not writer.is_closing():
                self.closed.set()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split()
    headers = []
    while (line := await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name, value.strip(" \r\n")))
    request = Request(method, target, headers, b"")
    if "chunked" in (request.header("Transfer-Encoding") or ""):
        while size := int(await reader.readline(), 16):
            request.body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    elif length := request.header("Content-Length"):
        request.body = await reader.readexactly(int(length))
    return request


def head(status: int = 200, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} -"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def reply(body, status: int = 200, *, delay: float = 0, **headers: str) -> Script:
    """A plain answer, JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content_Type": "application/json", **headers}

    async def script(request: Request, writer) -> None:
        await asyncio.sleep(delay)
        length = str(len(data))
        writer.write(head(status, Content_Length=length, **headers))
        if request.method != "HEAD":
            writer.write(data)

    return script


def stream(
    *pieces: bytes,
    delay: float = 0,
    ends: bool = True,
    pauses: dict[int, float] | None = None,
    **headers: str,
) -> Script:
    """A stream of events; each piece is a chunk of its own. Without its end it breaks off."""
    headers = {"Content_Type": "text/event-stream", **headers}

    async def script(request: Request, writer) -> None:
        writer.write(head(200, Transfer_Encoding="chunked", **headers))
        await writer.drain()
        for number, piece in enumerate(pieces):
            await asyncio.sleep((pauses or {}).get(number, delay))
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        if ends:
            writer.write(b"0\r\n\r\n")
        else:
            writer.close()

    return script


def exactly(data: bytes) -> Script:
    """These bytes, and the end of the connection."""

    async def script(request: Request, writer) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return script


def in_turn(*scripts: Script) -> Script:
    """Each request by the next script; the last one for all that follow."""
    left = list(scripts)

    async def script(request: Request, writer) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, writer)

    return script


def by_path(scripts: dict[str, Script]) -> Script:
    """Each request by the script of its method and path, such as `GET /v1/models`."""

    async def script(request: Request, writer) -> None:
        path = request.target.partition("?")[0]
        await scripts[f"{request.method} {path}"](request, writer)

    return script


async def hang_up(request: Request, writer) -> None:
    """Read the whole request and close without an answer."""
    writer.close()


def chunk(value: dict) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def event(name: str, value: dict) -> bytes:
    return f"event: {name}\n".encode() + chunk({"type": name, **value})


def content(text: str, **members) -> bytes:
    delta = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return chunk({**_CHUNK, "choices": [delta], **members})


def stop(**members) -> bytes:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return chunk({**_CHUNK, "choices": [choice], **members})


_CHUNK = {
    "id": "c1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
}
DONE = b"data: [DONE]\n\n"
USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 340,
    "total_tokens": 1540,
    "prompt_tokens_details": {"cached_tokens": 1024},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
USAGE_CHUNK = chunk({**_CHUNK, "choices": [], "usage": USAGE})


def chat(prompt: int = 10, completion: int = 5, **members) -> dict:
    """A plain answer of a chat with this usage."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello"},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
        **members,
    }
