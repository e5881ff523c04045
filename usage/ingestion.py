"""Writing logs: one at a time in groups, or thousands in one statement."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import msgspec
from django.db import connection, transaction

from core import bridge
from core.errors import DomainError
from core.scoping import Caller
from usage import rows, statement
from usage.entries import LogEntry
from usage.models import UsageLog
from usage.rows import Row
from usage.writer import writer

# The same event always has the same bytes.
canonical = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode
all_or_none = transaction.atomic


class EventReused(DomainError):
    """The event id names another event that is stored already."""

    status_code = 409
    code = "event_reused"

    def __init__(self, what: str = "Idempotency-Key") -> None:
        super().__init__(f"{what} was used before for a different request")


def log(entry: LogEntry, caller: Caller, *, idempotency_key: str | None = None) -> Row:
    """Store one log durably and return its row; for a retry, the row stored the first time.

    Raises EventReused, DatabaseUnavailable.
    """
    if idempotency_key is None:
        row = rows.make(entry, caller)
        bridge.run(writer.write(row))
        return row
    row = rows.make(
        entry,
        caller,
        event_id=idempotency_key,
        fingerprint=rows.fingerprint(canonical(entry)),
    )
    return row if bridge.run(writer.write(row)) else stored(row)


def write_all(batch: Sequence[Row]) -> tuple[int, set[UUID]]:
    """Store the rows in one statement, all or none.

    Returns how many were new, and the ids of those new ones that have an event id.
    """
    if not batch:
        return 0, set()
    with connection.cursor() as cursor:
        cursor.execute(statement.INSERT, statement.parameters([row.text for row in batch]))
        count, new_events = cursor.fetchone()
    return count, set(new_events or ())


def stored(row: Row) -> Row:
    """The row stored under the same event id. Raises EventReused if it is of another event."""
    first = stored_events([row])[row.event_id]
    if not first.is_of_event(row):
        raise EventReused
    return first


def stored_events(batch: Sequence[Row]) -> dict[str, Row]:
    """For each row's event id, that row as it was stored first."""
    if not batch:
        return {}
    found = UsageLog.objects.filter(
        project_id=batch[0].project_id, event_id__in=[row.event_id for row in batch]
    )
    return {
        log.event_id: replace(
            batch[0],
            id=log.id,
            created_at=log.created_at,
            cost=log.cost,
            cost_source=log.cost_source,
            event_id=log.event_id,
            fingerprint=log.fingerprint,
        )
        for log in found
    }
