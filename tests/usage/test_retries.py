"""`Idempotency-Key` (docs/http-contract.md, section "Retries")."""

import json

import pytest

from tests.usage.calls import CALL
from usage import ingestion
from usage.models import UsageLog

KEY = {"HTTP_IDEMPOTENCY_KEY": "order-7"}


def test_retry_returns_the_first_answer_and_stores_nothing(api):
    first = api.send("POST", "/api/v1/log", {**CALL, "cost": 1.5}, **KEY)
    assert api.send("POST", "/api/v1/log", {**CALL, "cost": 1.5}, **KEY) == first
    assert UsageLog.objects.count() == 1


def test_retry_is_stored_where_the_first_is_deleted_meanwhile(api, monkeypatch):
    api.send("POST", "/api/v1/log", CALL, **KEY)
    stored_events = ingestion.stored_events

    def deleted_before(caller, rows):
        UsageLog.objects.all().delete()
        return stored_events(caller, rows)

    monkeypatch.setattr(ingestion, "stored_events", deleted_before)
    reply = api.send("POST", "/api/v1/log", CALL, **KEY)
    assert str(UsageLog.objects.get().id) == reply["log_id"]


def test_same_key_with_another_body_is_a_conflict(api):
    api.send("POST", "/api/v1/log", CALL, **KEY)
    reply = api.send("POST", "/api/v1/log", {**CALL, "input_tokens": 1}, expect=409, **KEY)
    assert reply == {"detail": "Idempotency-Key was used before for a different request"}
    assert UsageLog.objects.count() == 1


def test_keys_of_other_projects_do_not_meet(api, other_api):
    api.send("POST", "/api/v1/log", CALL, **KEY)
    other_api.send("POST", "/api/v1/log", {**CALL, "input_tokens": 1}, **KEY)
    assert UsageLog.objects.count() == 2


def test_retried_batch_returns_the_first_answers(api):
    body = {"logs": [CALL, {**CALL, "input_tokens": 7}]}
    first = api.send("POST", "/api/v1/log/batch", body, **KEY)
    again = api.send("POST", "/api/v1/log/batch", body, **KEY)
    assert (first["created"], again["created"], again["duplicates"]) == (2, 0, 2)
    assert [r["log_id"] for r in first["results"]] == [r["log_id"] for r in again["results"]]


def test_batch_key_with_another_batch_stores_nothing(api):
    api.send("POST", "/api/v1/log/batch", {"logs": [CALL]}, **KEY)
    api.send("POST", "/api/v1/log/batch", {"logs": [CALL, CALL, CALL]}, expect=409, **KEY)
    assert UsageLog.objects.count() == 1


ITEMS = [
    {**CALL, "timestamp": "2026-01-05T10:00:00Z", "metadata": {"a": 1, "b": [2.5]}},
    {**CALL, "input_tokens": -1},
    {**CALL, "input_tokens": 7},
]
REVERSED_MEMBERS = [dict(reversed(item.items())) for item in ITEMS]
LINES = "\n".join(map(json.dumps, ITEMS))


@pytest.mark.parametrize(
    "body, content_type",
    [
        (json.dumps({"logs": ITEMS}, indent=2), "application/json"),
        ({"logs": REVERSED_MEMBERS}, "application/json"),
        (ITEMS, "application/json"),
        (LINES, "application/x-ndjson"),
        (LINES.replace("10:00:00Z", "12:00:00.0+02:00"), "application/x-ndjson"),
    ],
    ids=["whitespace", "order of members", "a bare list", "lines", "another notation of a time"],
)
def test_batch_of_the_same_items_is_a_retry_however_it_is_written(api, body, content_type):
    first = api.send("POST", "/api/v1/log/batch", {"logs": ITEMS}, **KEY)
    again = api.send("POST", "/api/v1/log/batch", body, content_type=content_type, **KEY)
    assert (first["created"], first["failed"], again["duplicates"]) == (2, 1, 2)
    assert UsageLog.objects.count() == 2


