"""HTTP+SSE, the transport of 2024-11-05: responses come over one long-lived stream."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import requests

from mcp.client import http_stream
from mcp.client.duplex import Duplex
from mcp.client.event_stream import Event
from mcp.client.http_transport import HttpTransport
from mcp.client.mcp_errors import HttpError, McpError, ProtocolViolation, Unreachable, translated

_SEND_TIMEOUT_SECONDS = 10


def connect(http: HttpTransport) -> Duplex:
    """Open the stream and read from it where to send messages. Raises McpError."""
    with ExitStack() as opening:
        response = opening.enter_context(
            http.send("GET", headers=http_stream.ACCEPT, timeout=http_stream.IDLE_TIMEOUT_SECONDS)
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
        http_stream.shut_down(response)

    duplex = Duplex(send, close)
    threading.Thread(target=read_all, name="mcp-sse", daemon=True).start()
    return duplex


def _events_of(response: requests.Response) -> Iterator[Event]:
    if response.status_code != 200:
        raise HttpError(response.status_code)
    if not http_stream.is_event_stream(response):
        raise ProtocolViolation("The MCP server has no stream of events at its address")
    return http_stream.read(response)


def _target(http: HttpTransport, stream: Iterator[Event]) -> str:
    """Return the URL of the `endpoint` event."""
    for event in stream:
        if event.type == "endpoint":
            return http.resolve_own(event.data.decode(errors="replace").strip(), base=http.url)
    raise ProtocolViolation("The MCP server's stream does not say where to send messages")
