"""Django's WSGI handler as an ASGI application.

The body is read on the event loop; the request is handled in one of the bridge's threads,
in one hop. (Django's own ASGI handler costs five to nine times as much for each request.)
"""

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings

from core import bridge, joined_parts, memory, request_checks
from core.errors import DomainError

# Memory is released after larger bodies. Smaller than at the edge: Django's requests and
# responses refer to each other, and keep them alive.
_RELEASE_BYTES = 256 * 1024
_BLOCK = 64 * 1024  # bytes of a file that are sent at once
_SEND_SECONDS = 60  # for a client to read a block, before its thread is released


class WSGIBridge:
    """Serves a Django `WSGIHandler` to an ASGI server."""

    def __init__(self, handler) -> None:
        self._handler = handler

    async def __call__(self, scope: dict, receive, send) -> None:
        environ = _environ(scope)
        if (body := await _read_body(environ, receive)) is None:
            return
        environ["wsgi.input"] = BytesIO(body)
        loop = asyncio.get_running_loop()
        client = environ["llmring.client"] = _Client(receive, loop)

        def handle() -> tuple[dict, bytes | None]:
            start: dict[str, Any] = {"type": "http.response.start"}
            try:
                response = self._handler(
                    environ, lambda status, headers: _start(start, status, headers)
                )
                if getattr(response, "streaming", True):
                    _stream(response, start, client, send, loop)
                    return start, None
                try:
                    return start, response.content
                finally:
                    response.close()
            finally:
                client.stop_watching()

        start, content = await bridge.in_thread(handle)
        if content is not None:
            await send(start)
            await send({"type": "http.response.body", "body": content})
        if len(body) > _RELEASE_BYTES:
            environ.clear()
            body = content = None
            await bridge.in_thread(memory.release)


def _environ(scope: dict) -> dict[str, Any]:
    server, client = scope.get("server") or ("localhost", None), scope.get("client")
    root, raw_path = scope.get("root_path", ""), scope.get("raw_path")
    path = unquote_to_bytes(raw_path) if raw_path else scope["path"].encode()
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root,
        "PATH_INFO": path.decode("latin-1").removeprefix(root),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": _File,
    }
    if "llmring.noted_headers" in scope:
        environ["llmring.noted_headers"] = scope["llmring.noted_headers"]
    if client:
        environ["REMOTE_ADDR"] = client[0]
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name:  # X_API_Key would be taken for X-API-Key
            continue
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = f"HTTP_{name}"
        value = raw_value.decode("latin-1")
        if name in environ:
            value = f"{environ[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{value}"
        environ[name] = value
    return environ


async def _read_body(environ: dict[str, Any], receive) -> bytes | None:
    """Return the body; None when the client has gone.

    A body with an unacceptable length is not read: RequestChecksMiddleware refuses it.
    """
    is_chunked = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
    if not is_chunked and not _has_acceptable_length(environ):
        return b""
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= settings.MAX_BODY_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    environ["CONTENT_LENGTH"] = str(size)
    return await joined_parts.join(parts)


def _has_acceptable_length(environ: dict[str, Any]) -> bool:
    """Return whether the request announces a body, and one that is not too large."""
    try:
        return request_checks.body_length(environ.get("CONTENT_LENGTH")) > 0
    except DomainError:
        return False


def _start(message: dict, status: str, headers: list[tuple[str, str]]) -> None:
    message["status"] = int(status.split(" ", 1)[0])
    message["headers"] = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
    ]


class _File:
    """A file as blocks. Django closes it at the end of the request."""

    def __init__(self, file, block_size: int) -> None:
        self.close = file.close
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self._file.read(_BLOCK), b"")


class _Client:
    """Whether the client has disconnected, as threads can ask."""

    __slots__ = ("_gone", "_loop", "_receive")

    def __init__(self, receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive, self._loop = receive, loop
        self._gone: Future[None] | None = None

    @property
    def gone(self) -> "Future[None]":
        """Done when the client has disconnected, or cancelled at the end of the request."""
        if self._gone is None:
            self._gone = asyncio.run_coroutine_threadsafe(self._disconnected(), self._loop)
        return self._gone

    def stop_watching(self) -> None:
        if self._gone is not None:
            self._gone.cancel()

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _stream(response, start: dict, client: _Client, send, loop: asyncio.AbstractEventLoop) -> None:
    """Send the chunks from this thread, on whose database connection they are read."""

    def wait_for(coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(_SEND_SECONDS)

    gone = client.gone
    try:
        wait_for(send(start))
        for chunk in response:
            if gone.done():
                return
            wait_for(send({"type": "http.response.body", "body": chunk, "more_body": True}))
        wait_for(send({"type": "http.response.body", "body": b""}))
    finally:
        response.close()