@pytest.mark.parametrize(
    "items",
    [
        [*reversed(ITEMS)],
        [ITEMS[0], {**CALL, "input_tokens": 1}, ITEMS[2]],
        [ITEMS[0], ITEMS[2]],
        [*ITEMS[:2], {**CALL, "input_tokens": 7, "metadata": {"a": 1}}],
    ],
    ids=["order of items", "a malformed item put right", "one less", "other metadata"],
)
def test_batch_of_other_items_is_no_retry(api, items):
    api.send("POST", "/api/v1/log/batch", {"logs": ITEMS}, **KEY)
    api.send("POST", "/api/v1/log/batch", {"logs": items}, expect=409, **KEY)
    assert UsageLog.objects.count() == 2


def test_key_too_long_is_refused(api):
    reply = api.send("POST", "/api/v1/log", CALL, expect=422, HTTP_IDEMPOTENCY_KEY="k" * 256)
    assert reply["detail"][0]["loc"] == ["header", "Idempotency-Key"]


# Looks like an exported log, which is known by its id, but has none.
WITHOUT_ID = {
    **CALL,
    "timestamp": "2026-01-05T10:00:00Z",
    "cost": "0.5",
    "cost_source": "caller",
}
JANUARY = {"start_date": "2026-01-01", "end_date": "2026-01-31"}


def requests_and_cost(api):
    summary = api.read("/api/v1/stats", JANUARY)["summary"]
    return summary["total_requests"], summary["total_cost"]


def test_retry_of_a_log_with_a_cost_source_stores_nothing(api):
    first = api.send("POST", "/api/v1/log", WITHOUT_ID, **KEY)
    assert api.send("POST", "/api/v1/log", WITHOUT_ID, **KEY) == first
    assert requests_and_cost(api) == (1, "0.5")
    api.send("POST", "/api/v1/log", {**WITHOUT_ID, "cost": "0.7"}, expect=409, **KEY)


def test_retry_of_a_batch_with_a_cost_source_stores_nothing(api):
    first = api.send("POST", "/api/v1/log/batch", [WITHOUT_ID], **KEY)
    again = api.send("POST", "/api/v1/log/batch", [WITHOUT_ID], **KEY)
    assert (first["created"], again["duplicates"]) == (1, 1)
    assert first["results"][0]["log_id"] == again["results"][0]["log_id"]
    assert requests_and_cost(api) == (1, "0.5")


def test_event_with_a_cost_source_is_an_event_like_any_other(api):
    event = {**WITHOUT_ID, "event_id": "e"}
    api.send("POST", "/api/v1/log", event)
    api.send("POST", "/api/v1/log", {**event, "cost": "2"}, expect=409)
    (result,) = api.send("POST", "/api/v1/log/batch", [{**event, "cost": "2"}])["results"]
    assert result["detail"] == "event_id was used before for a different request"
    assert requests_and_cost(api) == (1, "0.5")


def test_event_with_a_cost_source_is_replaced_by_a_later_report(api):
    event = {**WITHOUT_ID, "event_id": "e", "replace": True}
    api.send("POST", "/api/v1/log", event)
    api.send("POST", "/api/v1/log", {**event, "cost": "2"})
    assert requests_and_cost(api) == (1, "2")
    assert api.send("POST", "/api/v1/log/batch", [{**event, "cost": "3"}])["replaced"] == 1
    assert requests_and_cost(api) == (1, "3")


def test_cost_with_a_source_is_not_computed_again(api, refreshed):
    refreshed(11, 20)
    api.send("POST", "/api/v1/log", {**WITHOUT_ID, "cost_source": "registry"})
    (log,) = api.read("/api/v1/logs", JANUARY)
    assert (log["cost"], log["cost_source"]) == (0.5, "registry")


@pytest.mark.parametrize("missing", ["id", "corrects_id", "cost_source", "timestamp"])
@pytest.mark.parametrize("entry_type", ["reversal", "replacement"])
def test_correction_without_what_an_export_has_is_refused(api, entry_type, missing):
    """It could only be stored as a call, with the numbers that it takes back."""
    correction = {
        **WITHOUT_ID,
        "id": "01935f3a-0000-7000-8000-000000000001",
        "corrects_id": "01935f3a-0000-7000-8000-000000000002",
        "entry_type": entry_type,
    }
    del correction[missing]
    (error,) = api.send("POST", "/api/v1/log", correction, expect=422)["detail"]
    assert (error["type"], error["loc"]) == ("missing", ["body", missing])
    assert not UsageLog.objects.exists()
