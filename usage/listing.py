"""Logs as the API shows them: in pages, newest first, and as a stream for export.

PostgreSQL writes the JSON of a page: handing its rows through Python objects
would cost several times what the query does.
"""

from collections.abc import Iterator
from uuid import UUID

from django.db import connection

from core import ids
from core.scoping import Caller
from usage.models import UsageLog
from usage.windows import Window

_MOMENT = (
    """replace(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),"""
    " '.000000Z', 'Z')"
)
# What `GET /logs` shows, and how it is written.
_SHOWN = {
    "id": "id",
    "logged_at": _MOMENT,
    "provider": "provider",
    "model": "model",
    "alias": "alias",
    "profile": "profile",
    "origin": "origin",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": "cached_input_tokens",
    "cost": "coalesce(trim_scale(cost), 0)",  # no price known: 0, as cost_source tells
    "cost_source": "cost_source",
    "latency_ms": "latency_ms",
    "metadata": "metadata",
    "conversation_id": "conversation_id",
    "id_at_origin": "id_at_origin",
}
_CHUNK = 2_000  # rows of an export read at a time


def page(
    caller: Caller,
    window: Window,
    labels: dict[str, str],
    *,
    limit: int,
    offset: int,
    older_than: UUID | None,
) -> tuple[str, UUID | None]:
    """The JSON array of one page, and the id of its last log if the page is full.

    `older_than` is the id of the last log of the page before.
    """
    before = ids.lowest(window.end)
    if older_than is not None:
        before = min(before, older_than)
    columns = ", ".join(f"{written} AS {name}" for name, written in _SHOWN.items())
    conditions = "".join(f" AND {name} = %({name})s" for name in labels)
    sql = f"""
        SELECT
            '[' || coalesce(string_agg(row_to_json(shown)::text, ',' ORDER BY id DESC), '') || ']',
            count(*), (array_agg(id ORDER BY id))[1]
        FROM (
            SELECT {columns} FROM usage_logs
            WHERE project_id = %(project)s AND id >= %(start)s AND id < %(before)s{conditions}
            ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
        ) AS shown
    """
    with connection.cursor() as cursor:
        cursor.execute(
            sql,
            {
                **labels,
                "project": caller.project_id,
                "start": ids.lowest(window.start),
                "before": before,
                "limit": limit,
                "offset": offset,
            },
        )
        text, count, last = cursor.fetchone()
    return text, last if count == limit else None


EXPORTED = {
    "id": "id",
    "logged_at": "created_at",
    **{name: name for name in list(_SHOWN)[2:]},
    "event_id": "event_id",
    "api_key_id": "api_key_id",
}


def stream(caller: Caller, window: Window, labels: dict[str, str]) -> Iterator[list[dict]]:
    """All matching logs as dicts, oldest first, in chunks.

    Each chunk is a query of its own, and the connection is given back before the
    chunk is: a slow reader must not hold one for as long as it reads.
    """
    logs = UsageLog.objects.for_caller(caller).filter(id__lt=ids.lowest(window.end), **labels)
    last = ids.lowest(window.start)
    chunk = _chunk(logs.filter(id__gte=last))
    while chunk:
        if not connection.in_atomic_block:
            connection.close()
        yield chunk
        chunk = _chunk(logs.filter(id__gt=chunk[-1]["id"]))


def _chunk(logs) -> list[dict]:
    found = logs.order_by("id").values_list(*EXPORTED.values())[:_CHUNK]
    rows = [dict(zip(EXPORTED, row, strict=True)) for row in found]
    for row in rows:
        row["cost"] = row["cost"] or 0
    return rows
