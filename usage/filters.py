"""The conditions of a query, on rows of the ledger and on daily sums.

Source: docs/http-contract.md, section "Windows".
"""

from typing import Any

from core import ids
from core.scoping import Caller
from usage.columns import LABELS
from usage.query_schemas import WindowQuery

NONE = "none"  # as a filter: logs that have no such label
# A label of a ledger's row as the daily sums have it: empty for none.
LABEL_SQL = {name: f"coalesce({name}::text, '')" for name in LABELS}
# The tags of a ledger's row: the texts of the list of that name in its metadata, each once.
TAGS_SQL = """ARRAY(
    SELECT DISTINCT tag FROM jsonb_array_elements_text(
        CASE jsonb_typeof(metadata->'tags') WHEN 'array' THEN metadata->'tags' ELSE '[]' END
    ) AS tag WHERE tag <> ''
)"""
_LEDGER_ONLY = {
    "user": "coalesce(end_user, '')",
    "id_at_origin": "coalesce(id_at_origin, '')",
    "upstream": "coalesce(upstream, '')",
    "requested_model": "coalesce(requested_model, '')",
    "http_status": "coalesce(http_status::text, '')",
    "cost_source": "cost_source",
    "usage_status": "usage_status",
}


def reads_ledger_only(query: WindowQuery) -> bool:
    """Return whether the query narrows by what the daily sums do not know."""
    names = [*_LEDGER_ONLY, "tag", "received_start", "received_end"]
    return any(getattr(query, name) is not None for name in names)


def on_daily_sums(query: WindowQuery) -> tuple[str, dict[str, Any]]:
    """Return the conditions, each beginning with AND, and their parameters."""
    return _any_of(query, {name: name for name in LABELS})


def on_ledger(query: WindowQuery) -> tuple[str, dict[str, Any]]:
    """Return the conditions but for the window, each beginning with AND, and their parameters."""
    columns = LABEL_SQL | _LEDGER_ONLY
    if query.id_at_origin and NONE not in query.id_at_origin:
        columns["id_at_origin"] = "id_at_origin"  # as its index has it
    sql, parameters = _any_of(query, columns)
    if query.tag:
        untagged = f" OR {TAGS_SQL} = '{{}}'" if NONE in query.tag else ""
        sql += f" AND ({TAGS_SQL} && %(tag)s::text[]{untagged})"
        parameters["tag"] = query.tag
    if query.received_start:
        sql += " AND received_at >= %(received_start)s"
        parameters["received_start"] = query.received_start
    if query.received_end:
        sql += " AND received_at < %(received_end)s"
        parameters["received_end"] = query.received_end
    return sql, parameters


def in_window(caller: Caller, query: WindowQuery) -> tuple[str, dict[str, Any]]:
    """Return the whole condition of a ledger's rows, and its parameters."""
    return _with_window(
        caller, query, "project_id = %(project)s AND id >= %(start)s AND id < %(end)s"
    )


def in_window_for_pages(caller: Caller, query: WindowQuery) -> tuple[str, dict[str, Any]]:
    """Return the same for pages ordered by project_id and id, which that index alone can serve.

    The planner assumes that a project's rows are spread evenly over the primary key. It would
    read it from the end, through all that other projects have logged since.
    """
    return _with_window(caller, query, page_part(">=", "start") + " AND " + page_part("<", "end"))


def page_part(comparison: str, parameter: str) -> str:
    """Return the condition that a row of a page is before or after the id in a parameter."""
    return f"(project_id, id) {comparison} (%(project)s, %({parameter})s)"


def _with_window(caller: Caller, query: WindowQuery, condition: str) -> tuple[str, dict[str, Any]]:
    window = query.window()
    sql, parameters = on_ledger(query)
    return condition + sql, {
        **parameters,
        "project": caller.project_id,
        "start": ids.lowest(window.start),
        "end": ids.lowest(window.end),
    }


def _any_of(query: WindowQuery, columns: dict[str, str]) -> tuple[str, dict[str, Any]]:
    wanted = {name: getattr(query, name) for name in columns if getattr(query, name) is not None}
    sql = "".join(f" AND {columns[name]} = ANY(%({name})s::text[])" for name in wanted)
    return sql, {
        name: ["" if value == NONE else value for value in values]
        for name, values in wanted.items()
    }
