"""The table of cases through `POST /log`, a batch and `/stats`: the same numbers in all.

Source: docs/http-contract/usage.md; the arithmetic and citation of each case are in the table.
"""

from decimal import Decimal

import pytest

from registry_proxy import snapshots
from registry_proxy.tokens import Tokens
from tests.usage import ledger_cases
from usage.models import UsageLog
from usage.stored_usage import usage_of

_take_bundled = snapshots.take_bundled


@pytest.fixture
def priced(api, monkeypatch):
    """A client of a server that prices from the registry copy that ships with it."""
    monkeypatch.setattr(snapshots, "take_bundled", _take_bundled)
    return api


def one_by_one(api, reports):
    return [api.send("POST", "/api/v1/log", report) for report in reports]


def in_a_batch(api, reports):
    return api.send("POST", "/api/v1/log/batch", {"logs": reports})["results"]


@pytest.mark.parametrize("send", [one_by_one, in_a_batch])
def test_reports_are_stored_and_priced_as_the_table_says(priced, send):
    cases = ledger_cases.read()
    replies = send(priced, [case["report"] for case in cases])
    logs = UsageLog.objects.in_bulk([reply["log_id"] for reply in replies])
    rows = {str(id): log for id, log in logs.items()}
    for case, reply in zip(cases, replies, strict=True):
        check(case, reply, rows[reply["log_id"]])
    summary = priced.read("/api/v1/stats")["summary"]
    costs = [Decimal(case["cost"]) for case in cases if case["cost"] is not None]
    assert Decimal(summary["total_cost"]) == sum(costs)
    unknown = sum(case.get("status") == "unknown" for case in cases)
    assert summary["unknown_requests"] == unknown
    assert summary["unpriced_requests"] == len(cases) - len(costs) - unknown
    usages = [usage_of(row).tokens for row in rows.values()]
    assert summary["total_tokens"] == sum(t.prompt + t.completion for t in usages if t)


def check(case, reply, row):
    name, tokens = case["case"], case["tokens"]
    cost = None if case["cost"] is None else Decimal(case["cost"])
    assert (row.cost, row.cost_source) == (cost, case["source"]), name
    assert (reply["cost"], reply["cost_source"]) == (float(cost or 0), case["source"]), name
    usage = usage_of(row)
    assert usage.tokens == (None if tokens is None else Tokens(**tokens)), name
    assert usage.units == {unit: Decimal(n) for unit, n in case.get("units", {}).items()}, name
    assert usage.modifiers == case.get("modifiers", {}), name
    assert row.usage_status == case.get("status", "settled"), name
    assert row.read_as == case.get("read_as", row.read_as), name
    assert (row.priced_as or "").endswith(case.get("priced_as", "")), name


def test_malformed_reports_are_refused_with_the_member_named(api):
    cases = ledger_cases.refused()
    results = in_a_batch(api, [case["report"] for case in cases])
    for case, result in zip(cases, results, strict=True):
        (error,) = api.send("POST", "/api/v1/log", case["report"], expect=422)["detail"]
        expected = (case["error"]["type"], ["body", *case["error"]["loc"]])
        assert (error["type"], error["loc"]) == expected, case["case"]
        assert result["detail"] == [error]
    assert not UsageLog.objects.exists()


def test_calls_of_unknown_usage_are_counted_apart(api):
    one_by_one(api, [{"provider": "p", "model": "m", "usage_status": "unknown"}])
    (log,) = api.read("/api/v1/logs")
    assert (log["input_tokens"], log["usage_status"], log["cost"]) == (None, "unknown", 0)
    sums = api.read("/api/v1/stats")["by_model"]["m"]
    assert (sums["requests"], sums["unknown_requests"], sums["unpriced_requests"]) == (1, 1, 0)


def test_statistics_have_the_classes_beside_the_totals(priced):
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 150},
    }
    one_by_one(priced, [{"provider": "openai", "model": "gpt-4o-mini", "usage": usage}] * 2)
    sums = priced.read("/api/v1/stats")["by_priced_model"]["openai:gpt-4o-mini"]
    assert (sums["input_tokens"], sums["cached_input_tokens"]) == (2000, 800)
    assert (sums["output_tokens"], sums["thinking_tokens"]) == (400, 300)
