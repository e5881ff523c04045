"""What an upstream's own tools have used is billed beside the usage, and stated beside it.

Source: OpenAI's API reference, `tool_usage` of a response.
"""

from decimal import Decimal

import pytest

from accounts import audit
from registry_proxy import custom_prices
from registry_proxy.models import CustomPrice
from tests.gateway.conftest import counts
from tests.gateway.upstream import event, in_turn, reply, stream

USAGE = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}
NO_PICTURES = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
SEARCHED = {"image_gen": NO_PICTURES, "web_search": {"num_requests": 3}}
ANSWER = {"id": "resp_1", "object": "response", "model": "gpt-5-mini", "status": "completed"}
SENT = {"model": "gpt-5-mini", "input": "x", "tools": [{"type": "web_search"}]}


def answer(tool_usage) -> dict:
    return {**ANSWER, "tool_usage": tool_usage, "usage": USAGE}


def units(gateway) -> dict:
    return (gateway.row.units_and_modifiers or {}).get("units", {})


@pytest.fixture
def priced(gateway):
    prices = {"web_searches": "0.01", "image_tool_input_tokens": "0.000008"}
    prices |= {"image_tool_output_tokens": "0.000032"}  # units: each, not a million
    custom_prices.save(
        CustomPrice(provider="openai", model="gpt-5-mini", prices=prices),
        origin=audit.of_command("setprice"),
    )


@pytest.mark.parametrize("is_stream", [False, True])
def test_searches_are_counted_and_priced(gateway, mock, priced, is_stream):
    done = answer(SEARCHED)
    mock.script = reply(done)
    if is_stream:
        mock.script = stream(event("response.completed", {"response": done}))
    gateway.post("/v1/responses", {**SENT, "stream": is_stream})
    assert counts(gateway.row) == ("settled", 1000, 0, 200, 0)
    assert units(gateway) == {"web_searches": 3}
    # 1000 * 0.25 + 200 * 2.00, per million, and three searches at a cent
    assert gateway.row.cost == Decimal("0.03065")


def test_searches_without_a_price_are_no_cost_that_is_too_small(gateway, mock):
    mock.script = reply(answer(SEARCHED))
    gateway.post("/v1/responses", SENT)
    assert (gateway.row.cost, gateway.row.cost_source) == (None, "unpriced")
    assert units(gateway) == {"web_searches": 3}


def test_pictures_have_the_price_of_another_model(gateway, mock, priced):
    pictures = {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210}
    mock.script = reply(answer({"image_gen": pictures, "web_search": {"num_requests": 0}}))
    gateway.post("/v1/responses", {**SENT, "tools": [{"type": "image_generation"}]})
    assert units(gateway) == {"image_tool_input_tokens": 50, "image_tool_output_tokens": 4160}
    # 1000 * 0.25 + 200 * 2.00 + 50 * 8 + 4160 * 32, per million
    assert gateway.row.cost == Decimal("0.13417")


def test_a_poll_shows_the_searches_of_a_background_answer(gateway, mock, own_key, priced):
    own_key()
    queued = {**ANSWER, "status": "queued", "usage": None}
    mock.script = in_turn(reply(queued), reply(answer(SEARCHED)))
    gateway.post("/v1/responses", {**SENT, "background": True})
    gateway.get("/v1/responses/resp_1")
    assert units(gateway) == {"web_searches": 3}
    assert gateway.row.cost == Decimal("0.03065")


def test_the_searches_of_a_long_event_are_read(gateway, mock, monkeypatch, priced):
    monkeypatch.setattr("gateway.answer.event_stream._MAX_EVENT", 100_000)
    monkeypatch.setattr("gateway.answer.event_stream._MAX_PART", 100_000)
    picture = {"type": "image_generation_call", "result": "A" * 500_000}
    done = {"output": [picture], **answer(SEARCHED)}
    mock.script = stream(event("response.completed", {"response": done}))
    gateway.post("/v1/responses", {**SENT, "stream": True})
    assert counts(gateway.row) == ("settled", 1000, 0, 200, 0)
    assert units(gateway) == {"web_searches": 3}


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "x",
        {},
        {"web_search": None, "image_gen": []},
        {"web_search": {"num_requests": -1}},
        {"web_search": {"num_requests": "3"}},
        {"web_search": {"num_requests": True}},
        {"image_gen": NO_PICTURES, "web_search": {"num_requests": 0}},
    ],
    ids=str,
)
def test_what_counts_nothing_changes_nothing(gateway, mock, odd):
    mock.script = reply(answer(odd))
    gateway.post("/v1/responses", SENT)
    assert counts(gateway.row) == ("settled", 1000, 0, 200, 0)
    assert units(gateway) == {}
    # 1000 * 0.25 + 200 * 2.00, per million
    assert gateway.row.cost == Decimal("0.00065")
