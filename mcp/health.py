"""Problems of MCP servers and their tools, for the dashboard."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from core import ids
from core.database.any_id import any_id
from mcp.models import CHANGED, ErrorKind, Server, Tool, ToolExecution
from usage.windows import midnight

MAX_SERVERS = 10
MAX_COUNTED = 1_000  # failed executions


def failing_servers(projects: Sequence[UUID]) -> list[tuple[UUID, str, str]]:
    """Return id, name and last error of active servers that did not answer the last time."""
    failing = Server.objects.filter(any_id("project_id", projects), is_active=True, reachable=False)
    return list(failing.values_list("id", "name", "last_error")[:MAX_SERVERS])


def failed_executions(projects: Sequence[UUID], first: date, last: date) -> int:
    """Return how many executions failed on these days (UTC); MAX_COUNTED + 1 for more."""
    start, end = (ids.lowest(midnight(day)) for day in (first, last + timedelta(days=1)))
    failed = ToolExecution.objects.filter(
        any_id("project_id", projects),
        # The kinds are named, for an index that begins with them.
        error_kind__in=ErrorKind.values,
        id__gte=start,
        id__lt=end,
    )
    return failed.order_by()[: MAX_COUNTED + 1].count()


def changed_tools(projects: Sequence[UUID]) -> int:
    """Return how many tools differ from what was accepted."""
    return Tool.objects.active().filter(CHANGED, any_id("project_id", projects)).count()


def overdue_refreshes(before: datetime) -> int:
    """Return how many servers should have been refreshed before that time."""
    return Server.objects.filter(is_active=True, next_refresh_at__lt=before).count()
