"""Messages whose fate does not matter to anybody who waits."""

import threading
from collections.abc import Callable
from contextlib import suppress

from core import egress
from mcp.client.errors import McpError

COURTESY_SECONDS = 2
MOST = 32  # at a time: a server may ask for as many answers as it likes

_under_way = threading.BoundedSemaphore(MOST)


def in_background(send: Callable[[], None]) -> None:
    """Send it from a thread of its own: the caller's time may be up. Beyond MOST it is dropped."""

    def quietly() -> None:
        try:
            with suppress(McpError), egress.time_limit(COURTESY_SECONDS):
                send()
        finally:
            _under_way.release()

    if not _under_way.acquire(blocking=False):
        return
    threading.Thread(target=quietly, name="mcp-notice", daemon=True).start()
