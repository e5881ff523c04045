"""Writing rows of the ledger together with their share of the daily sums.

One statement does both, whether for one row or for thousands, so the sums equal
the ledger at every moment. It takes the rows as one JSON list: one round trip,
one commit, one flush to disk, and unlike COPY it can skip a repeated event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from core.database.columns import column_types, recordset
from core.database.group_commit import Execute, GroupWriter
from usage.models import LABELS, SUMS, UsageLog

_FREE = Decimal(0)
_COLUMNS = column_types(UsageLog)
_NAMES = ", ".join(_COLUMNS)
_LABELS = ", ".join(LABELS)
_SUMS = ", ".join(SUMS)

_INSERT = f"""
WITH inserted AS (
    -- In this order, and the sums in theirs: two writers never wait for each other in a circle.
    INSERT INTO usage_logs ({_NAMES})
    SELECT {_NAMES} FROM {recordset("%s", _COLUMNS, "incoming")} ORDER BY project_id, event_id
    -- Also without an event id: a statement repeated after a lost connection finds its rows.
    ON CONFLICT DO NOTHING
    RETURNING *
), labelled AS (
    SELECT project_id, (created_at AT TIME ZONE 'UTC')::date AS day, provider, model,
        coalesce(alias, '') AS alias, coalesce(origin, '') AS origin, profile,
        count(*) AS requests, count(*) FILTER (WHERE cost IS NULL) AS unpriced_requests,
        coalesce(sum(cost), 0) AS cost, sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens, sum(cached_input_tokens) AS cached_input_tokens
    FROM inserted GROUP BY 1, 2, 3, 4, 5, 6, 7
), summed AS (
    INSERT INTO usage_daily AS daily (project_id, day, labels, {_LABELS}, {_SUMS})
    SELECT project_id, day,
        sha256(convert_to(jsonb_build_array({_LABELS})::text, 'UTF8')) AS labels,
        {_LABELS}, {_SUMS}
    FROM labelled
    ORDER BY project_id, day, labels
    ON CONFLICT (project_id, day, labels) DO UPDATE SET
        {", ".join(f"{name} = daily.{name} + excluded.{name}" for name in SUMS)}
)
SELECT count(*), array_agg(id) FILTER (WHERE event_id IS NOT NULL) FROM inserted
"""


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row of the ledger. `json` holds its columns as the statement takes them."""

    id: UUID
    project_id: UUID
    created_at: datetime
    cost: Decimal | None
    cost_source: str
    event_id: str | None
    fingerprint: str | None
    json: bytes

    def matches_idempotent_request(self, other: "LogRow") -> bool:
        """Whether both report the same event. Imported rows have no fingerprint: assume so."""
        return self.fingerprint in (None, other.fingerprint)

    def reply(self) -> dict:
        """Return what `POST /log` answers for this row."""
        return {
            "log_id": self.id,
            "cost": self.cost or _FREE,
            "timestamp": self.created_at,
            "cost_source": self.cost_source,
        }


def insert(rows: Sequence[LogRow]) -> tuple[int, set[UUID]]:
    """Store the rows, all or none, on Django's connection.

    Returns how many were new, and the ids of those new ones that have an event id.
    """
    if not rows:
        return 0, set()
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, _parameters(rows))
        count, new_events = cursor.fetchone()
    return count, set(new_events or ())


async def insert_group(execute: Execute, rows: list[LogRow]) -> list[bool]:
    """Return of each row whether it was new. False: its event id was there already."""
    [(_, new_events)] = await execute(_INSERT, _parameters(rows))
    new = set(new_events or ())
    return [row.event_id is None or row.id in new for row in rows]


def _parameters(rows: Sequence[LogRow]) -> list[str]:
    return [(b"[" + b",".join(row.json for row in rows) + b"]").decode()]


writer = GroupWriter(insert_group)
