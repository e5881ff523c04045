"""ASGI applications that the tests serve."""

import asyncio

MEGABYTE = 1024 * 1024


async def body_of(receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


async def reply(send, body: bytes = b"", *, status: int = 200, headers=None) -> None:
    headers = headers or [(b"Content-Length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(scope, receive, send) -> None:
    """Reply with what was asked."""
    line = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} "
    await reply(send, line.encode() + await body_of(receive))


def after(event: asyncio.Event, application):
    """Return the application, which begins once the event is set."""

    async def waiting(scope, receive, send) -> None:
        await event.wait()
        await application(scope, receive, send)

    return waiting


async def in_chunks(scope, receive, send) -> None:
    """Reply with what was asked, in two pieces without a length."""
    body = await body_of(receive)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


async def in_many_pieces(scope, receive, send) -> None:
    """Reply with more than buffers hold, as fast as it is read."""
    await send({"type": "http.response.start", "status": 200})
    for _ in range(160):
        await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
    await send({"type": "http.response.body"})


async def in_one_piece(scope, receive, send) -> None:
    await reply(send, bytes(16 * MEGABYTE))


async def fails(scope, receive, send):
    raise ValueError("secret")


async def breaks_off(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"begin", "more_body": True})
    raise ValueError


class Held:
    """An application whose response has begun, and ends when `going` is set."""

    def __init__(self, body: bytes) -> None:
        self.going = asyncio.Event()
        self._body = body

    async def __call__(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await self.going.wait()
        await send({"type": "http.response.body", "body": self._body})


async def until_disconnected(scope, receive, send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def relay(scope, receive, send) -> None:
    """Respond to the first piece of a request, and go on reading it."""
    await receive()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": await body_of(receive)})
