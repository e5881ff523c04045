"""The protocol as a server, and a client that sends bytes."""

import asyncio
import contextlib
import re
import socket
import struct

import uvicorn
from uvicorn.server import ServerState

from llmring_site.http_server.protocol import HttpProtocol

GET = b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n"
DATE = (b"date", b"Thu, 26 Nov 2026 12:00:00 GMT")
POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_DATA_SEGS_IN = 152  # offset in Linux's `struct tcp_info`
LARGE_HEADS = {
    "target": b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    "headers": b"GET / HTTP/1.1\r\n" + (b"A: " + b"x" * 95 + b"\r\n") * 700 + b"\r\n",
    "one header": b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
}


class Server:
    """The protocol in front of an ASGI application, and what reached that."""

    def __init__(self, application, *, idle_seconds: float = 60) -> None:
        config = uvicorn.Config(
            application, log_config=None, lifespan="off", timeout_keep_alive=idle_seconds
        )
        self.state = ServerState()
        self.state.default_headers = [DATE]
        self._make = lambda: HttpProtocol(config=config, server_state=self.state, app_state={})

    async def __aenter__(self) -> "Server":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make, "127.0.0.1", 0)
        self._clients: list[asyncio.StreamWriter] = []
        return self

    async def __aexit__(self, *error) -> None:
        self._server.close()
        for client in self._clients:
            client.close()
        while self.state.tasks or self.state.connections:
            await asyncio.sleep(0)

    async def connect(self, *, receive_buffer: int | None = None) -> "Client":
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        address = self._server.sockets[0].getsockname()
        await asyncio.get_running_loop().sock_connect(sock, address)
        reader, writer = await asyncio.open_connection(sock=sock)
        self._clients.append(writer)
        return Client(reader, writer)

    def shut_down(self) -> None:
        for connection in [*self.state.connections]:
            connection.shutdown()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    @property
    def received_packets(self) -> int:
        """How many packets with data have come."""
        sock = self.writer.get_extra_info("socket")
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return struct.unpack_from("I", info, _DATA_SEGS_IN)[0]

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def response(self) -> tuple[bytes, bytes]:
        """The next response: its head, and the body that its length states."""
        head = await self.head()
        length = re.search(rb"content-length: (\d+)", head)
        return head, await self.reader.readexactly(int(length[1])) if length else b""

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        self.write(request)
        return await self.response()

    async def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        with contextlib.suppress(ConnectionResetError):
            return await self.reader.read()
        return b""


def post(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /p HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])
