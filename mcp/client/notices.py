"""Messages whose fate does not matter to anybody who waits."""

import threading
from collections.abc import Callable
from contextlib import suppress

from llmring_site import egress
from mcp.client.errors import McpError

COURTESY_SECONDS = 2


def in_background(send: Callable[[], None]) -> None:
    """Send it from a thread of its own: the caller's time may be up."""

    def quietly() -> None:
        with suppress(McpError), egress.time_limit(COURTESY_SECONDS):
            send()

    threading.Thread(target=quietly, name="mcp-notice", daemon=True).start()
