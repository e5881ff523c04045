"""Statistics of a window: whole days from their sums, partial days at its ends from the logs.

Sums and logs are written by one statement, so the figures equal the ledger at
every moment. One query; its cost hardly grows with the number of logs, unless it
asks for what the sums of days do not know: then it reads the logs themselves, for
as long as a statement may take.
Source: docs/http-contract.md, section "Statistics".
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from core import ids, media
from core.database.raw_connection import pooled_cursor
from core.scoping import Caller
from usage import filters, latency
from usage.filters import LABEL_SQL
from usage.ledger import SHARE_SQL
from usage.models import LABELS, SUMS
from usage.query_schemas import StatsQuery, WindowQuery

MAX_NAMES = 1_000  # of users or tags; those with most requests
_PERIODS = {
    "hour": "hour_start",
    "day": "day",
    "week": "date_trunc('week', day)::date",  # the ISO week's Monday
    "month": "date_trunc('month', day)::date",
}
_TOTALS = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
_SHARES = ", ".join(f"{SHARE_SQL[name]} AS {name}" for name in SUMS)
# Beside the labels: the project's id, for sums of several projects.
_LEDGER_LABELS = {**LABEL_SQL, "project": "project_id::text"}
_DAILY_LABELS = {**dict(zip(LABELS, LABELS, strict=True)), "project": "project_id::text"}
_UTC = "created_at AT TIME ZONE 'UTC'"
_GROUPS = {
    "user": "SELECT end_user AS name, * FROM chosen",
    "upstream": "SELECT upstream AS name, * FROM chosen",
    "requested_model": "SELECT requested_model AS name, * FROM chosen",
    "http_status": "SELECT http_status::text AS name, * FROM chosen",
    "tag": """
        SELECT tag AS name, chosen.* FROM chosen, jsonb_array_elements_text(
            CASE jsonb_typeof(metadata->'tags') WHEN 'array' THEN metadata->'tags' ELSE '[]' END
        ) AS tag
    """,
}


def stats(caller: Caller, query: StatsQuery) -> dict:
    """Return the body of `GET /stats`."""
    body = _body(sum_by_labels([caller.project_id], query))
    for name in query.groups or ():
        body[f"by_{name}"] = _by_name(caller, query, name)
    return body


def sum_by_labels(
    projects: Sequence[UUID],
    query: WindowQuery,
    *,
    labels: Sequence[str] = LABELS,
    sums: Sequence[str] = SUMS,
) -> dict[str, dict]:
    """Return sums over these projects' logs, by kind and key; each kind is sorted by its key.

    The kinds: each of `labels` (by its texts, "" for none; `project` is a label, too),
    `period` (by the start of each), `top` (by period and model), and `all`, by "". Each
    sum is a dictionary of `sums`. `model` must be among the labels, not last.
    """
    groups: dict[str, dict] = {name: {} for name in (*labels, "all", "period", "top")}
    with pooled_cursor() as cursor:
        cursor.execute(*_statement(projects, query, labels, sums))
        for kind, period, name, *values in cursor:
            key = (period, name) if kind == "top" else name or period or ""
            groups[kind][key] = _sums(values, sums)
    return groups


def _sums(values: list, names: Sequence[str] = SUMS) -> dict[str, Any]:
    """Return sums by their names; those of nothing are NULL."""
    return dict(zip(names, (value or 0 for value in values), strict=True))


def _statement(
    projects: Sequence[UUID], query: WindowQuery, labels: Sequence[str], sums: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    window = query.window()
    group_by = getattr(query, "group_by", "day")
    reads_ledger = group_by == "hour" or filters.reads_ledger_only(query)
    whole_days = (window.end.date(), window.end.date()) if reads_ledger else _whole_days(window)
    first, after = whole_days
    in_sums, parameters = filters.on_daily_sums(query)
    in_ledger, ledger_parameters = filters.on_ledger(query)
    sql = _sums_sql(_PERIODS[group_by], in_sums, in_ledger, labels, sums)
    return sql, {
        **parameters,
        **ledger_parameters,
        "projects": [*projects],
        "first": first,
        "after": after,
        "start": ids.lowest(window.start),
        "first_id": ids.lowest(min(_midnight(first), window.end)),
        "after_id": ids.lowest(_midnight(after)),
        "end": ids.lowest(window.end),
    }


def _sums_sql(
    period: str, in_sums: str, in_ledger: str, labels: Sequence[str], sums: Sequence[str]
) -> str:
    # One pass sums the parts by all labels, and by period and model; few rows are
    # left to sum again by each label.
    names = ", ".join(labels)
    totals = ", ".join(f"sum({name}) AS {name}" for name in sums)
    return f"""
        WITH parts AS (
            SELECT day, NULL::timestamp AS hour_start, {_selected(_DAILY_LABELS, labels)},
                {", ".join(sums)}
            FROM usage_daily
            WHERE project_id = ANY(%(projects)s) AND day >= %(first)s AND day < %(after)s{in_sums}
            UNION ALL
            SELECT ({_UTC})::date, date_trunc('hour', {_UTC}),
                {_selected(_LEDGER_LABELS, labels)}, {_selected(SHARE_SQL, sums)}
            FROM usage_logs
            WHERE project_id = ANY(%(projects)s){in_ledger} AND (
                (id >= %(start)s AND id < %(first_id)s) OR (id >= %(after_id)s AND id < %(end)s)
            )
        ), grouped AS MATERIALIZED (
            SELECT grouping({labels[-1]}) = 1 AS is_dated, {period} AS period, {names}, {totals}
            FROM parts
            GROUP BY GROUPING SETS (({names}), ({period}, model))
        )
        SELECT CASE grouping(period, model) WHEN 3 THEN 'all' WHEN 1 THEN 'period' ELSE 'top' END,
            period, model, {totals}
        FROM grouped WHERE is_dated GROUP BY GROUPING SETS ((), (period), (period, model))
        UNION ALL
        SELECT CASE grouping({names}) {_label_of_mask(labels)} END,
            NULL, coalesce({names}), {totals}
        FROM grouped WHERE NOT is_dated
        GROUP BY GROUPING SETS ({", ".join(f"({name})" for name in labels)})
        ORDER BY 2, 3
    """


def _selected(expressions: dict[str, str], labels: Sequence[str]) -> str:
    return ", ".join(f"{expressions[name]} AS {name}" for name in labels)


def _label_of_mask(labels: Sequence[str]) -> str:
    """Return the label of each mask of grouping(): a bit is set for what is not grouped by."""
    count = len(labels)
    return " ".join(
        f"WHEN {(1 << count) - 1 - (1 << count - 1 - n)} THEN '{name}'"
        for n, name in enumerate(labels)
    )


def _by_name(caller: Caller, query: StatsQuery, group: str) -> dict[str, dict]:
    """Return sums and times by the names of a group that only the logs know."""
    condition, parameters = filters.in_window(caller, query)
    sql = f"""
        WITH chosen AS (SELECT * FROM usage_logs WHERE {condition}),
            named AS ({_GROUPS[group]}),
            shares AS (
                SELECT name, {_SHARES}, {latency.OF_CALLS} FROM named WHERE name <> ''
            )
        SELECT name, {", ".join(latency.percentiles(column) for column in latency.MEASURED)},
            {_TOTALS}
        FROM shares GROUP BY name
        ORDER BY sum(requests) DESC, name LIMIT {MAX_NAMES}
    """
    with pooled_cursor() as cursor:
        cursor.execute(sql, parameters)
        return {name: _named_usage(values) for name, *values in cursor.fetchall()}


def _named_usage(values: list) -> dict[str, Any]:
    measured = len(latency.MEASURED)
    times = {
        name: dict(zip(("p50", "p95"), percentiles or (None, None), strict=True))
        for name, percentiles in zip(latency.MEASURED, values[:measured], strict=True)
    }
    return {**_usage(_sums(values[measured:])), **times}


def _whole_days(window) -> tuple[date, date]:
    """Return the first day wholly inside the window, and the first one after those.

    Without any, both are the day after the window's start: then one range of
    logs before it and one after it make up the window.
    """
    first = window.start.date()
    if window.start.time() != time.min:
        first += timedelta(days=1)
    return first, max(first, window.end.date())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _body(groups: dict[str, dict]) -> dict:
    return {
        "summary": _summary(groups),
        "by_day": _by_period(groups),
        "by_model": _usages(groups["model"], unnamed=True),
        "by_priced_model": _usages(groups["priced_as"]),
        "by_provider": _usages(groups["provider"], unnamed=True),
        "by_origin": {
            name: {**_usage(sums), "cost": sums["cost"]}
            for name, sums in groups["origin"].items()
            if name
        },
        "by_alias": _usages(groups["alias"]),
        "by_profile": _usages(groups["profile"], unnamed=True),
        "by_api_key": _usages(groups["api_key_id"]),
    }


def _summary(groups: dict) -> dict:
    total = groups["all"].get("", dict.fromkeys(SUMS, 0))
    return {
        "total_requests": total["requests"],
        "total_cost": media.plain(Decimal(total["cost"])),
        "total_tokens": total["input_tokens"] + total["output_tokens"],
        "unique_models": len(groups["model"]),
        "unique_origins": sum(1 for name in groups["origin"] if name),
        "unpriced_requests": total["unpriced_requests"],
        "unknown_requests": total["unknown_requests"],
    }


def _by_period(groups: dict) -> list[dict]:
    """Return the periods, newest first. The top model has most requests; of equals it is
    the first by name.
    """
    top: dict[date, tuple] = {}
    for (period, model), sums in groups["top"].items():
        rank = (-sums["requests"], model)
        top[period] = min(top.get(period, rank), rank)
    return [
        {
            "date": period.replace(tzinfo=UTC) if isinstance(period, datetime) else period,
            "requests": sums["requests"],
            "cost": media.plain(Decimal(sums["cost"])),
            "top_model": top[period][1],
        }
        for period, sums in reversed(groups["period"].items())
    ]


def _usages(groups: dict[str, dict], *, unnamed: bool = False) -> dict[str, dict]:
    """Return the sums by name; of logs without such a label only if `unnamed`."""
    return {name: _usage(sums) for name, sums in groups.items() if name or unnamed}


def _usage(sums: dict) -> dict:
    return {**sums, "cost": media.plain(Decimal(sums["cost"]))}
