"""Multiplex requests over one stream of messages in each direction (stdio, HTTP+SSE)."""

import queue
import threading
from collections.abc import Callable

import requests

from core import json_writer
from core.egress.cancellation import interruptible
from core.egress.deadlines import remaining
from mcp.client import protocol
from mcp.client.mcp_errors import (
    Cancelled,
    HttpError,
    McpError,
    ProtocolViolation,
    Rejected,
    TimedOut,
    Unreachable,
    timed_out,
)
from mcp.client.notifications import Listener, ignore, send_in_background


class Duplex:
    """Match responses to the requests that wait for them.

    `send` writes one message within the time limit of the calling thread, `close` ends
    the connection. A reader thread calls `received` for each message and `ended` at the end.
    """

    on_notification: Listener = staticmethod(ignore)

    def __init__(self, send: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self._send, self._close = send, close
        self._pending: dict[int, _Pending] = {}
        self._lock = threading.Lock()
        self._end: McpError | None = None

    @property
    def is_alive(self) -> bool:
        return self._end is None

    def request(
        self,
        message: dict,
        headers: dict[str, str],
        *,
        timeout: float,
        on_progress: Listener = ignore,
    ) -> dict:
        """Send a request and return its response. Raises McpError."""
        pending = _Pending(on_progress)
        with self._lock:
            if self._end is not None:
                raise self._end
            self._pending[message["id"]] = pending
        try:
            self._send(json_writer.dumps(message))
            return pending.wait(timeout)
        except HttpError as error:
            if error.is_rejection and message["method"] not in protocol.NEGOTIATION:
                raise Rejected(error) from error
            raise
        except TimedOut as error:
            self._cancel(message, error)
            raise
        finally:
            self._pending.pop(message["id"], None)

    def notify(self, message: dict, headers: dict[str, str]) -> None:
        """Send a notification."""
        self._send(json_writer.dumps(message))

    def listen(self, headers: dict[str, str]) -> None:
        """Do nothing: all messages come over the one stream."""

    def close(self, headers: dict[str, str]) -> None:
        self.ended(Unreachable("The connection to the MCP server was closed"))
        self._close()

    def received(self, text: bytes) -> None:
        """Dispatch what the server sends; ignore what is no message."""
        try:
            messages = protocol.parse_batch(text)
        except ProtocolViolation as error:
            self._put(error.request_id, error)
            return
        for message in messages:
            self._dispatch(message)

    def received_ends(self, ends: bytes) -> None:
        """Fail the request whose response was too long to be read between its ends."""
        error = ProtocolViolation("The MCP server's answer is too long")
        self._put(protocol.answered_request(ends), error)

    def _dispatch(self, message: dict) -> None:
        if protocol.is_response(message):
            self._put(protocol.request_id(message.get("id")), message)
        elif (reply := protocol.reply_to(message)) is not None:
            # Not from the reader thread: the server may block until we read.
            send_in_background(lambda: self._send(json_writer.dumps(reply)))
        elif message.get("method") == protocol.PROGRESS:
            self._put(protocol.progress_id(message), message)
        else:
            self.on_notification(message)

    def ended(self, reason: McpError) -> None:
        """Fail all pending requests: no more messages will come."""
        with self._lock:
            self._end = self._end or reason
            unanswered = list(self._pending.values())
        for pending in unanswered:
            pending.put(reason)

    def _put(self, id: int | None, item: dict | McpError) -> None:
        pending = self._pending.get(id)
        if pending is not None:
            pending.put(item)

    def _cancel(self, message: dict, error: TimedOut) -> None:
        if message["method"] in protocol.NEGOTIATION:
            return  # the protocol forbids cancelling these
        notice = protocol.cancellation(message["id"], str(error))
        send_in_background(lambda: self._send(json_writer.dumps(notice)))


class _Pending:
    """A request that waits: for its response or failure, and for progress until then."""

    def __init__(self, on_progress: Listener) -> None:
        self._on_progress = on_progress
        self._arrived: queue.SimpleQueue[dict | McpError] = queue.SimpleQueue()
        self.put = self._arrived.put

    def wait(self, timeout: float) -> dict:
        while True:
            item = self._next(timeout)
            if isinstance(item, McpError):
                raise item
            if protocol.is_response(item):
                return item
            self._on_progress(item)

    def _next(self, timeout: float) -> dict | McpError:
        try:
            with interruptible(lambda: self.put(Cancelled())):
                # SimpleQueue takes no infinite timeout.
                return self._arrived.get(timeout=min(remaining(timeout), threading.TIMEOUT_MAX))
        except (queue.Empty, requests.Timeout, TimeoutError):
            raise timed_out() from None
