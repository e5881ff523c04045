"""Calls of the gateway for tests: made, abandoned, waited for."""

import json
import socket
import threading
import time
from contextlib import suppress

from usage.models import UsageLog

CHAT = "/v1/chat/completions"


def within_a_second(is_so) -> None:
    deadline = time.monotonic() + 1
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.002)  # the gateway needs this process, too


def raw_post(gateway, body: dict, path: str = "/v1/chat/completions") -> bytes:
    """Everything that the server sends before it closes the connection."""
    data = json.dumps(body).encode()
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
            % (path.encode(), gateway.token.encode(), len(data), data)
        )
        got = b""
        while part := sock.recv(65536):
            got += part
    return got


def read(answer, count: int) -> bytes:
    got = b""
    while len(got) < count:
        got += answer.raw.read1(65536)
    return got


def open_stream(gateway, **members):
    body = {"model": "gpt-4o-mini", "messages": [], "stream": True, **members}
    return gateway.post(CHAT, body, stream=True)


def open_call(gateway, body: dict | None, *, path: str = CHAT) -> socket.socket:
    """Send a chat, or a GET without a body; return the connection."""
    data = b""
    if body is not None:
        data = json.dumps({"model": "gpt-4o-mini", "messages": [], **body}).encode()
    host, port = gateway.url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), timeout=20)
    sock.sendall(
        b"%s %s HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
        % (
            b"POST" if data else b"GET",
            path.encode(),
            gateway.token.encode(),
            len(data),
            data,
        )
    )
    return sock


def leave(
    gateway,
    body: dict | None,
    *,
    once: threading.Event | None = None,
    after: float = 0,
    read_bytes: int = 0,
    path: str = CHAT,
) -> None:
    """Send a call and close the connection: after an event, some bytes and some seconds."""
    with open_call(gateway, body, path=path) as sock:
        assert once is None or once.wait(15)
        got = 0
        while got < read_bytes:
            got += len(sock.recv(65536))
        if after:
            sock.settimeout(after)
            with suppress(TimeoutError):
                sock.recv(1)


def settled_row(gateway) -> UsageLog:
    """The row, once it is there."""
    deadline = time.monotonic() + 15
    while not (rows := gateway.rows):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    [row] = rows
    return row


def azure(upstreams_file, mock):
    upstreams_file(
        f"apis:\n  azure: {{base_url: {mock.url}/openai, api_key: azure-key, auth: api-key,"
        " provider: openai}\n"
    )
