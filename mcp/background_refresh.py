"""Refresh newly registered servers in the background, while their clients go on."""

import logging
import queue
import threading

from django.conf import settings
from django.db import connection
from django.http import Http404

from core.errors import DATABASE_AWAY, DomainError
from mcp import server_refresh
from mcp.models import Server, Transport

logger = logging.getLogger(__name__)

_THREADS = 2
_waiting: queue.Queue[Server] = queue.Queue(maxsize=100)
_starting = threading.Lock()
_started = False


def schedule(server: Server) -> None:
    """Queue the initial refresh of a server that can be called.

    When the queue is full it is skipped; the client can still refresh the server itself.
    """
    if settings.MCP_EXECUTE and server.is_active and server.transport_type != Transport.WEBSOCKET:
        try:
            _waiting.put_nowait(server)
        except queue.Full:
            logger.info("initial refresh of MCP server %s skipped: the queue is full", server.id)
        else:
            _start()


def refresh_once(server: Server) -> None:
    """Refresh the server, unless its client has stored its items since. Never raises."""
    try:
        server_refresh.refresh(server, only_first=True)
    except (DomainError, Http404) as error:
        logger.info("initial refresh of MCP server %s failed: %s", server.id, error)
    except DATABASE_AWAY as error:
        logger.warning("initial refresh of MCP server %s: %s", server.id, type(error).__name__)
    except Exception:
        logger.exception("initial refresh of MCP server %s failed", server.id)
    finally:
        if not connection.in_atomic_block:
            connection.close()


def _start() -> None:
    global _started
    with _starting:
        if not _started:
            for _ in range(_THREADS):
                threading.Thread(target=_work, name="mcp-initial-refresh", daemon=True).start()
            _started = True


def _work() -> None:
    while True:
        refresh_once(_waiting.get())
