"""Deleting the logs that their project's tier no longer keeps, by the time of their call.

The daily sums of deleted logs stay: what was spent last year is still known. So do their
receipts, and the month's counter of the quota.
"""

import time
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import connection

from accounts.limits import log_retention
from core import ids
from usage.models import UsageLog

LOGS_PER_TRANSACTION = 2_000
_DELETE = """
DELETE FROM usage_logs WHERE id IN (
    SELECT id FROM usage_logs WHERE project_id = %s AND id < %s ORDER BY id LIMIT %s
)
"""


def enforce(*, now: datetime, seconds: float = float("inf")) -> Iterator[int]:
    """Delete logs that are too old, while iterated, and for so many seconds at most.

    Yields the number deleted by each transaction.
    """
    end = time.monotonic() + seconds
    for project_id, since in log_retention.kept_since(now).items():
        while deleted := _delete_before(project_id, since):
            yield deleted
            if time.monotonic() > end:
                return


def count_old(*, now: datetime) -> int:
    """Return how many logs `enforce` would delete."""
    return sum(
        UsageLog.objects.filter(project_id=project_id, id__lt=ids.lowest(since)).count()
        for project_id, since in log_retention.kept_since(now).items()
    )


def _delete_before(project_id: UUID, since: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [project_id, ids.lowest(since), LOGS_PER_TRANSACTION])
        return cursor.rowcount
