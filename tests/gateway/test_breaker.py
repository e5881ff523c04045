"""What opens an upstream's breaker, and what closes it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from gateway import breaker, upstream_keys, upstreams
from gateway.models import Upstream
from gateway.protocols import openai
from tests.gateway.calls import within_a_second
from tests.gateway.upstream import (
    DONE,
    USAGE_CHUNK,
    chat,
    chunk,
    content,
    hang_up,
    reply,
    stop,
    stream,
)

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


REFUSED = [
    "400",
    "429",
    "rate_limit_exceeded",
    "invalid_prompt",
    "image_too_large",
    "content_filter",
    "1004",  # as MiniMax refuses a key
    "2013",
]
BROKEN = ["500", "503", "1033", "server_error", "overloaded_error", "image_server_error", "error"]


OF_REQUESTS = """
    invalid_prompt content_filter insufficient_quota billing_hard_limit_reached
    content_policy_violation
    moderation_blocked model_not_found image_too_small unsupported_file permission_denied
    authentication_error string_too_long request_too_large too_many_requests
    context_length_exceeded RATE_LIMIT_EXCEEDED 1002 404
"""
OF_UPSTREAMS = """
    internal_error request_timeout image_service_unavailable model_overloaded
    invalid_server_state 1000 1001 1013 1024 3000 502
"""


def test_codes_of_errors_say_whose_fault_they_are():
    assert [code for code in OF_REQUESTS.split() if not openai.blames_request(code)] == []
    assert [code for code in OF_UPSTREAMS.split() if openai.blames_request(code)] == []


def error_in(code: str, kind: str) -> tuple:
    """Members of a chat, and an answer of 200 with an error of this code."""
    error = {"error": {"code": code, "message": "no"}}
    if kind == "plain":
        return {}, reply(error)
    return {"stream": True}, stream(content("Hi"), chunk(error))


@pytest.mark.parametrize("kind", ["plain", "stream"])
@pytest.mark.parametrize("code", REFUSED)
def test_an_error_of_the_request_inside_a_200_opens_no_breaker(gateway, mock, code, kind):
    """One project could shut an upstream for all others otherwise."""
    members, mock.script = error_in(code, kind)
    for _ in range(6):
        assert gateway.chat(**members).status_code == 200
    assert {row.error for row in gateway.rows} == {code}
    assert upstreams.status()["openai"]["breaker"] == "closed"


@pytest.mark.parametrize("kind", ["plain", "stream"])
@pytest.mark.parametrize("code", BROKEN)
def test_any_other_error_inside_a_200_opens_one(gateway, mock, code, kind):
    members, mock.script = error_in(code, kind)
    for _ in range(5):
        assert gateway.chat(**members).status_code == 200
    assert gateway.chat(**members).json()["error"]["code"] == "upstream_suspended"


def test_an_empty_error_in_an_answer_is_none(gateway, mock):
    mock.script = reply(chat(error={}))
    assert [gateway.chat().status_code for _ in range(6)] == [200] * 6
    assert {(row.usage_status, row.error) for row in gateway.rows} == {("settled", None)}


def test_an_upstream_that_was_changed_is_called_again(gateway, mock):
    row = Upstream.objects.create(name="local", base_url="http://127.0.0.1:9/v1")
    upstream_keys.set_keys(gateway.project, {"local": "sk-own-key-0123456789"})
    within_a_second(lambda: gateway.chat("local:m").status_code == 502)
    while gateway.chat("local:m").status_code == 502:
        pass
    assert gateway.chat("local:m").json()["error"]["code"] == "upstream_suspended"

    mock.script = reply(chat())
    row.base_url = mock.url
    row.save()

    within_a_second(lambda: gateway.chat("local:m").status_code == 200)
    assert upstreams.status()["local"]["breaker"] == "closed"


def test_a_change_elsewhere_closes_no_breaker(gateway, mock):
    mock.script = hang_up
    for _ in range(5):
        gateway.chat()
    Upstream.objects.create(name="local", base_url=mock.url)
    within_a_second(
        lambda: gateway.chat("local:m").json()["error"]["code"] == "upstream_auth_error"
    )
    assert gateway.chat().json()["error"]["code"] == "upstream_suspended"


@pytest.fixture
def half_open(gateway, mock, monkeypatch):
    """Open the upstream's breaker, so that the next call is the one that tries."""

    def open_breaker() -> None:
        mock.script = hang_up
        while gateway.chat().status_code == 502:
            pass
        monkeypatch.setattr(breaker, "OPEN_SECONDS", 0)

    return open_breaker


@contextmanager
def in_progress(gateway, mock, **members):
    """Have a call under way, of which the upstream has the request."""
    known = len(mock.requests)
    with ThreadPoolExecutor() as threads:
        call = threads.submit(gateway.chat, **members)
        within_a_second(lambda: len(mock.requests) > known)
        yield call


@pytest.mark.slow
def test_one_call_tries_whatever_older_ones_say(gateway, mock, half_open):
    mock.script = reply({"error": {"message": "no"}}, 400, delay=0.6)
    with in_progress(gateway, mock) as older:
        half_open()
        mock.script = reply(chat(), delay=1.2)
        with in_progress(gateway, mock) as probe:
            assert gateway.chat().json()["error"]["code"] == "upstream_suspended"
            assert older.result().status_code == 400
            assert gateway.chat().json()["error"]["code"] == "upstream_suspended"
            assert probe.result().status_code == 200
    assert gateway.chat().status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("ends", [True, False], ids=["whole", "broken off"])
def test_others_call_once_the_answer_of_the_one_that_tries_comes(gateway, mock, half_open, ends):
    half_open()
    pieces = [content("a"), content("b"), stop(), USAGE_CHUNK, DONE]
    mock.script = stream(*pieces, pauses={1: 1}, ends=ends)
    with in_progress(gateway, mock, stream=True) as probe:
        mock.script = reply(chat())
        within_a_second(lambda: gateway.chat().status_code == 200)
        assert not probe.done()
        probe.exception()
    assert gateway.chat().status_code == 200


def test_a_try_that_says_nothing_of_the_upstream_leaves_it_to_the_next_call(
    gateway, mock, half_open
):
    half_open()
    mock.script = reply({"error": {"message": "no"}}, 400)
    assert [gateway.chat().status_code for _ in range(2)] == [400, 400]
    assert upstreams.status()["openai"]["breaker"] == "half_open"
    mock.script = reply(chat())
    assert gateway.chat().status_code == 200
    status = upstreams.status()["openai"]
    assert (status["breaker"], status["seconds_left"]) == ("closed", 0)


def test_a_stream_that_breaks_off_opens_the_breaker_that_its_beginning_closed():
    seconds = 0.0
    closing = breaker.Breaker(lambda: seconds)
    for _ in range(breaker.MAX_FAILURES):
        closing.acquire().failed()
    assert closing.acquire() is None
    seconds = breaker.OPEN_SECONDS
    probe = closing.acquire()
    assert closing.acquire() is None

    probe.begun()
    assert closing.state == "closed"
    probe.failed()

    assert closing.state == "open"
