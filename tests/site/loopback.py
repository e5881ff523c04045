"""A server on loopback that misbehaves as told."""

import socket
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress


@contextmanager
def listening(behave: Callable[[socket.socket], None]):
    """The port of a server that hands each connection to `behave` and then closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                behave(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=serve, args=[connection], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def request_of(connection: socket.socket) -> bytes:
    """A whole HTTP request, head and body."""
    result = b""
    while b"\r\n\r\n" not in result:
        piece = connection.recv(65536)
        if not piece:
            return result
        result += piece
    head, _, body = result.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes, *, status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP response with its length; underscores in names of headers become hyphens."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
