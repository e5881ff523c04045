"""Sums over the logs of a window, by labels and by periods.

Whole days come from their daily sums, partial days at the window's ends from the logs. Both
are written by one statement, so the figures equal the ledger at every moment. One query;
its cost hardly grows with the number of logs, unless it asks for what the daily sums do not
know: then it reads the logs themselves, for as long as a statement may take.
Source: docs/http-contract.md, section "Statistics".
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from core import ids
from core.database.any_id import uuid_array
from core.database.raw_connection import pooled_cursor
from usage import filters
from usage.columns import LABELS, SUMS
from usage.filters import LABEL_SQL
from usage.ledger import SHARE_SQL
from usage.query_schemas import WindowQuery
from usage.windows import midnight

_PERIODS = {
    "hour": "hour_start",
    "day": "day",
    "week": "date_trunc('week', day)::date",  # the ISO week's Monday
    "month": "date_trunc('month', day)::date",
}
_UTC = "created_at AT TIME ZONE 'UTC'"
# Beside the labels: the project's id, for sums of several projects.
_LEDGER_LABELS = {**LABEL_SQL, "project": "project_id::text"}


def _daily_labels() -> dict[str, str]:
    """Return the SQL of the labels of daily sums that all have the same ones: any will do."""
    any_of = "any_value({})" if connection.features.is_postgresql_16 else "min({})"
    return {**{name: any_of.format(name) for name in LABELS}, "project": "project_id::text"}


def sum_by_labels(
    projects: Sequence[UUID],
    query: WindowQuery,
    *,
    labels: Sequence[str],
    sums: Sequence[str],
    dated_sums: Sequence[str],
) -> dict[str, dict]:
    """Return sums over these projects' logs, by kind and key; each kind is sorted by its key.

    The kinds: each of `labels` (by its texts, "" for none; `project` is a label, too) and
    `all` (by ""), which have `sums`; `period` (by the start of each) and `period_and_model` (by
    both), which have `dated_sums`, not more of them. Without `labels` there is no `all`.
    """
    groups: dict[str, dict] = {name: {} for name in (*labels, "all", "period", "period_and_model")}
    sql, parameters = _statement(projects, query, labels, sums, dated_sums)
    with pooled_cursor() as cursor:
        cursor.execute(sql, parameters)
        for kind, period, name, *values in cursor:
            if period is None:
                groups[kind][name or ""] = sums_by_name(values, sums)
            else:
                key = period if kind == "period" else (period, name)
                groups[kind][key] = sums_by_name(values[: len(dated_sums)], dated_sums)
    return groups


def sums_by_name(values: Iterable, names: Sequence[str] = SUMS) -> dict[str, Any]:
    """Return sums by their names. PostgreSQL sums no rows to NULL, which is 0 here."""
    return dict(zip(names, (value or 0 for value in values), strict=True))


def sum_columns(sums: Sequence[str] = SUMS) -> str:
    """Return the columns that add up sums which have been made already."""
    return ", ".join(f"sum({name}) AS {name}" for name in sums)


def share_columns(sums: Sequence[str] = SUMS) -> str:
    """Return the columns of what a log adds to each sum."""
    return _selected(SHARE_SQL, sums)


class _Sources(NamedTuple):
    """What is summed, each from FROM on: the daily sums, and the logs at the window's ends."""

    daily: str
    ledger: str


