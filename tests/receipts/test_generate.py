"""`POST /receipts/generate`: certified logs, exact sums, one signature over all of it."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.ids import uuid7
from receipts import summaries, verification
from receipts.documents import canonical
from receipts.models import Receipt, ReceiptLog
from tests.receipts import vectors
from tests.receipts.ledger import log, row

GENERATE = "/api/v1/receipts/generate"
SINCE = {"since_last_receipt": True}
pytestmark = pytest.mark.usefixtures("signing")


def digest_of(logs) -> str:
    """The digest of the documented rule, from what `/logs` of a receipt shows."""
    joined = b""
    for entry in sorted(logs, key=lambda entry: entry["id"]):
        cost = "unpriced" if entry.get("cost_source") == "unpriced" else entry["cost"]
        if cost != "unpriced":
            cost = format(Decimal(str(cost)).normalize(), "f")
        line = f"{entry['type']} {entry['id']} {entry['input_tokens']} {entry['output_tokens']}"
        joined += hashlib.sha256(f"{line} {cost}".encode()).digest()
    return f"sha256:{hashlib.sha256(joined).hexdigest()}"


def test_a_batch_receipt_states_the_exact_sums(api):
    ids = [
        log(api, alias="deep", cost="0.1"),
        log(api, alias="deep", cost="0.2", output_tokens=6),
        log(api, model="claude", provider="anthropic", cost="0.000000000001"),
        log(api, model="unknown", cost=None),
    ]
    reply = api.send("POST", GENERATE, SINCE | {"description": "d", "tags": ["t", "u"]})
    receipt = reply["receipt"]
    assert reply["certified_count"] == 4
    verification.verify(receipt, [vectors.KEY.public])
    assert receipt["receipt_id"].startswith("rcpt_")
    assert {name: receipt[name] for name in receipt if name not in ("receipt_id", "signature")} == {
        "timestamp": receipt["timestamp"],
        "alias": "default",
        "profile": "default",
        "lock_digest": "",
        "provider": "openai",
        "model": "batch:4 calls",
        "prompt_tokens": 40,
        "completion_tokens": 21,
        "total_tokens": 61,
        "input_cost": 0,
        "output_cost": 0.300000000001,
        "total_cost": 0.300000000001,
        "receipt_type": "batch",
        "batch_summary": receipt["batch_summary"],
        "description": "d",
        "tags": ["t", "u"],
    }
    summary = receipt["batch_summary"]
    logged = api.read("/api/v1/logs")
    assert summary == {
        "total_conversations": 0,
        "total_calls": 4,
        "total_tokens": 61,
        "total_cost": 0.300000000001,
        "total_cost_exact": "0.300000000001",
        "unpriced_calls": 1,
        "unknown_calls": 0,
        "start_date": logged[-1]["logged_at"].replace("Z", "+00:00"),
        "end_date": logged[0]["logged_at"].replace("Z", "+00:00"),
        "by_model": {
            "claude": {"calls": 1, "cost": 1e-12, "tokens": 15},
            "gpt-4o": {"calls": 2, "cost": 0.3, "tokens": 31},
            "unknown": {"calls": 1, "cost": 0, "tokens": 15},
        },
        "by_alias": {
            "deep": {"calls": 2, "cost": 0.3, "tokens": 31},
            "default": {"calls": 2, "cost": 1e-12, "tokens": 30},
        },
        "conversation_ids": [],
        "log_ids": ids,
        "logs": {
            "count": 4,
            "first_id": ids[0],
            "last_id": ids[3],
            "digest": summary["logs"]["digest"],
            "listed": True,
        },
    }
    ledger = api.read("/api/v1/stats")["summary"]
    assert (ledger["total_cost"], ledger["total_tokens"]) == (summary["total_cost_exact"], 61)
    page = api.read(f"/api/v1/receipts/{receipt['receipt_id']}/logs")
    assert [entry["id"] for entry in page["logs"]] == ids and page["total"] == 4
    assert {entry["type"] for entry in page["logs"]} == {"usage"}
    assert summary["logs"]["digest"] == digest_of(page["logs"])


def test_the_logs_of_a_receipt_are_those_of_the_export(api, upstream):
    upstream.publish()
    log(
        api,
        cost="1000000000000000.123456789012",
        thinking_tokens=2,
        units={"web_searches": 3},
        modifiers={"speed": "fast"},
        metadata={"ü": 1},
    )
    log(api, cost=None, provider="openai", model="unknown")
    log(api, usage_status="unknown", input_tokens=None, output_tokens=None, cost=None)
    priced = log(api, provider="openai", model="gpt-4o-mini", cost=None)
    receipt = api.send("POST", GENERATE, SINCE)["receipt"]
    reversal = api.send("POST", f"/api/v1/logs/{priced}/void", {"reason": "twice"})["reversal_id"]

    page = api.get(f"/api/v1/receipts/{receipt['receipt_id']}/logs")
    exported = api.get("/api/v1/logs/export").getvalue().decode().splitlines()

    shown = json.loads(page.content, parse_float=Decimal)["logs"]
    rows = [json.loads(line, parse_float=Decimal) for line in exported]
    assert shown == [
        {**row, "type": "usage", "corrected_by": reversal if row["id"] == priced else None}
        for row in rows
        if row["entry_type"] == "call"
    ]
    assert shown[0]["units"] == {"web_searches": 3}
    assert shown[3]["snapshot"].startswith("sha256:")


def test_the_receipt_is_stored_and_returned_verbatim(api):
    log(api)
    receipt = api.send("POST", GENERATE, SINCE)["receipt"]
    stored = Receipt.objects.get()
    assert stored.document.encode() == canonical(receipt) and stored.is_verified
    assert api.read(f"/api/v1/receipts/{receipt['receipt_id']}") == receipt
    assert api.read("/api/v1/receipts")["receipts"] == [receipt]


def test_one_log_makes_a_single_receipt(api):
    log(api, alias="deep", model="m", provider="p")
    receipt = api.send("POST", GENERATE, SINCE)["receipt"]
    assert (receipt["receipt_type"], receipt["model"], receipt["provider"], receipt["alias"]) == (
        "single",
        "m",
        "p",
        "deep",
    )


def test_since_last_takes_each_log_once(api):
    first = log(api)
    assert api.send("POST", GENERATE, SINCE)["receipt"]["batch_summary"]["log_ids"] == [first]
    detail = {"detail": "No logs found matching the criteria"}
    assert api.send("POST", GENERATE, SINCE, expect=400) == detail
    second = log(api)
    assert api.send("POST", GENERATE, SINCE)["receipt"]["batch_summary"]["log_ids"] == [second]
    assert Receipt.objects.count() == 2


def test_other_ways_certify_again(api):
    id = log(api)
    for _ in range(2):
        assert api.send("POST", GENERATE, {"log_ids": [id]})["certified_count"] == 1
    api.send("POST", GENERATE, SINCE, expect=400)
    assert ReceiptLog.objects.filter(log_id=id).count() == 2


def test_a_range_includes_both_ends(api):
    noon = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
    inside = [row(api, noon), row(api, noon + timedelta(hours=1))]
    row(api, noon - timedelta(microseconds=1))
    row(api, noon + timedelta(hours=1, microseconds=1))
    receipt = api.send(
        "POST",
        GENERATE,
        {
            "start_date": "2026-01-02T12:00:00.123456Z",
            "end_date": "2026-01-02T14:00:00.123456+01:00",
        },
    )["receipt"]
    assert receipt["batch_summary"]["log_ids"] == [str(log.id) for log in inside]


def test_plain_dates_are_midnight(api):
    row(api, datetime(2026, 1, 2, tzinfo=UTC))
    row(api, datetime(2026, 1, 2, 1, tzinfo=UTC))
    window = {"start_date": "2026-01-01", "end_date": "2026-01-02"}
    assert api.send("POST", GENERATE, window)["certified_count"] == 1


def test_calls_of_a_conversation(api):
    conversation_id = uuid7()
    now = datetime.now(UTC)
    ours = row(api, now, conversation_id=conversation_id)
    row(api, now)
    receipt = api.send("POST", GENERATE, {"conversation_id": str(conversation_id)})["receipt"]
    summary = receipt["batch_summary"]
    assert (summary["conversation_ids"], summary["log_ids"]) == (
        [str(conversation_id)],
        [str(ours.id)],
    )
    assert (summary["total_conversations"], summary["total_calls"]) == (1, 1)
    # Its call is linked, and so is the conversation, which counts nothing itself.
    assert sorted(ReceiptLog.objects.values_list("log_type", "counted")) == [
        ("conversation", False),
        ("usage", True),
    ]
    assert api.read(f"/api/v1/receipts/{receipt['receipt_id']}/logs")["total"] == 1


def test_the_first_way_that_is_given_counts(api):
    one, _ = log(api), log(api)
    body = {"conversation_id": None, "start_date": "2026-01-01", "log_ids": [one], **SINCE}
    assert api.send("POST", GENERATE, body)["certified_count"] == 1
    assert api.send("POST", GENERATE, {"log_ids": [], **SINCE})["certified_count"] == 1


def test_strangers_logs_are_never_certified(api, other_api):
    theirs = log(other_api)
    api.send("POST", GENERATE, {"log_ids": [theirs]}, expect=400)
    api.send("POST", GENERATE, SINCE, expect=400)
    wide = {"start_date": "1971-01-01", "end_date": "2999-01-01"}
    api.send("POST", GENERATE, wide, expect=400)
    assert other_api.send("POST", GENERATE, SINCE)["certified_count"] == 1


@pytest.mark.parametrize(
    "body", [{}, {"start_date": "2026-01-01"}, {"since_last_receipt": False}, {"log_ids": []}]
)
def test_one_way_must_be_given(api, body):
    detail = "Must specify one of: conversation_id, date range, log_ids, or since_last_receipt"
    for route in ("generate", "preview"):
        path = f"/api/v1/receipts/{route}"
        assert api.send("POST", path, body, expect=400) == {"detail": detail}


@pytest.mark.parametrize(
    ("body", "type"),
    [
        ({"conversation_id": "x"}, "uuid_parsing"),
        ({"log_ids": ["x"]}, "uuid_parsing"),
        ({"log_ids": "x"}, "list_type"),
        ({"start_date": "x", "end_date": "y"}, "datetime_parsing"),
        ({**SINCE, "tags": "x"}, "list_type"),
        ({**SINCE, "description": "\x00"}, "null_character"),
        ({"since_last_receipt": 5}, "bool_parsing"),
        ([], "model_attributes_type"),
    ],
)
def test_bad_requests_are_422(api, body, type):
    assert api.send("POST", GENERATE, body, expect=422)["detail"][0]["type"] == type


def test_odd_ranges_find_nothing(api):
    log(api)
    for start, end in (
        ("2026-01-02", "2026-01-01"),
        ("0001-01-01", "0001-01-02"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ):
        api.send("POST", GENERATE, {"start_date": start, "end_date": end}, expect=400)


def test_long_lists_give_way_to_range_and_digest(api, monkeypatch):
    monkeypatch.setattr(summaries, "MAX_LISTED_LOGS", 2)
    ids = [log(api) for _ in range(3)]
    receipt = api.send("POST", GENERATE, SINCE)["receipt"]
    summary = receipt["batch_summary"]
    assert summary["log_ids"] == summary["conversation_ids"] == []
    entries = api.read(f"/api/v1/receipts/{receipt['receipt_id']}/logs")["logs"]
    assert summary["logs"] == {
        "count": 3,
        "first_id": ids[0],
        "last_id": ids[2],
        "digest": digest_of(entries),
        "listed": False,
    }


def test_many_names_are_summed_under_one_more(api, monkeypatch):
    from receipts import batch

    monkeypatch.setattr(batch, "MAX_NAMES", 2)
    for model in ("a", "a", "b", "c", "d"):
        log(api, model=model, alias=model)
    summary = api.send("POST", GENERATE, SINCE)["receipt"]["batch_summary"]
    rest = {"calls": 2, "cost": 0.002, "tokens": 30}
    assert list(summary["by_model"]) == list(summary["by_alias"]) == ["(other)", "a", "b"]
    assert summary["by_model"]["(other)"] == summary["by_alias"]["(other)"] == rest


@pytest.mark.parametrize("members", [{"input_tokens": 2**53 - 1}, {"cost": 2**52}], ids=str)
def test_too_large_totals_are_refused_and_nothing_is_certified(api, members):
    log(api, **members)
    log(api, **members)
    detail = api.send("POST", GENERATE, SINCE, expect=400)["detail"]
    assert "2^53-1" in detail
    assert not ReceiptLog.objects.exists() and not Receipt.objects.exists()


def test_too_many_logs_are_refused_and_nothing_is_certified(api, monkeypatch):
    from receipts import batch

    monkeypatch.setattr(batch, "MAX_LOGS", 2)
    for _ in range(3):
        log(api)
    with CaptureQueriesContext(connection) as queries:
        api.send("POST", GENERATE, SINCE, expect=400)
    assert not any("INSERT INTO receipt_logs" in query["sql"] for query in queries)
    assert not ReceiptLog.objects.exists()


def test_without_a_key_nothing_is_certified(api, settings):
    settings.RECEIPTS_PRIVATE_KEY = settings.RECEIPTS_PUBLIC_KEY = ""
    log(api)
    assert "generatereceiptkey" in api.send("POST", GENERATE, SINCE, expect=400)["detail"]
    assert not ReceiptLog.objects.exists()


def test_corrections_are_certified_like_calls(api):
    """A receipt for 0.5 too much is followed by one that takes it back and states what is right."""
    id = log(api, cost="0.9", input_tokens=100)
    first = api.send("POST", GENERATE, SINCE)["receipt"]
    correction = {"reason": "typo", "cost": "0.4"}
    replaced = api.send("POST", f"/api/v1/logs/{id}/correct", correction)
    reply = api.send("POST", GENERATE, SINCE)
    receipt, summary = reply["receipt"], reply["receipt"]["batch_summary"]
    assert (reply["certified_count"], summary["total_calls"], summary["total_tokens"]) == (2, 0, 0)
    assert (receipt["total_cost"], summary["total_cost_exact"]) == (-0.5, "-0.5")
    assert (receipt["input_cost"], receipt["output_cost"]) == (0, -0.5)
    assert summary["by_model"] == {"gpt-4o": {"calls": 0, "cost": -0.5, "tokens": 0}}
    assert set(summary["log_ids"]) == {replaced["reversal_id"], replaced["replacement"]["log_id"]}
    # The first receipt stays as it was signed; its log names what took it back.
    path = f"/api/v1/receipts/{first['receipt_id']}"
    response = api.get(path)
    assert response.json() == first
    assert response["X-Corrected-By"] == replaced["reversal_id"]
    (entry,) = api.read(f"{path}/logs")["logs"]
    assert (entry["cost"], entry["corrected_by"]) == (0.9, replaced["reversal_id"])
    entries = api.read(f"/api/v1/receipts/{receipt['receipt_id']}/logs")["logs"]
    assert summary["logs"]["digest"] == digest_of(entries)


def test_a_voided_call_counts_nothing(api):
    id = log(api, cost="0.9")
    api.send("POST", f"/api/v1/logs/{id}/void", {"reason": "never happened"})
    reply = api.send("POST", GENERATE, SINCE)
    assert reply["certified_count"] == 2
    assert (reply["receipt"]["total_cost"], reply["receipt"]["model"]) == (0, "batch:0 calls")


def test_calls_of_unknown_usage_are_counted_apart(api):
    unknown = {"provider": "openai", "model": "gpt-4o", "usage_status": "unknown"}
    api.send("POST", "/api/v1/log", unknown)
    receipt = api.send("POST", GENERATE, SINCE)["receipt"]
    summary = receipt["batch_summary"]
    assert (receipt["total_tokens"], receipt["total_cost"]) == (0, 0)
    assert (summary["unknown_calls"], summary["unpriced_calls"], summary["total_calls"]) == (
        1,
        0,
        1,
    )
    line = f"usage {summary['log_ids'][0]} unknown unknown unpriced"
    digest = hashlib.sha256(hashlib.sha256(line.encode()).digest()).hexdigest()
    assert summary["logs"]["digest"] == f"sha256:{digest}"
