"""Logs in pages, newest first.

PostgreSQL writes the JSON of a page: handing its rows through Python objects
would cost several times what the query does.
Source: docs/http-contract.md, section "Listing logs".
"""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from core.cursors import next_cursor
from core.database.raw_connection import pooled_cursor
from core.scoping import Caller
from usage import day_ranges, filters
from usage.columns import INPUT_CLASSES, OUTPUT_CLASSES
from usage.day_ranges import IdRange
from usage.query_schemas import LogsQuery
from usage.reply_schemas import Log

MAX_PAGE_BYTES = 8 * 2**20
# Metadata as it is stored: compressed, up to ninety times smaller. What a statement writes out
# of rows of any size, and up to where a row is small.
_MAX_STORED_BYTES, _MAX_SMALL_BYTES = 2**19, 2**12
_SMALL_METADATA = (
    f"CASE WHEN pg_column_size(metadata) <= {_MAX_SMALL_BYTES} THEN metadata END"  # else NULL
)


def _iso_time(column: str) -> str:
    text = f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return f"replace({text}, '.000000Z', 'Z')"


# The SQL of the members that are not columns as they are.
_SQL = {
    "logged_at": _iso_time("created_at"),
    "received_at": _iso_time("received_at"),
    "cost": "coalesce(trim_scale(cost), 0)",  # unknown: 0, and cost_source is "unpriced"
    "user": "end_user",
    **{name: f"coalesce({name}, 0)" for name in (*INPUT_CLASSES, *OUTPUT_CLASSES)},
    **{name: f"coalesce(units_and_modifiers->'{name}', '{{}}')" for name in ("units", "modifiers")},
}


_NEWEST_OF_PROJECT = "project_id DESC, id DESC"
OLDEST_OF_PROJECT, OLDEST = "project_id ASC, id ASC", "id ASC"


class LogPage(NamedTuple):
    """The JSON objects of some logs; the id of the last one, if there may be more after it."""

    texts: list[str]
    next_id: UUID | None
    count: int = 0
    last_id: UUID | None = None


def logs(caller: Caller, query: LogsQuery) -> tuple[orjson.Fragment, dict[str, str]]:
    """Return the body and the headers of `GET /logs`: a page, and where the next one begins."""
    condition, parameters = filters.in_window_for_pages(caller, query)
    if query.cursor is not None:
        condition += f" AND {filters.page_part('<', 'cursor')}"
        parameters["cursor"] = query.cursor
    page = _newest(condition, parameters, day_ranges.labelled(caller, query), query)
    return orjson.Fragment(f"[{','.join(page.texts)}]"), next_cursor(page.next_id)


def _newest(
    condition: str, parameters: dict[str, Any], ranges: list[IdRange], query: LogsQuery
) -> LogPage:
    """Return a page of what the ranges have, the newest range first."""
    if query.offset and ranges:  # counted from the first row
        ranges = [IdRange(ranges[-1].start, ranges[0].end)]
    texts: list[str] = []
    left = query.limit
    for ids in ranges:
        page = read_page(
            Log.model_fields,
            condition,
            parameters | ids._asdict(),
            _NEWEST_OF_PROJECT,
            limit=left,
            offset=query.offset,
        )
        texts += page.texts
        left -= page.count
        if page.next_id is not None or sum(map(len, texts)) >= MAX_PAGE_BYTES:
            return LogPage(texts, page.last_id)
    return LogPage(texts, None)


def read_page(
    members: Iterable[str],
    condition: str,
    parameters: dict[str, Any],
    order: str,
    *,
    limit: int,
    offset: int = 0,
    separator: str = ",",
    sql: dict[str, str] | None = None,
) -> LogPage:
    """Return the first logs that meet the condition: `limit` of them, or fewer large ones.

    `order` is of ids, ascending or descending, or of projects and ids: one index serves that
    for the rows of a project.

    `texts` are JSON objects joined by `separator`, in one text or in a few. `sql`
    has the SQL of members that only the caller knows.
    """
    members_sql = _SQL | (sql or {})
    small = members_sql | {"metadata": _SMALL_METADATA}
    parameters = {**parameters, "limit": limit, "offset": offset, "separator": separator}
    statement = _page_sql(_columns(members, small), condition, order)
    text, count, last, has_large = _run(statement, parameters)[0]
    if has_large:
        return _read_large(_columns(members, members_sql), condition, parameters, order)
    return LogPage([text] if count else [], last if count == limit else None, count, last)


def _page_sql(columns: str, condition: str, order: str) -> str:
    direction = order.rpartition(" ")[2]
    return f"""
        SELECT string_agg(row_to_json(page)::text, %(separator)s ORDER BY id {direction}),
            count(*), (array_agg(id ORDER BY id {direction}))[count(*)], bool_or(metadata IS NULL)
        FROM (
            SELECT {columns} FROM usage_logs WHERE {condition}
            ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s
        ) AS page
    """


def _columns(members: Iterable[str], sql: dict[str, str]) -> str:
    return ", ".join(f'{sql.get(name, name)} AS "{name}"' for name in members)


def _read_large(columns: str, condition: str, parameters: dict[str, Any], order: str) -> LogPage:
    """Return as many of the logs as the bytes of a page allow, at least one.

    Retention may delete logs between the statements: those are left out.
    """
    sizes = _run(
        f"""
        SELECT id, pg_column_size(metadata) FROM usage_logs WHERE {condition}
        ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s
        """,
        parameters,
    )
    direction = order.rpartition(" ")[2]
    texts: list[str] = []
    last, size, count = None, 0, 0
    for group in _groups(sizes):
        text = _run(
            f"""
            SELECT string_agg(row_to_json(page)::text, %(separator)s ORDER BY id {direction}) FROM (
                SELECT {columns} FROM usage_logs WHERE ({condition}) AND id = ANY(%(ids)s)
            ) AS page
            """,
            {**parameters, "ids": group},
        )[0][0]
        last, count = group[-1], count + len(group)
        if text is not None:
            texts.append(text)
            size += len(text)
        if size >= MAX_PAGE_BYTES:
            break
    is_last = not sizes or (last == sizes[-1][0] and len(sizes) < parameters["limit"])
    return LogPage(texts, None if is_last else last, count, last)


def _groups(sizes: list[tuple[UUID, int]]) -> Iterable[list[UUID]]:
    """Yield the ids in groups, each of metadata that one statement may write out."""
    group: list[UUID] = []
    total = 0
    for id, size in sizes:
        if group and total + size > _MAX_STORED_BYTES:
            yield group
            group, total = [], 0
        group.append(id)
        total += size
    if group:
        yield group


def _run(sql: str, parameters: dict[str, Any]) -> list[tuple]:
    with pooled_cursor() as cursor:
        return cursor.execute(sql, parameters).fetchall()
