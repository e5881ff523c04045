"""A server whose answers a test writes itself, and requests to it."""

import asyncio

from core.egress.http_client import HttpClient

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
MEGABYTE = 1024 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """A server whose connections the test answers, each as it arrives."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Streams] = asyncio.Queue()

    async def connected(self, *streams) -> None:
        self.arrived.put_nowait(streams)

    async def request(self) -> tuple[bytes, Streams]:
        """The head of the first request of the next connection, and its streams."""
        streams = await self.arrived.get()
        return await streams[0].readuntil(b"\r\n\r\n"), streams


def get(client: HttpClient, server: Server, **options) -> asyncio.Task:
    sent = client.send("GET", f"{server.url}/a?b=c", [], connect_seconds=5, **options)
    return asyncio.ensure_future(sent)


def upload(client: HttpClient, server: Server, body, **limits) -> asyncio.Task:
    return asyncio.ensure_future(
        client.send("PUT", server.url, [], body, connect_seconds=5, **limits)
    )


async def begun(client: HttpClient, server: Server, data: bytes):
    """The answer that begins with these bytes, on a new connection, and the server's streams."""
    asked = get(client, server)
    _, (reader, writer) = await server.request()
    writer.write(data)
    return await asked, reader, writer


async def answered(client: HttpClient, server: Server, data: bytes, *, close: bool = False):
    """The answer that the client makes of these bytes, on a new connection."""
    asked = get(client, server)
    _, (_, writer) = await server.request()
    writer.write(data)
    if close:
        writer.close()
    return await asked


async def body_of(answer) -> bytes:
    pieces = []
    while data := await answer.read():
        pieces.append(data)
    return b"".join(pieces)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Wait until the other side has ended the connection."""
    try:
        return await reader.read() is not None
    except ConnectionResetError:
        return True
