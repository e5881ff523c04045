"""An MCP server that misbehaves as told, in this process."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

from tests.site.loopback import answer, listening, request_of

MODERN = "2026-07-28"
TOOL = {"name": "t", "inputSchema": {"type": "object"}}
DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": [MODERN],
    "capabilities": {"tools": {}},
    "ttlMs": 0,
    "cacheScope": "private",
}


class Scripted:
    """Answers `server/discover` and `tools/list` properly, and `tools/call` by `behave`.

    `behave(connection, message, head)` writes the answer to the connection.
    `others` are results (or such functions) by method.
    """

    def __init__(self, behave: Callable, **others) -> None:
        self.requests: list[tuple[str, dict, dict]] = []  # HTTP method, headers, message
        self._news = threading.Condition()
        self.methods = {
            "server/discover": DISCOVERED,
            "tools/list": {"tools": [TOOL], "resultType": "complete"},
            "tools/call": behave,
            **others,
        }

    def __call__(self, connection) -> None:
        while request := request_of(connection):
            head, _, body = request.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            message = json.loads(body) if body else {}
            with self._news:
                self.requests.append((first.split()[0], headers, message))
                self._news.notify_all()
            method = message.get("method", first.split()[0])
            wanted = self.methods.get(method)
            if callable(wanted):
                wanted(connection, message, headers)
            elif wanted is None and "id" in message:
                connection.sendall(error(message, -32601))
            elif wanted is None:
                connection.sendall(answer(b"", status="202 Accepted"))
            else:
                connection.sendall(result(message, wanted))

    def wait_for(self, arrived: Callable[[], bool]) -> None:
        """Wait for requests until what is asked about them is true."""
        with self._news:
            assert self._news.wait_for(arrived, timeout=5), self.requests

    def sent(self, method: str) -> list[dict]:
        return [message for _, _, message in self.requests if message.get("method") == method]


@contextmanager
def scripted(behave: Callable, **others):
    """A running scripted server; its `url` is where."""
    server = Scripted(behave, **others)
    with listening(server) as port:
        server.url = f"http://127.0.0.1:{port}/mcp"
        yield server


def as_json(message: dict, **headers: str) -> bytes:
    return answer(json.dumps(message).encode(), Content_Type="application/json", **headers)


def result(message: dict, value: dict, **headers: str) -> bytes:
    return as_json({"jsonrpc": "2.0", "id": message["id"], "result": value}, **headers)


def error(message: dict, code: int, **headers: str) -> bytes:
    inner = {"code": code, "message": "no"}
    return as_json({"jsonrpc": "2.0", "id": message["id"], "error": inner}, **headers)


def event(message: dict | list, id: str = "") -> bytes:
    first = f"id: {id}\n" if id else ""
    return f"{first}data: {json.dumps(message)}\n\n".encode()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def hang(connection, message, headers) -> None:
    time.sleep(10)
