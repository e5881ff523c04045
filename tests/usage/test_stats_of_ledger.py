"""Statistics are the sums of the logs that an export of the same window has."""

import json
from collections import Counter, defaultdict
from decimal import Decimal

import pytest

from tests.usage.test_round_trip import exported, priced

__all__ = ["exported", "priced"]

# Both ends cut a day.
DAYS = {"start_date": "2026-01-03T05:00:00Z", "end_date": "2026-01-25T18:00:00.5Z"}
QUERIES = {
    "all times": {"start_date": "0001-01-01", "end_date": "9999-12-31"},
    "a month": {"start_date": "2026-01-01", "end_date": "2026-01-31"},
    "cut days": DAYS,
    "part of a day": {"start_date": "2026-01-05T04:00:00Z", "end_date": "2026-01-05T09:00:00Z"},
    "a label": {**DAYS, "model": "unknown"},
    "several labels": {**DAYS, "provider": ["openai", "none"], "profile": ["p", "default"]},
    "no label": {**DAYS, "alias": "none"},
    "what days do not know": {**DAYS, "user": ["none", "@a"]},
    "a source": {**DAYS, "cost_source": "unpriced"},
    "no logs": {"start_date": "2027-01-01", "end_date": "2027-01-02"},
}
GROUPS = {
    "by_model": "model",
    "by_provider": "provider",
    "by_alias": "alias",
    "by_profile": "profile",
    "by_origin": "origin",
    "by_user": "user",
}
UNNAMED_TOO = ("by_model", "by_provider", "by_profile")
TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_5m_tokens")


def sums(logs):
    """Return requests, unpriced and unknown ones, cost and tokens of exported logs."""
    total = Counter()
    cost = Decimal(0)
    for log in logs:
        sign = -1 if log["entry_type"] == "reversal" else 1
        total["requests"] += sign
        if log["usage_status"] == "unknown":
            total["unknown_requests"] += sign
        elif log["cost_source"] == "unpriced":
            total["unpriced_requests"] += sign
        cost += Decimal(log["cost"])
        for name in TOKENS:
            total[name] += log[name] or 0
    names = ("requests", "unpriced_requests", "unknown_requests", *TOKENS)
    return {"cost": cost, **{name: total[name] for name in names}}


def of_stats(group):
    return {name: group[name] for name in sums([]) if name != "cost"} | {
        "cost": Decimal(str(group["cost"]))
    }


def by(logs, key):
    groups = defaultdict(list)
    for log in logs:
        groups[key(log)].append(log)
    return groups


@pytest.mark.slow
def test_sums_are_those_of_the_exported_logs(exported):
    for name, query in QUERIES.items():
        lines = exported.get("/api/v1/logs/export", query).getvalue().splitlines()
        logs = [json.loads(line, parse_float=Decimal) for line in lines]
        assert bool(logs) == (name != "no logs")
        reply = exported.get("/api/v1/stats", {**query, "groups": "user"})
        stats = json.loads(reply.content, parse_float=Decimal)
        check_summary(stats["summary"], logs)
        check_groups(stats, logs)
        check_days(stats["by_day"], logs)


def check_summary(summary, logs):
    whole = sums(logs)
    assert summary["total_requests"] == whole["requests"]
    assert Decimal(summary["total_cost"]) == whole["cost"]
    assert summary["total_tokens"] == whole["input_tokens"] + whole["output_tokens"]


def check_groups(stats, logs):
    for group, label in GROUPS.items():
        labelled = by(logs, lambda log, label=label: log[label] or "")
        if group not in UNNAMED_TOO:
            labelled.pop("", None)
        assert {name: of_stats(part) for name, part in stats[group].items()} == {
            name: sums(part) for name, part in labelled.items()
        }


def check_days(by_day, logs):
    days = by(logs, lambda log: log["logged_at"][:10])
    assert [(day["date"], day["requests"], Decimal(day["cost"])) for day in by_day] == [
        (day, sums(days[day])["requests"], sums(days[day])["cost"])
        for day in sorted(days, reverse=True)
    ]
