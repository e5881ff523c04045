"""Replies of the edge: made of an endpoint's result or error, compressed, sent."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from core import bridge, compression, json_writer, request_ids
from core.asgi import Headers, Send
from core.edge_request import Request
from core.errors import failure
from core.reply_headers import add_common

logger = logging.getLogger(__name__)


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


def as_reply(result: Any) -> Reply | StreamingReply | None:
    """Return the reply of an endpoint's result: a reply, a JSON value, or that and headers."""
    if result is None or isinstance(result, Reply | StreamingReply):
        return result
    value, headers = result if isinstance(result, tuple) else (result, {})
    return Reply(json_writer.dumps(value), headers=[*headers.items()])


async def compressed(reply: Reply, request: Request) -> Reply:
    """Return the reply, compressed if it is large and the client accepts that."""
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


def failed(error: Exception, request: Request) -> Reply:
    """Return the reply to an error; log an unexpected one, which is a 500."""
    reply = failure(error)
    if reply is None:
        logger.error("%s %s failed", request.method, request.path, exc_info=error)
        return Reply(json_writer.dumps({"detail": "Internal Server Error"}), 500)
    return Reply(
        json_writer.dumps({"detail": reply.detail}), reply.status, [*reply.headers.items()]
    )


async def send_reply(reply: Reply | StreamingReply, request: Request, send: Send) -> None:
    """Send the reply; its own headers override those that were noted on the request."""
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers
    ]
    if request.noted_headers:
        own = {name for name, _ in headers}
        for text, value in request.noted_headers.items():
            if (name := text.lower().encode()) not in own:
                headers.append((name, value.encode()))
    headers.append((b"x-request-id", request.id.encode()))
    correlation_id = request.headers.get("X-Correlation-ID")
    if request_ids.is_acceptable(correlation_id):
        headers.append((b"x-correlation-id", correlation_id.encode()))
    if isinstance(reply, StreamingReply):
        headers.append((b"content-type", reply.content_type.encode()))
    elif reply.status != 304:
        headers.append((b"content-length", b"%d" % len(reply.body)))
        if reply.body and not any(name == b"content-type" for name, _ in headers):
            headers.append((b"content-type", b"application/json"))
    add_common(headers, request.common_headers)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if isinstance(reply, StreamingReply):
        await _stream(reply.chunks, request, send)
    else:
        await send({"type": "http.response.body", "body": reply.body})


async def _stream(chunks: AsyncIterator[bytes], request: Request, send: Send) -> None:
    """Send the chunks until they end or the client disconnects."""

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
