"""Corrections (docs/http-contract/usage.md, section "Corrections")."""

import uuid
from decimal import Decimal
from functools import partial

import pytest

from tests.client import ApiClient
from tests.threads import at_once
from tests.usage.calls import CALL
from usage.models import UsageLog

pytestmark = pytest.mark.django_db(transaction=True)

AT = "2026-01-05T10:00:00Z"
WINDOW = {"start_date": "2026-01-05", "end_date": "2026-01-05"}
BATCH = "/api/v1/log/batch"


def logged(api, **members):
    items = [{**CALL, "cost": "0.5", "timestamp": AT, **members}]
    return api.send("POST", BATCH, {"logs": items})["results"][0]["log_id"]


def correct(api, log_id, expect=200, **members):
    body = {"reason": "wrong", **members}
    return api.send("POST", f"/api/v1/logs/{log_id}/correct", body, expect=expect)


def void(api, log_id, expect=200):
    return api.send("POST", f"/api/v1/logs/{log_id}/void", {"reason": "a test"}, expect=expect)


def totals(api):
    summary = api.read("/api/v1/stats", WINDOW)["summary"]
    return summary["total_requests"], summary["total_cost"], summary["total_tokens"]


def test_a_voided_log_stays_and_counts_no_more(api):
    id = logged(api)
    reply = void(api, id)
    assert (reply["corrected_id"], reply["replacement"]) == (id, None)
    assert totals(api) == (0, "0", 0)
    original, reversal = sorted(api.read("/api/v1/logs", WINDOW), key=lambda log: log["entry_type"])
    assert (original["id"], original["cost"], original["entry_type"]) == (id, 0.5, "call")
    assert (reversal["id"], reversal["corrects_id"]) == (reply["reversal_id"], id)
    assert (reversal["cost"], reversal["input_tokens"]) == (-0.5, -1000)
    assert reversal["correction_reason"] == "a test"
    assert reversal["correction_author"] == f"key {api.api_key_id}"
    assert reversal["logged_at"] == original["logged_at"]


def test_the_highest_cost_is_taken_back_to_its_last_digit(api):
    id = logged(api, cost="999999999999999999.123456789012")
    void(api, id)
    assert totals(api) == (0, "0", 0)


def test_a_corrected_log_counts_as_its_replacement(api):
    id = logged(api, alias="a", metadata={"m": 1})
    reply = correct(api, id, input_tokens=10, output_tokens=5, cost="0.2")
    assert totals(api) == (1, "0.2", 15)
    row = UsageLog.objects.get(id=reply["replacement"]["log_id"])
    assert (row.alias, row.metadata, row.entry_type) == ("a", {"m": 1}, "replacement")
    assert (row.corrects_id, row.api_key_id) == (uuid.UUID(id), api.api_key_id)


def test_what_a_correction_leaves_out_stays(api):
    id = logged(api, cached_input_tokens=400, thinking_tokens=150)
    row = corrected(api, id, cost="0.1")
    assert (row.input_tokens, row.output_tokens) == (1000, 200)
    assert (row.cached_input_tokens, row.thinking_tokens) == (400, 150)
    assert totals(api) == (1, "0.1", 1200)


COUNTED = {"input_tokens": 2000, "output_tokens": 100}
REPORTED = {"usage": {"prompt_tokens": 2000, "completion_tokens": 100}}


def corrected(api, log_id, **members):
    """Correct a log; return the row that stands for it."""
    replacement = correct(api, log_id, **members)["replacement"]
    return UsageLog.objects.get(id=replacement["log_id"])


@pytest.mark.parametrize(
    "members, cost",
    [
        # 1,000 × 0.15 + 200 × 0.6 millionths, and half of it
        ({"metadata": {"m": 1}}, "0.000135"),
        ({"service_tier": "default"}, "0.00027"),
        ({"service_tier": None}, "0.000135"),
        ({"modifiers": {}}, "0.00027"),
        # 2,000 × 0.15 + 100 × 0.6, and half of it
        (COUNTED, "0.00018"),
        ({**COUNTED, "service_tier": "default"}, "0.00036"),
        (REPORTED, "0.00018"),
        ({"usage": {**REPORTED["usage"], "service_tier": "default"}}, "0.00036"),
        ({**REPORTED, "service_tier": "default"}, "0.00036"),
    ],
    ids=str,
)
def test_a_correction_keeps_the_tier_unless_it_names_one(api, refreshed, members, cost):
    refreshed(11, 20)
    flex = api.send("POST", "/api/v1/log", {**CALL, "service_tier": "flex"})
    assert corrected(api, flex["log_id"], **members).cost == Decimal(cost)


def test_new_counts_leave_units_and_modifiers(api):
    extras = {"units": {"web_searches": 3}, "modifiers": {"speed": "fast", "region": "eu"}}
    row = corrected(api, logged(api, **extras), **COUNTED)
    assert (row.input_tokens, row.output_tokens) == (2000, 100)
    assert row.units_and_modifiers == extras
    row = corrected(api, logged(api, **extras), units={"web_searches": 4})
    assert row.units_and_modifiers == {**extras, "units": {"web_searches": 4}}
    assert (row.input_tokens, row.output_tokens) == (1000, 200)


