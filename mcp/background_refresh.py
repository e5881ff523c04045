"""Refresh MCP servers in the background: new ones at once, others when they are due.

Every worker runs it; a row is claimed by the one that moves its `next_refresh_at`.
"""

import logging
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Greatest
from django.http import Http404
from django.utils import timezone

from accounts.models import Project
from core.background_rounds import run_round
from core.errors import DATABASE_AWAY, DomainError
from core.process_thread import ProcessThread
from mcp import server_refresh
from mcp.models import Server, Transport
from mcp.server_calls import changed_servers

logger = logging.getLogger(__name__)

_POLL_SECONDS = 10


class _Refresher(ProcessThread):
    name = "mcp-refresh"

    def run(self) -> None:
        while True:
            run_round(_refresh_all_due, logger=logger, failed="background refresh of MCP servers")
            changed_servers.arrived.wait(_POLL_SECONDS)
            changed_servers.arrived.clear()


_threads = [_Refresher(), _Refresher()]


def start() -> None:
    """Run in this process. Does nothing where servers are not called, or it runs already."""
    if settings.MCP_EXECUTE:
        for thread in _threads:
            thread.start()


def schedule(server: Server) -> None:
    """Refresh the server, whose `next_refresh_at` has come, without waiting for the next poll."""
    if server.is_active and server.transport_type != Transport.WEBSOCKET:
        start()
        changed_servers.arrived.set()


def refresh_due(now: datetime) -> bool:
    """Refresh one server that is due; return whether there was one."""
    server = _claim(now)
    if server is None:
        return False
    refresh_once(server)
    return True


def refresh_once(server: Server) -> None:
    """Refresh the server, unless its client has stored its items since. Never raises."""
    try:
        server_refresh.refresh_in_session(server)
    except (DomainError, Http404) as error:
        logger.info("background refresh of MCP server %s failed: %s", server.id, error)
    except DATABASE_AWAY as error:
        logger.warning("background refresh of MCP server %s: %s", server.id, type(error).__name__)
    except Exception:
        logger.exception("background refresh of MCP server %s failed", server.id)


def mark_changed() -> None:
    """Make the servers due whose lists have changed, each at most once in MIN_INTERVAL."""
    if ids := changed_servers.take():
        soon = F("refreshed_at") + server_refresh.MIN_INTERVAL
        changed = Server.objects.filter(id__in=ids, has_given_lists=False)
        changed.update(next_refresh_at=Greatest(timezone.now(), soon))


def _claim(now: datetime) -> Server | None:
    with transaction.atomic():
        due = Server.objects.select_for_update(skip_locked=True)
        due = due.filter(is_active=True, next_refresh_at__lte=now).order_by("next_refresh_at")
        archived = Project.objects.filter(id=OuterRef("project_id"), archived_at__isnull=False)
        server = due.exclude(Exists(archived)).exclude(transport_type=Transport.WEBSOCKET).first()
        if server is not None:
            server.next_refresh_at = server_refresh.next_refresh_time(now)
            server.save(update_fields=["next_refresh_at"])
    return server


def _refresh_all_due() -> None:
    mark_changed()
    while refresh_due(timezone.now()):
        pass
