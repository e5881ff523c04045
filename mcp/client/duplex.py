"""Multiplex requests over one stream of messages in each direction (stdio, HTTP+SSE)."""

import threading
from collections.abc import Callable

import requests

from core import media
from core.egress.deadlines import remaining
from mcp.client import protocol
from mcp.client.mcp_errors import McpError, ProtocolViolation, TimedOut, Unreachable
from mcp.client.notifications import send_in_background


class Duplex:
    """Match responses to the requests that wait for them.

    `send` writes one message within the time limit of the calling thread, `close` ends
    the connection. A reader thread calls `received` for each message and `ended` at the end.
    """

    session_id = ""

    def __init__(self, send: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self._send, self._close = send, close
        self._pending: dict[object, _Pending] = {}
        self._lock = threading.Lock()
        self._end: McpError | None = None

    @property
    def is_alive(self) -> bool:
        return self._end is None

    def request(self, message: dict, headers: dict[str, str], *, timeout: float) -> dict:
        """Send a request and return its response. Raise McpError."""
        pending = _Pending()
        with self._lock:
            if self._end is not None:
                raise self._end
            self._pending[message["id"]] = pending
        try:
            self._send(media.dumps(message))
            return pending.wait(timeout)
        except TimedOut:
            self._cancel(message)
            raise
        finally:
            self._pending.pop(message["id"], None)

    def notify(self, message: dict, headers: dict[str, str]) -> None:
        """Send a notification."""
        self._send(media.dumps(message))

    def close(self, headers: dict[str, str]) -> None:
        self.ended(Unreachable("The connection to the MCP server was closed"))
        self._close()

    def received(self, text: bytes) -> None:
        """Dispatch a message of the server; ignore what is not one."""
        try:
            message = protocol.parse(text)
        except ProtocolViolation:
            return
        if protocol.is_response(message):
            id = message.get("id")
            pending = self._pending.get(id) if isinstance(id, int | float) else None
            if pending is not None:
                pending.answer(message)
        elif (reply := protocol.reply_to(message)) is not None:
            # Not from the reader thread: the server may block until we read.
            send_in_background(lambda: self._send(media.dumps(reply)))

    def ended(self, reason: McpError) -> None:
        """Fail all pending requests: no more messages will come."""
        with self._lock:
            self._end = self._end or reason
            unanswered = list(self._pending.values())
        for pending in unanswered:
            pending.answer(reason)

    def _cancel(self, message: dict) -> None:
        if message["method"] in ("initialize", "server/discover"):
            return  # the protocol forbids cancelling these
        params = {"requestId": message["id"], "reason": "no answer in time"}
        notice = protocol.notification("notifications/cancelled", params)
        send_in_background(lambda: self._send(media.dumps(notice)))


class _Pending:
    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._answer: dict | McpError | None = None

    def answer(self, answer: dict | McpError) -> None:
        self._answer = answer
        self._arrived.set()

    def wait(self, timeout: float) -> dict:
        try:
            in_time = self._arrived.wait(remaining(timeout))
        except requests.Timeout:
            in_time = False
        if not in_time:
            raise TimedOut("The MCP server did not answer in time")
        if isinstance(self._answer, McpError):
            raise self._answer
        return self._answer