def test_new_counts_replace_the_cached_media_of_the_old(api):
    """1,000 tokens, 800 of them cached and 300 audio: at least 100 of the audio are cached."""
    id = logged(api, cached_input_tokens=800, audio_input_tokens=300)
    [log] = api.read("/api/v1/logs", WINDOW)
    assert log["units"] == {"cached_audio_tokens": 100}
    assert corrected(api, id, **COUNTED).units_and_modifiers is None


def test_a_usage_object_replaces_units_and_modifiers(api):
    extras = {"units": {"web_searches": 3}, "modifiers": {"speed": "fast", "service_tier": "flex"}}
    row = corrected(api, logged(api, **extras), **REPORTED)
    assert row.units_and_modifiers == {"modifiers": {"service_tier": "flex"}}
    assert (row.input_tokens, row.output_tokens) == (2000, 100)


def test_a_status_is_corrected_alone(api):
    row = corrected(api, logged(api, usage_status="estimated"), usage_status="settled")
    assert (row.usage_status, row.input_tokens, row.output_tokens) == ("settled", 1000, 200)
    row = corrected(api, logged(api, usage_status="estimated"), **COUNTED)
    assert (row.usage_status, row.input_tokens, row.output_tokens) == ("estimated", 2000, 100)


def test_a_call_that_failed_has_neither_counts_nor_units(api):
    id = logged(api, units={"web_searches": 3}, service_tier="flex")
    row = corrected(api, id, usage_status="failed")
    assert (row.input_tokens, row.cost, row.units_and_modifiers) == (0, 0, None)
    row = corrected(api, row.id, **COUNTED)
    assert (row.usage_status, row.input_tokens, row.output_tokens) == ("settled", 2000, 100)


@pytest.mark.parametrize(
    "original, metadata, user",
    [
        ({"metadata": {"user_id": "u1"}}, {"user_id": "u2"}, "u2"),
        ({"metadata": {"user_id": 1}}, {"user_id": 2}, "2"),
        ({"metadata": {"user_id": "u1"}}, {}, None),
        ({}, {"user_id": "u2"}, "u2"),
        # As in reports, what is sent as `user` wins.
        ({"user": "alice", "metadata": {"user_id": "u1"}}, {"user_id": "u2"}, "alice"),
        ({"user": "alice"}, {"m": 1}, "alice"),
        # The metadata of neither name anybody: what is no id is no user either.
        ({"user": "None"}, {"m": 1}, "None"),
        ({"user": "True", "metadata": {"user_id": True}}, {"m": 1}, "True"),
    ],
)
def test_corrected_metadata_name_the_end_user(api, original, metadata, user):
    row = corrected(api, logged(api, **original), metadata=metadata)
    assert (row.end_user, row.metadata) == (user, metadata)


@pytest.fixture
def conversation(api):
    return api.send("POST", "/conversations", {})["id"]


def test_corrected_metadata_name_the_conversation(api, other_api, conversation):
    named = {"conversation_id": conversation}
    row = corrected(api, logged(api), metadata=named)
    assert str(row.conversation_id) == conversation
    # Neither nothing nor another project's conversation takes the log out of its own.
    theirs = other_api.send("POST", "/conversations", {})["id"]
    for metadata in ({}, {"conversation_id": theirs}):
        row = corrected(api, row.id, metadata=metadata)
        assert str(row.conversation_id) == conversation
    assert corrected(api, logged(api), metadata={"conversation_id": theirs}).conversation_id is None


def test_a_later_report_names_the_conversation(api, conversation):
    event = {**CALL, "event_id": "e", "replace": True, "timestamp": AT}
    named = {"metadata": {"conversation_id": conversation}}
    for cost, members in ((1, {}), (2, named), (3, {})):
        api.send("POST", "/api/v1/log", {**event, "cost": cost, **members})
    links = UsageLog.objects.order_by("received_at").filter(entry_type="replacement")
    assert [str(log.conversation_id) for log in links] == [conversation] * 2


def test_a_log_is_corrected_once_and_its_replacement_again(api):
    id = logged(api)
    replacement = correct(api, id, cost="0.2")["replacement"]["log_id"]
    assert "corrected already" in void(api, id, expect=409)["detail"]
    reversal = void(api, replacement)["reversal_id"]
    assert totals(api) == (0, "0", 0)
    void(api, reversal, expect=409)
    refused = correct(api, reversal, expect=409)
    assert refused == {"detail": "A reversal cannot be corrected"}
    assert UsageLog.objects.count() == 4


def test_racing_corrections_take_a_log_back_once(api):
    id = logged(api)

    def post():
        client = ApiClient(api.key)
        return client.post(
            f"/api/v1/logs/{id}/void", {"reason": "r"}, content_type="application/json"
        ).status_code

    assert sorted(at_once(*[post] * 4)) == [200, 409, 409, 409]
    assert totals(api) == (0, "0", 0)


