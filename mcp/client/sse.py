"""HTTP+SSE, the transport of 2024-11-05: responses come over one long-lived stream."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import requests

from core import egress
from mcp.client.duplex import Duplex
from mcp.client.event_stream import Event, read_events
from mcp.client.http_transport import MAX_BYTES, HttpTransport
from mcp.client.mcp_errors import HttpError, McpError, ProtocolViolation, Unreachable, translated

_IDLE_TIMEOUT_SECONDS = 300  # of a stream that sends nothing
_SEND_TIMEOUT_SECONDS = 10


def connect(http: HttpTransport) -> Duplex:
    """Open the stream and read from it where to send messages. Raises McpError."""
    with ExitStack() as opening:
        response = opening.enter_context(
            http.send("GET", headers={"Accept": "text/event-stream"}, timeout=_IDLE_TIMEOUT_SECONDS)
        )
        stream = _events_of(response)
        target = _target(http, stream)
        stack = opening.pop_all()

    def send(message: bytes) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        with http.send(
            "POST", message, url=target, headers=headers, timeout=_SEND_TIMEOUT_SECONDS
        ) as reply:
            if reply.status_code >= 400:
                raise HttpError(reply.status_code)

    def read_all() -> None:
        reason: McpError = Unreachable("The MCP server has ended its stream")
        try:
            with translated(), stack:
                for event in stream:
                    if event.type == "message" and event.data:
                        duplex.received(event.data)
        except McpError as error:
            reason = error
        duplex.ended(reason)
        http.close()

    def close() -> None:
        # Wakes the reader thread, which then closes the response.
        with suppress(OSError, ValueError, RuntimeError):
            response.raw.shutdown()

    duplex = Duplex(send, close)
    threading.Thread(target=read_all, name="mcp-sse", daemon=True).start()
    return duplex


def _events_of(response: requests.Response) -> Iterator[Event]:
    if response.status_code != 200:
        raise HttpError(response.status_code)
    if not response.headers.get("Content-Type", "").lower().startswith("text/event-stream"):
        raise ProtocolViolation("The MCP server has no stream of events at its address")
    return read_events(egress.pieces(response, limit=2**62), limit=MAX_BYTES)


def _target(http: HttpTransport, stream: Iterator[Event]) -> str:
    """Return the URL of the `endpoint` event."""
    for event in stream:
        if event.type == "endpoint":
            return http.resolve_own(event.data.decode(errors="replace").strip(), base=http.url)
    raise ProtocolViolation("The MCP server's stream does not say where to send messages")
