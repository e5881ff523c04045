"""Statistics of a window: whole days from their sums, partial days at its ends from the logs.

Sums and logs are written by one statement, so the figures equal the ledger at
every moment. One query; its cost hardly grows with the number of logs.
Source: docs/http-contract.md, section "Statistics".
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db import connection

from core import ids, media
from core.scoping import Caller
from usage.models import LABELS
from usage.schemas import StatsQuery
from usage.windows import Window

_PERIODS = {
    "day": "day",
    "week": "date_trunc('week', day)::date",  # the ISO week's Monday
    "month": "date_trunc('month', day)::date",
}


def stats(caller: Caller, query: StatsQuery) -> dict:
    """Return the body of `GET /stats`."""
    groups = _groups(caller, query.window(), query.group_by, query.labels())
    return {
        "summary": _summary(groups),
        "by_day": _by_period(groups),
        "by_model": {name: _usage(sums) for name, sums in groups["model"].items()},
        "by_provider": {name: _usage(sums) for name, sums in groups["provider"].items()},
        "by_origin": {
            name: {"requests": sums["requests"], "cost": sums["cost"]}
            for name, sums in groups["origin"].items()
            if name
        },
        "by_alias": {name: _usage(sums) for name, sums in groups["alias"].items() if name},
        "by_profile": {name: _usage(sums) for name, sums in groups["profile"].items()},
    }


def _groups(caller: Caller, window: Window, group_by: str, labels: dict[str, str]) -> dict:
    """Return sums by each label, by period, and by period and model; each sorted by its key."""
    groups = {name: {} for name in (*LABELS, "all", "period", "top")}
    with connection.cursor() as cursor:
        cursor.execute(*_query(caller, window, group_by, labels))
        for kind, period, name, *sums in cursor:
            key = (period, name) if kind == "top" else name or period or ""
            groups[kind][key] = dict(zip(_SUMS, sums, strict=True))
    return groups


_SUMS = ("requests", "unpriced_requests", "cost", "input_tokens", "output_tokens")
_COLUMNS = ", ".join(_SUMS)
_TOTALS = ", ".join(f"sum({name}) AS {name}" for name in _SUMS)


def _query(caller: Caller, window: Window, group_by: str, labels: dict[str, str]):
    first, after = _whole_days(window)
    conditions = "".join(f" AND {name} = %({name})s" for name in labels)
    period = _PERIODS[group_by]
    # One pass sums the parts by all labels, and by period and model; few rows are
    # left to sum again by each label.
    sql = f"""
        WITH grouped AS MATERIALIZED (
            SELECT grouping(profile) = 1 AS is_dated, {period} AS period,
                provider, model, alias, origin, profile, {_TOTALS}
            FROM (
                SELECT day, provider, model, alias, origin, profile, {_COLUMNS}
                FROM usage_daily
                WHERE project_id = %(project)s AND day >= %(first)s AND day < %(after)s{conditions}
                UNION ALL
                SELECT (created_at AT TIME ZONE 'UTC')::date, provider, model,
                    coalesce(alias, ''), coalesce(origin, ''), profile,
                    1, (cost IS NULL)::int, coalesce(cost, 0), input_tokens, output_tokens
                FROM usage_logs
                WHERE project_id = %(project)s{conditions} AND (
                    (id >= %(start)s AND id < %(first_id)s) OR (id >= %(after_id)s AND id < %(end)s)
                )
            ) AS parts
            GROUP BY GROUPING SETS ((provider, model, alias, origin, profile), ({period}, model))
        )
        -- A bit of grouping() is set for what is not grouped by; the first column's is the highest.
        SELECT CASE grouping(period, model) WHEN 3 THEN 'all' WHEN 1 THEN 'period' ELSE 'top' END,
            period, model, {_TOTALS}
        FROM grouped WHERE is_dated GROUP BY GROUPING SETS ((), (period), (period, model))
        UNION ALL
        SELECT CASE grouping(provider, model, alias, origin, profile)
                WHEN 15 THEN 'provider' WHEN 23 THEN 'model' WHEN 27 THEN 'alias'
                WHEN 29 THEN 'origin' ELSE 'profile'
            END,
            NULL, coalesce(provider, model, alias, origin, profile), {_TOTALS}
        FROM grouped WHERE NOT is_dated
        GROUP BY GROUPING SETS ((provider), (model), (alias), (origin), (profile))
        ORDER BY 2, 3
    """
    return sql, {
        **labels,
        "project": caller.project_id,
        "first": first,
        "after": after,
        "start": ids.lowest(window.start),
        "first_id": ids.lowest(min(_midnight(first), window.end)),
        "after_id": ids.lowest(_midnight(after)),
        "end": ids.lowest(window.end),
    }


def _whole_days(window: Window) -> tuple[date, date]:
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


def _summary(groups: dict) -> dict:
    total = groups["all"].get("", dict.fromkeys(_SUMS, Decimal(0)))
    total = {name: value or Decimal(0) for name, value in total.items()}  # sums of nothing are NULL
    return {
        "total_requests": total["requests"],
        "total_cost": media.plain(total["cost"]),
        "total_tokens": total["input_tokens"] + total["output_tokens"],
        "unique_models": len(groups["model"]),
        "unique_origins": sum(1 for name in groups["origin"] if name),
        "unpriced_requests": total["unpriced_requests"],
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
            "date": period,
            "requests": sums["requests"],
            "cost": media.plain(sums["cost"]),
            "top_model": top[period][1],
        }
        for period, sums in reversed(groups["period"].items())
    ]


def _usage(sums: dict) -> dict:
    return {
        "requests": sums["requests"],
        "cost": media.plain(sums["cost"]),
        "input_tokens": sums["input_tokens"],
        "output_tokens": sums["output_tokens"],
    }
