"""`POST /api/v1/log/batch` (docs/http-contract.md, section "Logging many calls")."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.usage.calls import CALL
from usage.models import DailyUsage, UsageLog

BATCH = "/api/v1/log/batch"


def test_good_items_are_stored_and_bad_ones_explained(api):
    items = [CALL, {**CALL, "input_tokens": -1}, {**CALL, "cost": "2"}, "no object", None]
    reply = api.send("POST", BATCH, {"logs": items})
    assert (reply["created"], reply["duplicates"], reply["failed"]) == (2, 0, 3)
    assert [r["status"] for r in reply["results"]] == [
        "created",
        "error",
        "created",
        "error",
        "error",
    ]
    assert [r["index"] for r in reply["results"]] == [0, 1, 2, 3, 4]
    assert reply["results"][1]["detail"][0]["loc"] == ["body", "input_tokens"]
    assert reply["results"][2]["cost"] == 2
    assert {str(id) for id in UsageLog.objects.values_list("id", flat=True)} == {
        r["log_id"] for r in reply["results"] if r["status"] == "created"
    }


def test_ndjson_and_bare_lists_are_batches_too(api):
    lines = json.dumps(CALL) + "\n\n" + json.dumps(CALL) + "\n{broken\n"
    reply = api.send("POST", BATCH, lines, content_type="application/x-ndjson")
    assert (reply["created"], reply["failed"]) == (2, 1)
    assert reply["results"][2]["detail"][0]["type"] == "json_invalid"
    assert api.send("POST", BATCH, [CALL])["created"] == 1


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_a_batch_of_another_content_type_is_refused(api, kind):
    reply = api.send("POST", BATCH, json.dumps([CALL]), content_type=kind, expect=422)
    assert [error["type"] for error in reply["detail"]] == ["model_attributes_type"]
    assert not UsageLog.objects.exists()


def test_a_line_of_csv_with_a_decimal_comma_is_no_cheaper_call(api):
    """`0,5` are two cells: without the second the call would have cost nothing."""
    header = "provider,model,input_tokens,output_tokens,cost\n"
    lines = f"{header}p,m,1,1,0,5\np,m,1,1,0.5\np,m,1,1,0.25,,\n"
    reply = api.send("POST", BATCH, lines, content_type="text/csv")
    assert (reply["created"], reply["failed"]) == (2, 1)
    [error] = reply["results"][0]["detail"]
    assert error["type"] == "csv_invalid"
    assert error["msg"] == "The line has 6 cells, and the header 5"
    assert sorted(UsageLog.objects.values_list("cost", flat=True)) == [
        Decimal("0.25"),
        Decimal("0.5"),
    ]


@pytest.mark.slow
def test_csv_has_a_column_for_the_providers_own_usage(api):
    usage = '"{""prompt_tokens"": 10, ""completion_tokens"": 5}"'
    lines = f"provider,model,usage\r\nopenai,gpt-4o-mini,{usage}\r\n"
    assert api.send("POST", BATCH, lines, content_type="text/csv")["created"] == 1
    row = UsageLog.objects.get()
    assert (row.input_tokens, row.output_tokens, row.read_as) == (10, 5, "openai_chat")


@pytest.mark.slow
def test_5000_events_sent_twice_are_5000_rows(api):
    logs = {"logs": [{**CALL, "cost": 0.5, "event_id": f"e{n}"} for n in range(5000)]}
    assert api.send("POST", BATCH, logs)["created"] == 5000
    assert api.send("POST", BATCH, logs)["duplicates"] == 5000
    assert UsageLog.objects.count() == 5000
    assert api.read("/api/v1/stats")["summary"]["total_cost"] == "2500"


def test_event_repeated_inside_a_batch_is_stored_once(api):
    reply = api.send("POST", BATCH, {"logs": [{**CALL, "event_id": "e"}] * 3})
    assert (reply["created"], reply["duplicates"]) == (1, 2)
    assert len({r["log_id"] for r in reply["results"]}) == 1
    assert DailyUsage.objects.get().requests == 1


def test_empty_event_id_is_none(api):
    logs = {"logs": [{**CALL, "event_id": ""}] * 2}
    assert api.send("POST", BATCH, logs)["created"] == 2
    assert api.send("POST", BATCH, logs, HTTP_IDEMPOTENCY_KEY="k")["created"] == 2
    assert api.send("POST", BATCH, logs, HTTP_IDEMPOTENCY_KEY="k")["duplicates"] == 2


def test_event_id_of_another_event_fails_alone(api):
    api.send("POST", BATCH, {"logs": [{**CALL, "event_id": "e"}]})
    reply = api.send("POST", BATCH, {"logs": [{**CALL, "event_id": "e", "cost": 1}, CALL]})
    assert (reply["created"], reply["failed"]) == (1, 1)
    assert reply["results"][0]["detail"] == "event_id was used before for a different request"


def test_items_may_say_when_they_happened(api):
    api.send("POST", BATCH, {"logs": [{**CALL, "timestamp": "2026-01-02T03:04:05.678901+02:00"}]})
    row = UsageLog.objects.get()
    assert row.created_at == datetime(2026, 1, 2, 1, 4, 5, 678901, tzinfo=UTC)
    assert DailyUsage.objects.get().day.isoformat() == "2026-01-02"


def test_times_that_cannot_be_are_refused(api):
    times = [
        "2999-01-01T00:00:00Z",
        "1914-01-01T00:00:00Z",
        "yesterday",
        17,
        "0001-01-01T00:00:00+14:00",
    ]
    reply = api.send("POST", BATCH, {"logs": [{**CALL, "timestamp": at} for at in times]})
    assert reply["failed"] == len(times)
    places = [result["detail"][0]["loc"] for result in reply["results"]]
    assert places == [["body", "timestamp"]] * len(times)


def test_malformed_batches_are_refused_whole(api):
    for body, type in [
        ("{", "json_invalid"),
        ("", "missing"),
        ("7", "model_attributes_type"),
        ("{}", "missing"),
        ('{"logs": {}}', "list_type"),
        ('{"logs": null}', "list_type"),
        (json.dumps({"logs": [CALL] * 5001}), "too_long"),
        ("[" * 50_000, "json_invalid"),
    ]:
        (error,) = api.send("POST", BATCH, body, expect=422)["detail"]
        assert error["type"] == type, body[:40]
    (error,) = api.send("POST", BATCH, {"logs": "x"}, expect=422)["detail"]
    assert error == {
        "type": "list_type",
        "loc": ["body", "logs"],
        "msg": "Input should be a valid list",
        "input": "x",
    }
    api.send("POST", BATCH, b"\xff{", expect=400)
    assert not UsageLog.objects.exists()


def test_empty_batch_stores_nothing(api):
    assert api.send("POST", BATCH, {"logs": []}) == {
        "created": 0,
        "duplicates": 0,
        "replaced": 0,
        "failed": 0,
        "results": [],
    }


def test_statements_do_not_grow_with_the_logs(api):
    api.send("POST", BATCH, {"logs": [CALL]})  # the key is cached from now on
    counts = []
    for size in (2, 200):
        with CaptureQueriesContext(connection) as queries:
            report = api.send("POST", BATCH, {"logs": [CALL] * size})
        assert report["created"] == size
        counts.append(len(queries))
    assert counts[0] == counts[1]
