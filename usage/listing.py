"""Logs in pages, newest first.

PostgreSQL writes the JSON of a page: handing its rows through Python objects
would cost several times what the query does.
Source: docs/http-contract.md, section "Listing logs".
"""

from uuid import UUID

import orjson
from django.db import connection

from core import ids
from core.scoping import Caller
from usage.serializers import LogsQuery
from usage.windows import Window, read_query

_ISO_TIME = (
    """replace(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),"""
    " '.000000Z', 'Z')"
)
# The members of a log in `GET /logs` and the SQL of each.
MEMBERS = {
    "id": "id",
    "logged_at": _ISO_TIME,
    "provider": "provider",
    "model": "model",
    "alias": "alias",
    "profile": "profile",
    "origin": "origin",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": "cached_input_tokens",
    "cost": "coalesce(trim_scale(cost), 0)",  # unknown: 0, and cost_source is "unpriced"
    "cost_source": "cost_source",
    "latency_ms": "latency_ms",
    "metadata": "metadata",
    "conversation_id": "conversation_id",
    "id_at_origin": "id_at_origin",
}


def logs(caller: Caller, query_string: str) -> tuple[orjson.Fragment, dict[str, str]]:
    """Return the body and the headers of `GET /logs`. Raises InvalidInput."""
    query, window, labels = read_query(LogsQuery, query_string)
    text, last = _page(
        caller,
        window,
        labels,
        limit=query["limit"],
        offset=query["offset"],
        older_than=query.get("cursor"),
    )
    return orjson.Fragment(text), {"X-Next-Cursor": str(last)} if last else {}


def _page(
    caller: Caller,
    window: Window,
    labels: dict[str, str],
    *,
    limit: int,
    offset: int,
    older_than: UUID | None,
) -> tuple[str, UUID | None]:
    """Return the JSON array of one page, and the id of its last log if the page is full.

    `older_than` is the id of the last log of the page before.
    """
    before = ids.lowest(window.end)
    if older_than is not None:
        before = min(before, older_than)
    columns = ", ".join(f"{sql} AS {name}" for name, sql in MEMBERS.items())
    conditions = "".join(f" AND {name} = %({name})s" for name in labels)
    sql = f"""
        SELECT
            '[' || coalesce(string_agg(row_to_json(page)::text, ',' ORDER BY id DESC), '') || ']',
            count(*), (array_agg(id ORDER BY id))[1]
        FROM (
            SELECT {columns} FROM usage_logs
            WHERE project_id = %(project)s AND id >= %(start)s AND id < %(before)s{conditions}
            ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
        ) AS page
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
