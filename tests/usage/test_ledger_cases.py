"""The table of cases through every way of reporting a call: the same numbers in all of them."""

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from receipts import server_keys
from registry_proxy.tokens import TOKEN_CLASSES, Tokens
from tests.registry_proxy import samples
from tests.usage import ledger_cases

LOG, BATCH = "/api/v1/log", "/api/v1/log/batch"
ISSUE = "/api/v1/receipts/issue"
CASES = ledger_cases.read()
# The member of a listed log that counts each class; fresh input and plain output are the rest.
MEMBERS = {
    name: "cached_input_tokens" if name == "cache_read" else f"{name}_tokens"
    for name in TOKEN_CLASSES
    if name not in ("input", "output")
}


@pytest.fixture
def real_prices(refreshed):
    refreshed(11, 20, **samples.real_files())


def reports() -> list[dict]:
    return [{**case["report"], "origin": case["case"]} for case in CASES]


def by_log(api) -> None:
    for report in reports():
        api.send("POST", LOG, report)


def by_batch(api) -> None:
    reply = api.send("POST", BATCH, {"logs": reports()})
    assert (reply["created"], reply["failed"]) == (len(CASES), 0)


def ledger(api) -> dict[str, dict]:
    logs, cursor = {}, None
    while True:
        query = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        response = api.get("/api/v1/logs", query)
        logs |= {log["origin"]: log for log in response.json()}
        cursor = response.headers.get("X-Next-Cursor")
        if cursor is None:
            return logs


def expected(case: dict) -> dict:
    tokens = case["tokens"]
    counts = Tokens(**tokens or {})
    return {
        "input_tokens": None if tokens is None else counts.prompt,
        "output_tokens": None if tokens is None else counts.completion,
        **{member: getattr(counts, name) for name, member in MEMBERS.items()},
        "cost": float(case["cost"] or 0),
        "cost_source": case["source"],
        "usage_status": case.get("status", "settled"),
        "units": {name: float(count) for name, count in case.get("units", {}).items()},
    }


@pytest.mark.parametrize("store", [pytest.param(by_log, marks=pytest.mark.slow), by_batch])
def test_the_ledger_holds_what_the_table_says(api, real_prices, store):
    store(api)
    logs = ledger(api)
    wrong = {
        case["case"]: (case, log)
        for case in CASES
        if not (log := logs.get(case["case"], {})).items() >= expected(case).items()
    }
    assert wrong == {}


def test_statistics_add_up(api, real_prices):
    by_batch(api)
    known = [Tokens(**case["tokens"]) for case in CASES if case["tokens"] is not None]
    summary = api.read("/api/v1/stats")["summary"]
    assert summary["total_requests"] == len(CASES)
    assert Decimal(summary["total_cost"]) == sum(Decimal(case["cost"] or 0) for case in CASES)
    assert summary["total_tokens"] == sum(tokens.prompt + tokens.completion for tokens in known)
    assert summary["unknown_requests"] == len(CASES) - len(known)
    unpriced = [
        case for case in CASES if case["source"] == "unpriced" and case["tokens"] is not None
    ]
    assert summary["unpriced_requests"] == len(unpriced)


@pytest.mark.slow
def test_logged_conversations_hold_what_the_table_says(api, real_prices, signing):
    """The counts and the cost of the answer, and those of the receipt that comes with it."""
    server_keys.clear_cache()
    wrong = {}
    for case in CASES:
        call = {"messages": [], "response": {"content": "A"}, "metadata": case["report"]}
        reply = api.send("POST", "/api/v1/conversations/log", call)
        (answer,) = api.read(f"/api/v1/conversations/{reply['conversation_id']}")["messages"]
        is_known, counts = case["tokens"] is not None, Tokens(**case["tokens"] or {})
        numbers = answer["metadata"]
        classes = {name: numbers.get(f"{name}_tokens", 0) for name in MEMBERS}
        classes["cache_read"] = numbers.get("cached_tokens") or 0
        result = {
            "tokens": (answer["input_tokens"], answer["output_tokens"]),
            "classes": classes,
            "cost": (numbers["cost"], numbers["cost_source"]),
            "receipt": reply["receipt"]
            and (
                reply["receipt"]["prompt_tokens"],
                reply["receipt"]["completion_tokens"],
                reply["receipt"]["total_cost"],
                reply["receipt"].get("cost_source"),
            ),
        }
        cost = float(case["cost"] or 0)
        table = {
            "tokens": (counts.prompt, counts.completion) if is_known else (None, None),
            "classes": {name: getattr(counts, name) for name in MEMBERS},
            "cost": (cost, case["source"]),
            "receipt": (
                counts.prompt,
                counts.completion,
                cost,
                "unpriced" if case["source"] == "unpriced" else None,
            )
            if is_known
            else None,
        }
        if result != table:
            wrong[case["case"]] = result, table
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "format, content_type", [("ndjson", "application/x-ndjson"), ("csv", "text/csv")]
)
def test_an_export_is_read_back_as_the_same_ledger(
    api, other_api, real_prices, format, content_type
):
    by_batch(api)
    exported = api.get("/api/v1/logs/export", {"format": format}).getvalue()
    reply = other_api.send("POST", BATCH, exported, content_type=content_type)
    assert (reply["created"], reply["failed"]) == (len(CASES), 0)
    own = {"id", "received_at"}
    ours, theirs = (
        {
            case: {name: value for name, value in log.items() if name not in own}
            for case, log in ledger(client).items()
        }
        for client in (api, other_api)
    )
    assert ours == theirs
    out = StringIO()
    call_command("repricelogs", "--from", "2026-01-01", "--dry-run", stdout=out, stderr=StringIO())
    assert out.getvalue().endswith(" 0 would change, by 0 USD in all\n")


@pytest.mark.slow
def test_receipts_certify_what_the_table_says(api, real_prices, signing):
    server_keys.clear_cache()
    wrong = {}
    for case in CASES:
        if case["tokens"] is None:
            continue
        receipt = api.send("POST", ISSUE, {**case["report"], "timestamp": "2026-11-26T00:00:00Z"})
        counts = Tokens(**case["tokens"])
        tokens = {
            "input": counts.prompt,
            "output": counts.completion,
            "cached_input": counts.cache_read,
            **{name: getattr(counts, name) for name in MEMBERS if case["tokens"].get(name)},
        }
        tokens.pop("cache_read", None)
        cost = receipt["cost"]
        is_unpriced = cost["calculation"].startswith("unpriced: ")
        if (receipt["tokens"], Decimal(str(cost["amount"])), is_unpriced) != (
            tokens,
            Decimal(case["cost"] or 0),
            case["source"] == "unpriced",
        ):
            wrong[case["case"]] = case, receipt
    assert wrong == {}


@pytest.mark.parametrize("case", ledger_cases.refused(), ids=ledger_cases.name)
def test_refusals_name_the_member(api, case):
    (issue,) = api.send("POST", LOG, case["report"], expect=422)["detail"]
    assert (issue["type"], issue["loc"]) == (case["error"]["type"], ["body", *case["error"]["loc"]])
