"""Limits and budgets: never over them at any moment, and free again when a call has ended.

The bound of a chat of gpt-4o-mini is what the request allows for its answer at 0.60 US
dollars per million, and its body's bytes at 0.15.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import requests
from django.core.management import call_command

from accounts.models import Allowance, Project, Tier
from core import bridge
from gateway.models import Call
from tests.gateway.bounds import assert_bound, size
from tests.gateway.conftest import counts
from tests.gateway.upstream import chat, chunk, content, hang_up, in_turn, reply, stream

INPUT, OUTPUT = Decimal("0.00000015"), Decimal("0.0000006")


def body(**members) -> dict:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], **members}


@pytest.mark.slow
def test_c01_fifty_at_once_against_a_budget_for_three(gateway, mock):
    mock.script = reply(chat(), delay=0.7)
    gateway.use(budget_usd=Decimal("0.002"))
    held = []

    def call(_):
        answer = gateway.chat(max_tokens=1000)
        allowance = bridge.with_connection(
            lambda: Allowance.objects.get(id=gateway.token_row.allowance_id)
        )
        held.append(allowance.spent_usd + allowance.reserved_usd)
        return answer

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(call, range(50)))

    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 47
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.json()["error"]["code"] for answer in refused} == {"budget_exceeded"}
    assert {answer.headers["x-should-retry"] for answer in refused} == {"false"}
    assert max(held) <= Decimal("0.002")
    assert len(mock.requests) == 3
    # Each 10 * 0.15 + 5 * 0.60, per million
    assert sum(row.cost for row in gateway.rows) == Decimal("0.0000135")
    assert gateway.chat(max_tokens=1000).status_code == 200


@pytest.mark.parametrize(
    "members",
    [{"model": "unheard-of"}, {"service_tier": "priority"}],
    ids=["another model", "a tier without a price"],
)
def test_c02_a_call_whose_price_nobody_knows_costs_what_was_reserved(gateway, mock, members):
    mock.script = reply(chat(10, 10_000, **members))
    gateway.use(budget_usd=Decimal("0.002"))

    answers = [gateway.chat(max_tokens=1000) for _ in range(4)]

    # Each takes 1000 * 0.60 per million and a little for the prompt: three fit.
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    rows = gateway.rows
    assert [(row.usage_status, row.cost) for row in rows] == [("settled", None)] * 3
    reserved = size(body(max_tokens=1000)) * INPUT + 1000 * OUTPUT
    assert gateway.left == Decimal("0.002") - 3 * reserved


CONTEXT, LARGEST = 128_000, 16_000  # of gpt-4o-mini, in the registry
RESPONSES = "/v1/responses"
BOUNDS = {
    "no limit of the answer": (body(), LARGEST, None),
    "several choices": (body(n=8, max_tokens=1000), 8_000, None),
    "a little above the registry": (body(max_tokens=16384), 16_384, None),
    "far above the registry": (body(max_tokens=999_999_999), LARGEST, None),
    "context upstream": (
        {"model": "gpt-4o-mini", "input": "x", "previous_response_id": "r"}
        | {"max_output_tokens": 100},
        100,
        CONTEXT,
    ),
    "an image by its address": (
        body(
            max_tokens=100,
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://x.test/i"}}],
                }
            ],
        ),
        100,
        CONTEXT,
    ),
    "best of": (
        {"model": "gpt-4o-mini", "prompt": "x", "max_tokens": 100, "best_of": 5},
        500,
        None,
    ),
    "several prompts": (
        {"model": "gpt-4o-mini", "prompt": ["x", "y", "z"], "max_tokens": 100},
        300,
        None,
    ),
    "a search that is switched on": (body(max_tokens=100, web_search_options={}), 100, CONTEXT),
    "numbers as texts": (body(max_tokens=100, max_completion_tokens="200", n="8"), 1600, None),
    "two limits": (body(max_tokens=100, max_completion_tokens=200), 200, None),
    "a tool of the upstream's": (
        {"model": "gpt-4o-mini", "input": "x", "max_output_tokens": 100}
        | {"tools": [{"type": "web_search"}]},
        100,
        CONTEXT,
    ),
}


def path_of(sent: dict) -> str:
    if "messages" in sent:
        return "/v1/chat/completions"
    return RESPONSES if "input" in sent else "/v1/completions"


@pytest.mark.parametrize("name", BOUNDS)
def test_c02_a_call_is_reserved_at_its_bound(gateway, mock, own_key, name):
    own_key()
    sent, answer_tokens, prompt_tokens = BOUNDS[name]
    mock.script = reply(chat())
    bound = answer_tokens * OUTPUT + (prompt_tokens or size(sent)) * INPUT
    assert_bound(gateway, path_of(sent), sent, bound)
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


@pytest.mark.slow
def test_c02_twenty_calls_without_a_limit_run_side_by_side(gateway, mock):
    mock.script = reply(chat(), delay=0.5)
    gateway.use(budget_usd=2000)
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: gateway.chat(), range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20


@pytest.mark.parametrize("limit", [-1, "abc", 1e3, True, None, [], 0.5], ids=repr)
def test_c02_an_odd_limit_is_the_upstreams_to_refuse(gateway, mock, limit):
    mock.script = reply({"error": {"message": "max_tokens"}}, 400)
    gateway.use(budget_usd=1)
    assert gateway.chat(max_tokens=limit).status_code == 400
    assert gateway.left == 1


@pytest.mark.parametrize("model", ["no-such-model", "text-embedding-3-large"])
def test_c02_what_has_no_bound_is_refused_for_a_budget(gateway, mock, settings, model):
    mock.script = reply(chat())
    gateway.use(budget_usd=1)
    refused = gateway.chat(model)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cost_unbounded")
    assert mock.requests == []
    settings.GATEWAY_UNBOUNDED = True
    assert gateway.chat(model).status_code == 200


STEPS = {
    "400": reply({"error": {"message": "bad"}}, 400),
    "401": reply({"error": {"message": "bad"}}, 401),
    "429": reply({"error": {"message": "slow"}}, 429),
    "html 500": reply(b"<html>", 500, Content_Type="text/html"),
    "error as the first event": stream(chunk({"error": {"message": "no", "code": 503}})),
}


@pytest.mark.parametrize("step", STEPS)
def test_c03_a_reservation_ends_with_its_call(gateway, mock, step):
    mock.script = in_turn(STEPS[step], reply(chat()))
    gateway.use(budget_usd=Decimal("0.0007"))  # for one call of 1000 at a time
    gateway.chat(max_tokens=1000, stream=step.startswith("error"))
    assert gateway.left == Decimal("0.0007")
    assert (gateway.row.usage_status, gateway.row.cost) == ("failed", 0)
    assert gateway.chat(max_tokens=1000).status_code == 200


def test_c03_a_refused_connection_holds_nothing(gateway, settings):
    from gateway import upstreams

    settings.OPENAI_API_URL = "http://127.0.0.1:9"
    upstreams.forget()
    gateway.use(budget_usd=1)
    assert gateway.chat().status_code == 502
    assert gateway.left == 1
    assert gateway.row.usage_status == "failed"


def test_c03_what_is_refused_here_holds_nothing_and_has_no_row(gateway, mock, settings):
    settings.GATEWAY_MAX_BODY_BYTES = 1024
    gateway.use(budget_usd=1, allowed_models=["gpt-4o-mini"])
    too_large = gateway.chat(messages=[{"role": "user", "content": "x" * 2000}])
    forbidden = gateway.chat("gpt-4o")
    assert (too_large.status_code, forbidden.status_code) == (413, 403)
    assert gateway.left == 1
    assert gateway.rows == [] and mock.requests == []


@pytest.mark.parametrize(
    ("members", "allowed"),
    [({"max_tokens": 10}, 10), ({"max_completion_tokens": 10, "n": 2}, 20)],
    ids=["one choice", "two choices"],
)
@pytest.mark.parametrize("ends", [True, False])
def test_c02_an_estimate_is_never_above_what_was_reserved(gateway, mock, ends, members, allowed):
    """Of other scripts than Latin fewer tokens may be more characters than we count for them."""
    mock.script = stream(*[content("你好世界")] * 20, ends=ends)
    sent = body(stream=True, **members)
    bound = size(sent) * INPUT + allowed * OUTPUT
    gateway.use(budget_usd=bound)
    with suppress(requests.RequestException):
        gateway.post("/v1/chat/completions", sent)
    # "Hello" and "user" are three tokens.
    assert counts(gateway.row) == ("estimated", 3, 0, allowed, 0)
    assert gateway.left == bound - 3 * INPUT - allowed * OUTPUT


def test_a_lifetime_of_requests_is_never_exceeded(gateway, mock):
    mock.script = reply(chat())
    gateway.use(max_requests=3)
    with ThreadPoolExecutor(25) as threads:
        answers = list(threads.map(lambda _: gateway.chat(), range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 47
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.headers["x-should-retry"] == "false"
    assert gateway.get("/v1/token").json()["remaining"]["requests"] == 0


def test_requests_of_a_minute_are_never_exceeded(gateway, mock):
    mock.script = reply(chat())
    gateway.use(requests_per_minute=5)
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: gateway.chat(), range(20)))
    accepted = [answer for answer in answers if answer.status_code == 200]
    # Five in each minute, and the database's clock may have begun a new one meanwhile.
    assert len(accepted) in (5, 10)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "x-should-retry" not in refused.headers


def test_a_minute_does_not_begin_again_when_the_clock_goes_back(gateway, mock):
    mock.script = reply(chat())
    gateway.use(requests_per_minute=1)
    ahead = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    allowance = Allowance.objects.filter(id=gateway.token_row.allowance_id)
    allowance.update(minute=ahead, minute_requests=1)
    assert gateway.chat().status_code == 429
    assert allowance.get().minute == ahead


def test_a_limit_that_is_moved_holds_at_once(gateway, mock):
    mock.script = reply(chat())
    gateway.use(max_requests=1)
    assert gateway.chat().status_code == 200
    assert gateway.chat().status_code == 429
    Allowance.objects.filter(id=gateway.token_row.allowance_id).update(max_requests=2)
    assert gateway.chat().status_code == 200
    assert gateway.chat().status_code == 429


def test_a_correction_gives_back_what_was_spent(gateway, mock, api):
    mock.script = reply(chat(1000, 200))
    gateway.use(budget_usd=1)
    gateway.chat(max_tokens=1000)
    assert gateway.left == Decimal("0.99973")

    corrected = {"reason": "half of it", "input_tokens": 500, "output_tokens": 100}
    log = api.send("POST", f"/api/v1/logs/{gateway.row.id}/correct", corrected)
    # 500 * 0.15 + 100 * 0.60, per million
    assert gateway.left == 1 - Decimal("0.000135")

    replacement = log["replacement"]["log_id"]
    api.send("POST", f"/api/v1/logs/{replacement}/void", {"reason": "a test call"})
    assert gateway.left == 1


def test_a_correction_says_what_an_unknown_call_cost(gateway, mock, api):
    mock.script = hang_up
    gateway.use(budget_usd=1)
    gateway.chat(max_tokens=1000)
    assert gateway.left < 1 - Decimal("0.0006")
    counts_known = {"reason": "the provider's bill", "input_tokens": 1000, "output_tokens": 200}
    api.send("POST", f"/api/v1/logs/{gateway.row.id}/correct", counts_known)
    assert gateway.left == Decimal("0.99973")


def test_c02_an_answer_under_a_dated_name_costs_no_more_than_was_reserved(gateway, mock, api):
    """The operator's price is of the name that was asked for alone."""
    cheap = {"provider": "openai", "model": "gpt-4o-mini", "factor": 0.01}
    api.send("POST", "/api/v1/prices", {**cheap, "valid_from": "2020-01-01T00:00:00Z"})
    mock.script = reply(chat(30, 100))
    bound = size(body(max_tokens=100)) * INPUT + 100 * OUTPUT
    gateway.use(budget_usd=bound)

    answers = [gateway.chat(max_tokens=100) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    # 30 * 0.15 + 100 * 0.60, per million
    assert (gateway.row.model, gateway.row.cost) == ("gpt-4o-mini-2024-07-18", Decimal("0.0000645"))


@pytest.fixture
def unpriced(gateway, mock):
    """A call whose answer names a model without a price: 1000 tokens in, 200 out."""
    mock.script = reply(chat(1000, 200, model="unheard-of"))
    gateway.use(budget_usd=1)
    gateway.chat(max_tokens=1000)
    reserved = size(body(max_tokens=1000)) * INPUT + 1000 * OUTPUT
    assert amounts(gateway) == (0, reserved)
    return gateway.row


def amounts(gateway) -> tuple[Decimal, Decimal]:
    """What the token has spent, and what it has reserved."""
    row = Allowance.objects.get(id=gateway.token_row.allowance_id)
    return row.spent_usd, row.reserved_usd


def test_a_correction_says_what_an_unpriced_call_cost(gateway, unpriced, api):
    corrected = {"reason": "the provider's bill", "model": "gpt-4o-mini"}
    api.send("POST", f"/api/v1/logs/{unpriced.id}/correct", corrected)
    # 1000 * 0.15 + 200 * 0.60, per million
    assert amounts(gateway) == (Decimal("0.00027"), 0)


def test_an_unpriced_call_that_is_taken_back_holds_nothing(gateway, unpriced, api):
    api.send("POST", f"/api/v1/logs/{unpriced.id}/void", {"reason": "a test call"})
    assert amounts(gateway) == (0, 0)


def test_an_unpriced_call_holds_its_reservation_while_corrections_leave_it_so(
    gateway, unpriced, api
):
    _, reserved = amounts(gateway)
    id = unpriced.id
    for tokens in (900, 800):
        corrected = {"reason": "miscounted", "input_tokens": tokens, "output_tokens": 200}
        log = api.send("POST", f"/api/v1/logs/{id}/correct", corrected)
        id = log["replacement"]["log_id"]
        assert amounts(gateway) == (0, reserved)

    api.send("POST", f"/api/v1/logs/{id}/void", {"reason": "a test call"})
    assert amounts(gateway) == (0, 0)


def test_an_unpriced_call_costs_its_price_once_that_is_known(gateway, unpriced, api):
    price = {"provider": "openai", "model": "unheard-of", "valid_from": "2020-01-01T00:00:00Z"}
    api.send("POST", "/api/v1/prices", {**price, "prices": {"input": 0.15, "output": 0.6}})
    call_command("repricelogs", "--from", "2020-01-01")
    # 1000 * 0.15 + 200 * 0.60, per million
    assert amounts(gateway) == (Decimal("0.00027"), 0)
    assert not Call.objects.exists()


def test_an_unpriced_call_of_a_token_without_a_budget_leaves_nothing(gateway, mock, api):
    mock.script = reply(chat(1000, 200, model="unheard-of"))
    gateway.chat()
    assert (gateway.row.cost, Call.objects.count()) == (None, 0)
    corrected = {"reason": "the provider's bill", "model": "gpt-4o-mini"}
    api.send("POST", f"/api/v1/logs/{gateway.row.id}/correct", corrected)
    assert amounts(gateway) == (Decimal("0.00027"), 0)


def test_the_limit_of_the_projects_tier_holds_here_too(gateway, mock, api):
    """One bucket for the project, whichever way its requests come in."""
    mock.script = reply(chat())
    tier = Tier.objects.create(name="tiny", requests_per_minute=3, logs_per_month=1000)
    Project.objects.filter(id=gateway.project.id).update(tier=tier)
    gateway.use()

    answers = [gateway.chat() for _ in range(2)]
    api.send("GET", "/api/v1/logs")
    refused = gateway.chat()

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].headers["X-RateLimit-Limit"] == "3"
    if refused.status_code == 200:  # the database's clock has begun another minute
        return
    assert (refused.status_code, len(mock.requests)) == (429, 2)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "x-should-retry" not in refused.headers
    assert set(refused.json()["error"]) == {"message", "type", "param", "code"}


def test_the_projects_limit_is_not_mixed_with_the_upstreams(gateway, mock):
    """One value under each name; the upstream's limits under other names stay."""
    limits = {"X_RateLimit_Limit": "100", "X_RateLimit_Remaining": "99", "X_RateLimit_Reset": "1"}
    mock.script = reply(chat(), x_ratelimit_limit_requests="7", **limits)
    shown = gateway.chat().headers
    assert (shown["X-RateLimit-Limit"], shown["X-RateLimit-Remaining"]) == ("100", "99")

    tier = Tier.objects.create(name="small", requests_per_minute=8, logs_per_month=1000)
    Project.objects.filter(id=gateway.project.id).update(tier=tier)
    shown = gateway.use().chat().headers
    assert (shown["X-RateLimit-Limit"], shown["X-RateLimit-Remaining"]) == ("8", "7")
    assert int(shown["X-RateLimit-Reset"]) % 60 == 0
    assert shown["x-ratelimit-limit-requests"] == "7"