def test_strangers_and_unknown_logs_are_not_found(api, other_api):
    id = logged(api)
    assert void(other_api, id, expect=404) == {"detail": "Log not found"}
    void(api, uuid.uuid4(), expect=404)
    void(api, "seven", expect=422)
    assert totals(api) == (1, "0.5", 1200)


def test_a_correction_needs_a_reason_and_sense(api):
    id = logged(api)
    for body, member in [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "r", "input_tokens": -1}, "input_tokens"),
        ({"reason": "r", "usage": {"prompt_tokens": "x"}}, "usage"),
        ({"reason": "r", "output_tokens": 5}, "input_tokens"),
    ]:
        (error,) = api.send("POST", f"/api/v1/logs/{id}/correct", body, expect=422)["detail"]
        assert error["loc"][1] == member
    assert totals(api) == (1, "0.5", 1200)


def test_a_later_report_of_an_event_replaces_the_earlier(api):
    """A stream that is reported several times."""
    event = {"event_id": "stream-1", "replace": True, "timestamp": AT}
    for cost in ("0.1", "0.3", "0.3", "0.7"):
        api.send("POST", "/api/v1/log", {**CALL, **event, "cost": cost})
        assert totals(api) == (1, cost, 1200)
    (result,) = api.send("POST", BATCH, {"logs": [{**CALL, **event, "cost": 1}]})["results"]
    assert (result["status"], totals(api)) == ("replaced", (1, "1", 1200))
    again = api.send("POST", BATCH, {"logs": [{**CALL, **event, "cost": 1}]})
    assert (again["duplicates"], totals(api)) == (1, (1, "1", 1200))


def test_a_retried_report_does_not_undo_a_correction(api):
    event = {**CALL, "event_id": "e", "replace": True, "timestamp": AT, "cost": "0.5"}
    corrected = correct(api, api.send("POST", "/api/v1/log", event)["log_id"], cost="0.2")
    retried = api.send("POST", "/api/v1/log", event)
    assert retried == corrected["replacement"]
    report = api.send("POST", BATCH, {"logs": [event]})
    assert (report["duplicates"], totals(api)) == (1, (1, "0.2", 1200))
    # What is known later still replaces it.
    api.send("POST", "/api/v1/log", {**event, "cost": "0.7"})
    assert totals(api) == (1, "0.7", 1200)


def test_a_retry_of_a_report_that_was_replaced_changes_nothing(api):
    event = {**CALL, "event_id": "e", "replace": True, "timestamp": AT}
    for cost in ("0.1", "0.9", "0.1"):
        reply = api.send("POST", "/api/v1/log", {**event, "cost": cost})
    assert (reply["cost"], totals(api)) == (0.9, (1, "0.9", 1200))


def test_many_replacements_in_a_batch_have_their_own_outcomes(api):
    """More than are committed together; what one of them refuses is not another's fault."""
    events = [{**CALL, "event_id": f"e{n}", "replace": True, "timestamp": AT} for n in range(50)]
    first = api.send("POST", BATCH, {"logs": [{**event, "cost": 1} for event in events]})
    void(api, first["results"][30]["log_id"])
    second = api.send("POST", BATCH, {"logs": [{**event, "cost": 3} for event in events]})
    statuses = [result["status"] for result in second["results"]]
    assert statuses == ["replaced"] * 30 + ["error"] + ["replaced"] * 19
    assert totals(api)[:2] == (49, "147")


def test_racing_reports_of_an_event_leave_one(api):
    def report(cost):
        body = {**CALL, "event_id": "e", "replace": True, "timestamp": AT, "cost": cost}
        return ApiClient(api.key).send("POST", "/api/v1/log", body)["cost"]

    costs = at_once(*(partial(report, cost) for cost in range(1, 9)))
    assert costs == [*range(1, 9)]
    requests, cost, tokens = totals(api)
    assert (requests, tokens) == (1, 1200)
    assert float(cost) in costs


def test_a_voided_event_is_not_replaced(api):
    event = {**CALL, "event_id": "e", "replace": True, "timestamp": AT}
    void(api, api.send("POST", "/api/v1/log", event)["log_id"])
    changed = {**event, "cost": 2}
    assert "corrected already" in api.send("POST", "/api/v1/log", changed, expect=409)["detail"]
    report = api.send("POST", BATCH, {"logs": [changed, {**CALL, "timestamp": AT, "cost": 1}]})
    assert [result["status"] for result in report["results"]] == ["error", "created"]
    assert totals(api) == (1, "1", 1200)


def test_a_member_that_is_null_stays_as_it_was(api):
    id = logged(api, alias="a", metadata={"m": 1})
    nulls = dict.fromkeys(["usage", "input_tokens", "metadata", "model", "units", "modifiers"])
    replacement = correct(api, id, cost="2", **nulls)["replacement"]
    row = UsageLog.objects.get(pk=replacement["log_id"])
    assert (row.cost, row.metadata, row.alias) == (2, {"m": 1}, "a")
