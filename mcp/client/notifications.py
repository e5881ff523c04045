"""Notifications of servers, and messages to them that need no answer."""

import threading
from collections.abc import Callable
from contextlib import suppress

from core import egress
from mcp.client.mcp_errors import McpError

# Is called with each notification, in the thread that reads it.
Listener = Callable[[dict], None]

NOTIFY_TIMEOUT_SECONDS = 2
MAX_IN_FLIGHT = 32  # a server may send any number of requests

_slots = threading.BoundedSemaphore(MAX_IN_FLIGHT)


def ignore(message: dict) -> None:
    """Ignore a notification."""


def send_in_background(send: Callable[[], None]) -> None:
    """Send from a new thread, since the caller's time may be up; beyond MAX_IN_FLIGHT drop it."""

    def quietly() -> None:
        try:
            with suppress(McpError), egress.time_limit(NOTIFY_TIMEOUT_SECONDS):
                send()
        finally:
            _slots.release()

    if not _slots.acquire(blocking=False):
        return
    threading.Thread(target=quietly, name="mcp-notify", daemon=True).start()
