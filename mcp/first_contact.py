"""A server that was just registered is asked for its tools at once, while its client goes on."""

import logging
import queue
import threading

from django.conf import settings
from django.db import connection
from django.http import Http404

from core.errors import DATABASE_AWAY, DomainError
from mcp import refreshing
from mcp.models import Server, Transport

logger = logging.getLogger(__name__)

_THREADS = 2
_waiting: queue.Queue[Server] = queue.Queue(maxsize=100)
_starting = threading.Lock()
_started = False


def arrange(server: Server) -> None:
    """Have the server asked soon, unless it cannot be called, or too many wait for it already.

    Nothing is lost then: its client can ask for a refresh.
    """
    if settings.MCP_EXECUTE and server.is_active and server.transport_type != Transport.WEBSOCKET:
        try:
            _waiting.put_nowait(server)
        except queue.Full:
            logger.info("MCP server %s is not asked: too many others are", server.id)
        else:
            _start()


def make(server: Server) -> None:
    """Ask the server; what its client has stored of it meanwhile stays."""
    try:
        refreshing.refresh(server, only_first=True)
    except (DomainError, Http404) as error:
        logger.info("first contact with MCP server %s failed: %s", server.id, error)
    except DATABASE_AWAY as error:
        logger.warning("first contact with MCP server %s: %s", server.id, type(error).__name__)
    except Exception:
        logger.exception("first contact with MCP server %s failed", server.id)
    finally:
        if not connection.in_atomic_block:
            connection.close()


def _start() -> None:
    global _started
    with _starting:
        if not _started:
            for _ in range(_THREADS):
                threading.Thread(target=_work, name="mcp-first-contact", daemon=True).start()
            _started = True


def _work() -> None:
    while True:
        make(_waiting.get())