def _statement(
    projects: Sequence[UUID],
    query: WindowQuery,
    labels: Sequence[str],
    sums: Sequence[str],
    dated_sums: Sequence[str],
) -> tuple[str, dict[str, Any]]:
    window = query.window()
    group_by = getattr(query, "group_by", "day")
    reads_ledger = group_by == "hour" or filters.reads_ledger_only(query)
    first, after = window.no_days() if reads_ledger else window.whole_days()
    in_sums, parameters = filters.on_daily_sums(query)
    in_ledger, ledger_parameters = filters.on_ledger(query)
    sources = _sources(in_sums, in_ledger)
    unused = "".join(", NULL" for _ in sums[len(dated_sums) :])
    sql = f"""
        SELECT CASE 0 WHEN grouping(model) THEN 'period_and_model' ELSE 'period' END,
            period, model, {sum_columns(dated_sums)}{unused}
        FROM ({_by_period_and_model(_PERIODS[group_by], dated_sums, sources)}) AS dated
        GROUP BY GROUPING SETS ((period), (period, model))
        {_union_of_labels(labels, sums, sources) if labels else ""}
        ORDER BY 2, 3
    """
    return sql, {
        **parameters,
        **ledger_parameters,
        "projects": uuid_array(projects),
        "first": first,
        "after": after,
        "start": ids.lowest(window.start),
        "first_id": ids.lowest(min(midnight(first), window.end)),
        "after_id": ids.lowest(midnight(after)),
        "end": ids.lowest(window.end),
    }


def _sources(in_sums: str, in_ledger: str) -> _Sources:
    """Return the sources, each narrowed by a condition that begins with AND.

    The two ends are read apart: before a table has statistics, a plan for `OR` may read all
    logs of a project.
    """
    of_projects = f"project_id = ANY(%(projects)s::uuid[]){in_ledger}"
    return _Sources(
        f"""
        FROM usage_daily
        WHERE project_id = ANY(%(projects)s::uuid[])
            AND day >= %(first)s AND day < %(after)s{in_sums}
        """,
        f"""
        FROM (
            SELECT * FROM usage_logs WHERE {of_projects} AND id >= %(start)s AND id < %(first_id)s
            UNION ALL
            SELECT * FROM usage_logs WHERE {of_projects} AND id >= %(after_id)s AND id < %(end)s
        ) AS ends
        """,
    )


def _by_period_and_model(period: str, sums: Sequence[str], sources: _Sources) -> str:
    """Return the query of the few rows that are summed again by period alone.

    It reads no column that it does not need.
    """
    return f"""
        SELECT {period} AS period, model, {sum_columns(sums)} FROM (
            SELECT day, NULL::timestamp AS hour_start, model, {", ".join(sums)} {sources.daily}
            UNION ALL
            SELECT ({_UTC})::date, date_trunc('hour', {_UTC}), {LABEL_SQL["model"]},
                {share_columns(sums)}
            {sources.ledger}
        ) AS parts
        GROUP BY 1, 2
    """


def _union_of_labels(labels: Sequence[str], sums: Sequence[str], sources: _Sources) -> str:
    kinds = " ".join(f"WHEN grouping({name}) THEN '{name}'" for name in labels)
    return f"""
        UNION ALL
        SELECT CASE 0 {kinds} ELSE 'all' END, NULL, coalesce({", ".join(labels)}) COLLATE "C",
            {sum_columns(sums)}
        FROM ({_by_all_labels(labels, sums, sources)}) AS named
        GROUP BY GROUPING SETS ((), {", ".join(f"({name})" for name in labels)})
    """


def _by_all_labels(labels: Sequence[str], sums: Sequence[str], sources: _Sources) -> str:
    """Return the query of the few rows that are summed again by each label.

    Daily sums are grouped by the digest of their labels first, which takes half as long.
    """
    return f"""
        SELECT {", ".join(labels)}, {sum_columns(sums)} FROM (
            SELECT {_selected(_daily_labels(), labels)}, {sum_columns(sums)} {sources.daily}
            GROUP BY project_id, labels
            UNION ALL
            SELECT {_selected(_LEDGER_LABELS, labels)}, {share_columns(sums)} {sources.ledger}
        ) AS parts
        GROUP BY {", ".join(labels)}
    """


def _selected(expressions: dict[str, str], names: Sequence[str]) -> str:
    return ", ".join(f"{expressions[name]} AS {name}" for name in names)
