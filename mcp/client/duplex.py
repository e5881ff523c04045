"""Many requests at once over one stream of messages in each direction (stdio, older HTTP)."""

import threading
from collections.abc import Callable

import orjson
import requests

from core.egress.deadlines import remaining
from mcp.client import wire
from mcp.client.errors import McpError, ProtocolViolation, TimedOut, Unreachable
from mcp.client.notices import in_background


class Duplex:
    """Finds for each answer who waits for it.

    `send` writes one message in the time that is left to its thread, `close` ends
    the connection. A thread that reads calls `received` for each message, and
    `ended` at the end.
    """

    session_id = ""

    def __init__(self, send: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self._send, self._close = send, close
        self._waiting: dict[object, _Waiter] = {}
        self._lock = threading.Lock()
        self._end: McpError | None = None

    @property
    def is_alive(self) -> bool:
        return self._end is None

    def request(self, message: dict, headers: dict[str, str], *, patience: float) -> dict:
        """The response to a request. Raises McpError."""
        waiter = _Waiter()
        with self._lock:
            if self._end is not None:
                raise self._end
            self._waiting[message["id"]] = waiter
        try:
            self._send(orjson.dumps(message))
            return waiter.wait(patience)
        except TimedOut:
            self._cancel(message)
            raise
        finally:
            self._waiting.pop(message["id"], None)

    def notify(self, message: dict, headers: dict[str, str]) -> None:
        """Send a message that has no answer."""
        self._send(orjson.dumps(message))

    def close(self, headers: dict[str, str]) -> None:
        self.ended(Unreachable("The connection to the MCP server was closed"))
        self._close()

    def received(self, text: bytes) -> None:
        """Hand a message to who waits for it. What is no message is passed over."""
        try:
            message = wire.parse(text)
        except ProtocolViolation:
            return
        if wire.is_response(message):
            id = message.get("id")
            waiter = self._waiting.get(id) if isinstance(id, int | float) else None
            if waiter is not None:
                waiter.answer(message)
        elif (reply := wire.reply_to(message)) is not None:
            # Not from the thread that reads: the other side may be waiting for us to do so.
            in_background(lambda: self._send(orjson.dumps(reply)))

    def ended(self, reason: McpError) -> None:
        """Nothing will come any more: everybody who waits is told."""
        with self._lock:
            self._end = self._end or reason
            waiting = list(self._waiting.values())
        for waiter in waiting:
            waiter.answer(reason)

    def _cancel(self, message: dict) -> None:
        if message["method"] in ("initialize", "server/discover"):
            return  # these the protocol forbids to cancel
        params = {"requestId": message["id"], "reason": "no answer in time"}
        notice = wire.notification("notifications/cancelled", params)
        in_background(lambda: self._send(orjson.dumps(notice)))


class _Waiter:
    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._answer: dict | McpError | None = None

    def answer(self, answer: dict | McpError) -> None:
        self._answer = answer
        self._arrived.set()

    def wait(self, patience: float) -> dict:
        try:
            in_time = self._arrived.wait(remaining(patience))
        except requests.Timeout:
            in_time = False
        if not in_time:
            raise TimedOut("The MCP server did not answer in time")
        if isinstance(self._answer, McpError):
            raise self._answer
        return self._answer
