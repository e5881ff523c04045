"""Long-lived streams of server-sent events over HTTP."""

from collections.abc import Iterator
from contextlib import suppress

import requests

from core import egress
from mcp.client.event_stream import Event, read_events
from mcp.client.http_transport import MAX_BYTES

ACCEPT = {"Accept": "text/event-stream"}
IDLE_TIMEOUT_SECONDS = 300  # of a stream that sends nothing


def is_event_stream(response: requests.Response) -> bool:
    """Return whether the response is a stream of events, whatever its status."""
    return response.headers.get("Content-Type", "").lower().startswith("text/event-stream")


def read(response: requests.Response) -> Iterator[Event]:
    """Yield the events of a stream that may last forever.

    Raises ProtocolViolation for an event that is too large.
    """
    return read_events(egress.pieces(response, limit=2**62), limit=MAX_BYTES)


def shut_down(response: requests.Response) -> None:
    """Wake the thread that reads the stream, which then closes the response."""
    with suppress(OSError, ValueError, RuntimeError):
        response.raw.shutdown()
