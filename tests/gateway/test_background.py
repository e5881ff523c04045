"""Answers that the upstream works on in the background, and the polls that settle them."""

from contextlib import suppress
from decimal import Decimal

import pytest
import requests
from django.db import OperationalError

from gateway import background, metering, relay
from gateway.models import Call
from tests.gateway.calls import within_a_second
from tests.gateway.conftest import counts
from tests.gateway.upstream import by_path, event, in_turn, reply, stream

ANSWER = {"id": "resp_1", "object": "response", "model": "gpt-5-mini", "usage": None}
QUEUED = {**ANSWER, "status": "queued"}
USAGE = {"input_tokens": 500, "output_tokens": 60, "total_tokens": 560}
COMPLETED = {**ANSWER, "status": "completed", "usage": USAGE}
BODY = {"model": "gpt-5-mini", "input": "x", "background": True}
PATH = "/v1/responses/resp_1"
SETTLED = ("settled", 500, 0, 60, 0)


@pytest.fixture
def away(monkeypatch):
    """Have a function of a module meet a database that is away, as often as is said."""
    monkeypatch.setattr(metering, "_RETRY_SECONDS", 0.3)

    def fail(module, name: str, times: int = 1) -> None:
        write, left = getattr(module, name), [None] * times

        def flaky(*args):
            if left:
                left.pop()
                raise OperationalError("the connection is lost")
            return write(*args)

        monkeypatch.setattr(module, name, flaky)

    return fail


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_an_answer_is_given_though_its_call_cannot_be_kept(gateway, mock, own_key, away, is_stream):
    own_key()
    first = stream(event("response.created", {"response": QUEUED})) if is_stream else reply(QUEUED)
    mock.script = in_turn(first, reply(COMPLETED))
    away(metering, "keep_in_background", times=2)

    answer = gateway.post("/v1/responses", {**BODY, "stream": is_stream})

    assert (answer.status_code, b"resp_1" in answer.content) == (200, True)
    assert gateway.pending == 1
    within_a_second(lambda: Call.objects.get().response_id == "resp_1")
    assert gateway.get(PATH).json() == COMPLETED
    assert counts(gateway.row) == SETTLED


def test_a_poll_settles_a_call_that_is_not_kept_yet(gateway, mock, own_key, away):
    own_key()
    mock.script = in_turn(reply(QUEUED), reply(COMPLETED))
    away(metering, "keep_in_background")
    gateway.post("/v1/responses", BODY)

    gateway.get(PATH)

    assert counts(gateway.row) == SETTLED
    assert Call.objects.count() == 0


@pytest.mark.parametrize("name", ["look-up", "row"])
def test_a_result_is_settled_later_if_the_database_is_away(gateway, mock, own_key, away, name):
    own_key()
    mock.script = in_turn(reply(QUEUED), reply(COMPLETED))
    gateway.post("/v1/responses", BODY)
    away(*{"look-up": (background, "_find"), "row": (metering, "settle_polled")}[name])

    answers = [gateway.get(PATH), gateway.get(PATH)]

    assert [answer.json() for answer in answers] == [COMPLETED] * 2
    within_a_second(lambda: gateway.rows)
    assert counts(gateway.row) == SETTLED
    assert Call.objects.count() == 0


@pytest.fixture
def two_upstreams(mock, own_key, upstreams_file):
    upstreams_file(
        f"apis:\n  openai: {{base_url: {mock.url}/openai/v1}}\n"
        f"  other: {{base_url: {mock.url}/other/v1}}\n"
    )
    own_key()
    own_key("sk-other-key-0123456789", upstream="other")


def test_an_upstream_settles_no_call_of_another(gateway, mock, two_upstreams):
    """Ids of small servers are counted, and meet."""
    tiny = {**COMPLETED, "model": "tiny", "usage": {"input_tokens": 1, "output_tokens": 1}}
    mock.script = by_path(
        {
            "POST /openai/v1/responses": reply(QUEUED),
            "GET /openai/v1/responses/resp_1": reply(COMPLETED),
            "GET /other/v1/responses/resp_1": reply(tiny),
        }
    )
    gateway.post("/v1/responses", BODY)

    assert gateway.get(PATH, token=gateway.issue(upstream="other")[1]).json() == tiny
    assert gateway.rows == []
    assert gateway.get(PATH).json() == COMPLETED

    assert counts(gateway.row) == SETTLED


def test_an_answer_is_polled_where_it_is_made(gateway, mock, two_upstreams):
    mock.script = by_path(
        {
            "POST /other/v1/responses": reply(QUEUED),
            "GET /other/v1/responses/resp_1": reply(COMPLETED),
            "GET /other/v1/responses/resp_1/input_items": reply({"data": []}),
            "GET /openai/v1/responses/resp_1": reply({"error": {"message": "unknown"}}, 404),
        }
    )
    gateway.post("/v1/responses", {**BODY, "model": "other:gpt-5-mini"})

    pinned = gateway.issue(upstream="openai")[1]
    assert gateway.get(PATH, token=pinned).status_code == 404
    assert gateway.get(f"{PATH}/input_items").json() == {"data": []}
    assert gateway.get(PATH).json() == COMPLETED

    assert (gateway.row.upstream, counts(gateway.row)) == ("other", SETTLED)
    assert gateway.get(PATH).status_code == 404  # nothing says any more whose it was


def test_an_answer_that_nobody_knows_is_asked_of_the_default(
    gateway, mock, own_key, upstreams_file
):
    upstreams_file(
        f"default_api: other\napis:\n  openai: {{base_url: {mock.url}/openai/v1}}\n"
        f"  other: {{base_url: {mock.url}/other/v1}}\n"
    )
    own_key(upstream="other")
    mock.script = reply(COMPLETED)
    assert gateway.get(PATH).json() == COMPLETED
    assert mock.requests[0].target == "/other/v1/responses/resp_1"


