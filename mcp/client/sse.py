"""HTTP with SSE, the transport of 2024-11-05: answers come over one stream that stays open."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import requests

from core import egress
from mcp.client.duplex import Duplex
from mcp.client.errors import HttpError, McpError, ProtocolViolation, Unreachable, translated
from mcp.client.events import Event, events
from mcp.client.http import MAX_BYTES, Http

_SILENCE_SECONDS = 300  # after which a stream without a word is given up
_SEND_SECONDS = 10


def connect(http: Http) -> Duplex:
    """Opens the stream, and learns from it where to send messages. Raises McpError."""
    with ExitStack() as opening:
        response = opening.enter_context(
            http.send("GET", headers={"Accept": "text/event-stream"}, patience=_SILENCE_SECONDS)
        )
        stream = _events_of(response)
        target = _target(http, stream)
        stack = opening.pop_all()

    def send(message: bytes) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        with http.send(
            "POST", message, url=target, headers=headers, patience=_SEND_SECONDS
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
        # Wakes the thread that reads, which then closes what it has in hand.
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
    return events(egress.pieces(response, limit=2**62), limit=MAX_BYTES)


def _target(http: Http, stream: Iterator[Event]) -> str:
    """Where messages go, as the first event says."""
    for event in stream:
        if event.type == "endpoint":
            return http.own_address(event.data.decode(errors="replace").strip(), base=http.url)
    raise ProtocolViolation("The MCP server's stream does not say where to send messages")
