"""`Idempotency-Key` (docs/http-contract.md, section "Retries")."""

from tests.usage.test_log import CALL
from usage.models import UsageLog

KEY = {"HTTP_IDEMPOTENCY_KEY": "order-7"}


def test_retry_returns_the_first_answer_and_stores_nothing(api):
    first = api.send("POST", "/api/v1/log", {**CALL, "cost": 1.5}, **KEY)
    assert api.send("POST", "/api/v1/log", {**CALL, "cost": 1.5}, **KEY) == first
    assert UsageLog.objects.count() == 1


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


def test_key_too_long_is_refused(api):
    reply = api.send("POST", "/api/v1/log", CALL, expect=422, HTTP_IDEMPOTENCY_KEY="k" * 256)
    assert reply["detail"][0]["loc"] == ["header", "Idempotency-Key"]
