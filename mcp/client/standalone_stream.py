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

from core import egress
from mcp.client.event_stream import read_events
from mcp.client.http_transport import MAX_BYTES, HttpTransport
from mcp.client.mcp_errors import McpError, translated

_IDLE_TIMEOUT_SECONDS = 300  # of a stream that sends nothing
_MIN_SECONDS = 10  # a stream that ends sooner is not opened again
_OPENING_SECONDS = 0.5  # what is sent before the stream is open is lost in most servers


class StandaloneStream:
    """Reads the stream in a thread, if the server has one, until `close`.

    `received` is called with each message. A stream that ends is opened again.
    """

    def __init__(
        self, http: HttpTransport, headers: dict[str, str], received: Callable[[bytes], None]
    ) -> None:
        self._http, self._headers, self._received = http, headers, received
        self._lock = threading.Lock()
        self._response: requests.Response | None = None
        self._is_closed = False
        self._last_event_id = ""
        self._is_answered = threading.Event()
        threading.Thread(target=self._read_all, name="mcp-stream", daemon=True).start()

    def wait_until_open(self) -> None:
        """Wait a moment until the server has opened the stream, or refused it."""
        self._is_answered.wait(_OPENING_SECONDS)

    def close(self) -> None:
        """End the stream. Does not wait."""
        with self._lock:
            self._is_closed = True
            if self._response is not None:
                # Wakes the thread, which then closes the response.
                with suppress(OSError, ValueError, RuntimeError):
                    self._response.raw.shutdown()

    def _read_all(self) -> None:
        lasted = _MIN_SECONDS
        while lasted >= _MIN_SECONDS and not self._is_closed:
            begun = time.monotonic()
            with suppress(McpError):
                self._read()
            self._is_answered.set()
            lasted = time.monotonic() - begun

    def _read(self) -> None:
        headers = {"Accept": "text/event-stream", **self._headers}
        if self._last_event_id:
            headers["Last-Event-ID"] = self._last_event_id
        with (
            translated(),
            self._http.send("GET", headers=headers, timeout=_IDLE_TIMEOUT_SECONDS) as response,
        ):
            kind = response.headers.get("Content-Type", "").lower()
            if response.status_code != 200 or not kind.startswith("text/event-stream"):
                return
            with self._lock:
                if self._is_closed:
                    return
                self._response = response
            self._is_answered.set()
            try:
                for event in read_events(egress.pieces(response, limit=2**62), limit=MAX_BYTES):
                    self._last_event_id = event.id or self._last_event_id
                    if event.type == "message" and event.data:
                        self._received(event.data)
            finally:
                with self._lock:
                    self._response = None
