"""Forward the progress of a call while it runs."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator

from django.db import connection

from mcp.client import protocol
from mcp.client.notifications import Listener

logger = logging.getLogger(__name__)

# A message and the HTTP status that it would have as the only one.
Answer = tuple[dict, int]


def with_progress(run: Callable[[Listener], Answer], token: int | str) -> Iterator[Answer]:
    """Yield the progress notifications of a call under the client's token, then its answer.

    `run` is called in a thread, with a listener for the parameters of each notification.
    """
    arrived: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def on_progress(params: dict) -> None:
        own = {**params, "progressToken": token}
        arrived.put((protocol.notification(protocol.PROGRESS, own), 200))

    def work() -> None:
        try:
            arrived.put(run(on_progress))
        except Exception:
            logger.exception("an MCP call with progress failed")
            arrived.put((protocol.error(None, protocol.INTERNAL_ERROR, "Internal error"), 500))
        finally:
            connection.close()

    threading.Thread(target=work, name="mcp-progress", daemon=True).start()
    while True:
        message, status = arrived.get()
        yield message, status
        if protocol.is_response(message):
            return
