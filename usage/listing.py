"""Logs in pages, newest first.

PostgreSQL writes the JSON of a page: handing its rows through Python objects
would cost several times what the query does.
Source: docs/http-contract.md, section "Listing logs".
"""

import orjson
from django.db import connection

from core import ids
from core.scoping import Caller
from usage.schemas import Log, LogsQuery

# The SQL of the members that are not columns as they are.
_SQL = {
    "logged_at": (
        """replace(to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),"""
        " '.000000Z', 'Z')"
    ),
    "cost": "coalesce(trim_scale(cost), 0)",  # unknown: 0, and cost_source is "unpriced"
}
_COLUMNS = ", ".join(f"{_SQL.get(name, name)} AS {name}" for name in Log.model_fields)


def logs(caller: Caller, query: LogsQuery) -> tuple[orjson.Fragment, dict[str, str]]:
    """Return the body and the headers of `GET /logs`: a page, and where the next one begins."""
    window = query.window()
    before = ids.lowest(window.end)
    if query.cursor is not None:
        before = min(before, query.cursor)
    labels = query.labels()
    conditions = "".join(f" AND {name} = %({name})s" for name in labels)
    sql = f"""
        SELECT
            '[' || coalesce(string_agg(row_to_json(page)::text, ',' ORDER BY id DESC), '') || ']',
            count(*), (array_agg(id ORDER BY id))[1]
        FROM (
            SELECT {_COLUMNS} FROM usage_logs
            WHERE project_id = %(project)s AND id >= %(start)s AND id < %(before)s{conditions}
            ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
        ) AS page
    """
    parameters = {
        **labels,
        "project": caller.project_id,
        "start": ids.lowest(window.start),
        "before": before,
        "limit": query.limit,
        "offset": query.offset,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        text, count, last = cursor.fetchone()
    is_full = count == query.limit
    return orjson.Fragment(text), {"X-Next-Cursor": str(last)} if is_full else {}
