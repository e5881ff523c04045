"""The statistics of a window, as `GET /stats` shows them.

Source: docs/http-contract.md, section "Statistics".
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from core import json_writer
from core.database.raw_connection import pooled_cursor
from core.scoping import Caller
from usage import filters, label_sums, latency
from usage.columns import LABELS, SUMS
from usage.label_sums import sum_by_labels
from usage.query_schemas import StatsQuery

MAX_NAMES = 1_000  # of users or tags; those with most requests
_DATED_SUMS = ("requests", "cost")  # what is shown of a period
_GROUPS = {
    "user": "SELECT end_user AS name, * FROM chosen",
    "upstream": "SELECT upstream AS name, * FROM chosen",
    "requested_model": "SELECT requested_model AS name, * FROM chosen",
    "http_status": "SELECT http_status::text AS name, * FROM chosen",
    "tag": f"SELECT tag AS name, chosen.* FROM chosen, unnest({filters.TAGS_SQL}) AS tag",
}


def stats(caller: Caller, query: StatsQuery) -> dict:
    """Return the body of `GET /stats`."""
    body = _body(
        sum_by_labels([caller.project_id], query, labels=LABELS, sums=SUMS, dated_sums=_DATED_SUMS)
    )
    for name in query.groups or ():
        body[f"by_{name}"] = _by_name(caller, query, name)
    return body


def _by_name(caller: Caller, query: StatsQuery, group: str) -> dict[str, dict]:
    """Return sums and times by the names of a group that only the logs know."""
    condition, parameters = filters.in_window(caller, query)
    sql = f"""
        WITH chosen AS (SELECT * FROM usage_logs WHERE {condition}),
            named AS ({_GROUPS[group]}),
            shares AS (
                SELECT name, {label_sums.share_columns()}, {latency.OF_CALLS}
                FROM named WHERE name <> ''
            )
        SELECT name, {", ".join(latency.percentiles(column) for column in latency.MEASURED)},
            {label_sums.sum_columns()}
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
    return {**_usage(label_sums.sums_by_name(values[measured:])), **times}


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
        "total_cost": json_writer.plain(Decimal(total["cost"])),
        "total_tokens": total["input_tokens"] + total["output_tokens"],
        "unique_models": len(groups["model"]),
        "unique_origins": sum(1 for name in groups["origin"] if name),
        "unpriced_requests": total["unpriced_requests"],
        "unknown_requests": total["unknown_requests"],
    }


def _by_period(groups: dict) -> list[dict]:
    """Return the periods, newest first.

    The top model has most requests; of equals it is the first by name.
    """
    top: dict[date, tuple] = {}
    for (period, model), sums in groups["period_and_model"].items():
        rank = (-sums["requests"], model)
        top[period] = min(top.get(period, rank), rank)
    return [
        {
            "date": period.replace(tzinfo=UTC) if isinstance(period, datetime) else period,
            "requests": sums["requests"],
            "cost": json_writer.plain(Decimal(sums["cost"])),
            "top_model": top[period][1],
        }
        for period, sums in reversed(groups["period"].items())
    ]


def _usages(groups: dict[str, dict], *, unnamed: bool = False) -> dict[str, dict]:
    """Return the sums by name; of logs without such a label only if `unnamed`."""
    return {name: _usage(sums) for name, sums in groups.items() if name or unnamed}


def _usage(sums: dict) -> dict:
    return {**sums, "cost": json_writer.plain(Decimal(sums["cost"]))}
