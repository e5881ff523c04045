"""The stream of a Streamable HTTP session for messages that belong to no request.

Servers send there that their lists have changed, and most SDKs also requests for sampling or
roots, whose tool waits until they are refused.
Source: MCP 2025-11-25, "Listening for Messages from the Server".
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import requests

from mcp.client import http_stream
from mcp.client.event_stream import Event
from mcp.client.http_transport import HttpTransport
from mcp.client.mcp_errors import McpError, translated

_MIN_SECONDS = 10  # a stream that ends sooner, without the id of an event, is not opened again
_MIN_RETRY_SECONDS = 0.5  # whatever the server says
_MAX_RETRY_SECONDS = 60
_OPENING_SECONDS = 0.5  # what is sent before the stream is open is lost in most servers


class StandaloneStream:
    """Reads the stream in a thread, if the server has one, until `close`.

    `received` is called with each message. A stream that ends is opened again: at once if it
    has lasted, else after the server's `retry` if it can be resumed (SEP-1699).
    """

    def __init__(
        self, http: HttpTransport, headers: dict[str, str], received: Callable[[bytes], None]
    ) -> None:
        self._http, self._headers, self._received = http, headers, received
        self._lock = threading.Lock()
        self._response: requests.Response | None = None
        self._closed = threading.Event()
        self._last_event_id = ""
        self._is_resumable = False  # the stream that was read last
        self._retry_seconds = 1.0
        self._is_answered = threading.Event()
        threading.Thread(target=self._read_all, name="mcp-stream", daemon=True).start()

    def wait_until_open(self) -> None:
        """Wait a moment until the server has opened the stream, or refused it."""
        self._is_answered.wait(_OPENING_SECONDS)

    def close(self) -> None:
        """End the stream. Does not wait."""
        with self._lock:
            self._closed.set()
            if self._response is not None:
                http_stream.shut_down(self._response)

    def _read_all(self) -> None:
        while not self._closed.is_set():
            begun = time.monotonic()
            self._is_resumable = False
            with suppress(McpError):
                self._read()
            self._is_answered.set()
            if time.monotonic() - begun < _MIN_SECONDS:
                if not self._is_resumable:
                    return
                self._closed.wait(
                    min(max(self._retry_seconds, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS)
                )

    def _read(self) -> None:
        headers = {**http_stream.ACCEPT, **self._headers}
        if self._last_event_id:
            headers["Last-Event-ID"] = self._last_event_id
        with (
            translated(),
            self._http.send(
                "GET", headers=headers, timeout=http_stream.IDLE_TIMEOUT_SECONDS
            ) as response,
        ):
            if response.status_code != 200 or not http_stream.is_event_stream(response):
                return
            with self._lock:
                if self._closed.is_set():
                    return
                self._response = response
            self._is_answered.set()
            try:
                for event in http_stream.read(response):
                    self._note(event)
                    if event.type == "message" and event.data:
                        self._received(event.data)
            finally:
                with self._lock:
                    self._response = None

    def _note(self, event: Event) -> None:
        if event.id:
            self._last_event_id, self._is_resumable = event.id, True
        if event.retry is not None:
            self._retry_seconds = event.retry / 1000