def test_an_answer_of_an_alias_is_polled_where_it_is_made(gateway, mock, two_upstreams):
    gateway.bind_alias("slow", "other:gpt-5-mini")
    mock.script = in_turn(reply(QUEUED), reply(COMPLETED))
    within_a_second(lambda: gateway.post("/v1/responses", {**BODY, "model": "slow"}).ok)

    gateway.get(PATH)

    assert mock.requests[-1].target == "/other/v1/responses/resp_1"
    assert (gateway.row.alias, gateway.row.upstream) == ("slow", "other")


def test_an_answer_of_an_upstream_that_is_gone_is_asked_of_no_other(gateway, mock, two_upstreams):
    mock.script = reply(QUEUED)
    gateway.post("/v1/responses", {**BODY, "model": "other:gpt-5-mini"})
    Call.objects.update(upstream="removed")

    answer = gateway.get(PATH)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "endpoint_not_found")
    assert len(mock.requests) == 1


FAILED = {**ANSWER, "status": "failed", "error": {"code": "server_error", "message": "x"}}
IN_PROGRESS = {**ANSWER, "status": "in_progress"}
CREATED = event("response.created", {"response": IN_PROGRESS})


@pytest.fixture
def begun(gateway, mock, own_key):
    """Begin a call in the background; what polls get is the test's to say."""
    own_key()
    gateway.use(budget_usd=1)
    mock.script = reply(QUEUED)
    gateway.post("/v1/responses", BODY)
    return gateway


@pytest.mark.parametrize(
    "poll",
    [reply(FAILED), stream(CREATED, event("response.failed", {"response": FAILED}))],
    ids=["plain", "stream"],
)
def test_a_poll_that_shows_a_failure_settles_its_call(begun, mock, poll):
    mock.script = poll
    begun.get(PATH)
    assert (counts(begun.row)[0], begun.row.error) == ("failed", "server_error")
    assert begun.left == 1


def test_a_cancellation_that_shows_the_usage_settles_its_call(begun, mock):
    mock.script = reply({**COMPLETED, "status": "cancelled"})
    begun.post(f"{PATH}/cancel")
    assert counts(begun.row) == SETTLED


def test_usage_that_comes_with_a_later_poll_settles_the_call(begun, mock):
    mock.script = in_turn(reply({**COMPLETED, "usage": None}), reply(COMPLETED))
    begun.get(PATH)
    assert begun.rows == []
    begun.get(PATH)
    assert counts(begun.row) == SETTLED


def test_an_answer_too_long_to_be_held_settles_its_call(begun, mock, monkeypatch):
    monkeypatch.setattr(relay, "MAX_HELD", 1000)
    long = {**COMPLETED, "output": [{"type": "image_generation_call", "result": "x" * 5000}]}
    mock.script = reply(long)
    assert begun.get(PATH).json() == long
    assert counts(begun.row) == SETTLED


def test_the_path_says_whose_usage_it_is(begun, mock):
    """Proxies give an answer another id with each look."""
    mock.script = reply({**COMPLETED, "id": "encoded-2"})
    begun.get(PATH)
    assert counts(begun.row) == SETTLED


def test_an_answer_that_was_deleted_is_unknown(begun, mock):
    mock.script = reply({"id": "resp_1", "object": "response", "deleted": True})
    begun.send("DELETE", PATH)
    assert counts(begun.row)[0] == "unknown"
    assert begun.left < 1


UNFINISHED = {
    "error of the poll": reply({"error": {"code": "overloaded"}}),
    "error of the poll with an id": reply({"id": "err_1", "error": {"code": "overloaded"}}),
    "refused poll": reply({"id": "resp_1", "error": {"code": "rate_limited"}}, 429),
    "running total": reply({**IN_PROGRESS, "usage": USAGE}),
    "stream that broke off": stream(CREATED, ends=False),
    "stream that broke off after a running total": stream(
        event("response.in_progress", {"response": {**IN_PROGRESS, "usage": USAGE}}), ends=False
    ),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_a_poll_that_shows_no_result_settles_nothing(begun, mock, name):
    mock.script = UNFINISHED[name]
    with suppress(requests.exceptions.ChunkedEncodingError):
        begun.get(PATH)
    assert begun.rows == []
    mock.script = reply(COMPLETED)
    begun.get(PATH)
    assert counts(begun.row) == SETTLED


@pytest.mark.parametrize(
    "window, modifiers, cost",
    [
        # 1000 * 0.25 + 200 * 2.00, per million, times 0.7 and 0.6
        ("2h", {"completion_window": "2h"}, Decimal("0.000455")),
        ("8h", {"completion_window": "8h"}, Decimal("0.00039")),
        ("soonest", {}, Decimal("0.00065")),
        (None, {}, Decimal("0.00065")),
        (["2h"], {}, Decimal("0.00065")),
        ("\0" * 999, {}, Decimal("0.00065")),
        ("9d", {"completion_window": "9d"}, None),
    ],
    ids=str,
)
def test_a_later_completion_costs_less(gateway, mock, own_key, window, modifiers, cost):
    """The request alone says it; nobody knows the price of a window that is not published."""
    own_key()
    usage = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}
    done = {**COMPLETED, "usage": usage, "service_tier": "default"}
    mock.script = in_turn(reply(QUEUED), reply(done))
    gateway.post("/v1/responses", {**BODY, "background_options": {"completion_window": window}})
    gateway.get(PATH)
    row = gateway.row
    assert (row.usage_status, row.cost) == ("settled", cost)
    assert (row.units_and_modifiers or {}).get("modifiers", {}) == modifiers
