"""What opens an upstream's breaker, and what closes it."""

import pytest

from tests.gateway.upstream import chat, reply

FAILED_OBJECTS = {
    "response": (
        "/v1/responses/resp_1",
        {"id": "resp_1", "model": "gpt-5-mini", "status": "failed", "error": {"code": "x"}},
    ),
    "fine-tuning job": (
        "/v1/fine_tuning/jobs/ftjob-1",
        {"id": "ftjob-1", "status": "failed", "error": {"code": "invalid_n_examples"}},
    ),
    "job with an empty error": (
        "/v1/fine_tuning/jobs/ftjob-2",
        {"id": "ftjob-2", "status": "succeeded", "error": {}},
    ),
    "video": (
        "/v1/videos/video_1",
        {"id": "video_1", "status": "failed", "error": {"code": "moderation_blocked"}},
    ),
    "batch": ("/v1/batches/batch_1", {"id": "batch_1", "status": "failed", "errors": {}}),
    "run": (
        "/v1/threads/t/runs/r",
        {"id": "r", "status": "failed", "last_error": {"code": "rate_limit_exceeded"}},
    ),
    "file of a vector store": (
        "/v1/vector_stores/v/files/f",
        {"id": "f", "status": "failed", "last_error": {"code": "invalid_file"}},
    ),
}


@pytest.mark.parametrize("name", FAILED_OBJECTS)
def test_polls_of_an_object_that_failed_open_no_breaker(gateway, mock, own_key, name):
    own_key()
    path, answer = FAILED_OBJECTS[name]
    mock.script = reply(answer)
    for _ in range(5):
        assert gateway.get(path).json() == answer
    mock.script = reply(chat())
    assert gateway.chat().status_code == 200


def test_an_empty_error_in_an_answer_is_none(gateway, mock):
    mock.script = reply(chat(error={}))
    assert [gateway.chat().status_code for _ in range(6)] == [200] * 6
    assert {(row.usage_status, row.error) for row in gateway.rows} == {("settled", None)}
