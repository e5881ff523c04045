"""Paths of stored objects by which some servers answer: no way past limits or the ledger."""

from decimal import Decimal

import pytest

from tests.gateway.conftest import counts
from tests.gateway.upstream import DONE, chunk, content, event, reply, stream

USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
# 1000 * 0.15 + 500 * 0.60, per million
COST = Decimal("0.00045")
SAID = [{"role": "user", "content": "Hello"}]
ANSWERING = {
    "a conversation of Mistral": ("/v1/conversations", {"model": "gpt-4o-mini", "inputs": "Hello"}),
    "one with an agent": ("/v1/conversations", {"agent_id": "ag_1", "inputs": "Hello"}),
    "its next turn": ("/v1/conversations/conv_1", {"inputs": "And then?"}),
    "a turn without a text": ("/v1/conversations/conv_1", {}),
    "another turn": ("/v1/conversations/conv_1/restart", {"from_entry_id": "e", "inputs": "x"}),
    "an agent of Mistral": ("/v1/agents/completions", {"agent_id": "ag_1", "messages": SAID}),
    "several chats of vLLM": ("/v1/chat/completions/batch", {"messages": [SAID, SAID]}),
    "a deferred chat of xAI": (
        "/v1/chat/completions",
        {"model": "gpt-4o-mini", "messages": SAID, "deferred": True},
    ),
    "requests of a batch of xAI": ("/v1/batches/batch_1/requests", {"batch_requests": []}),
    "a job of Mistral": ("/v1/fine_tuning/jobs/job_1/start", {}),
}
UPDATES = [
    ("/v1/conversations", {}),
    ("/v1/conversations", {"items": SAID, "metadata": {"a": "b"}}),
    ("/v1/conversations/conv_1", {"metadata": {}}),
    ("/v1/conversations/conv_1/items", {"items": SAID}),
    ("/v1/chat/completions/chatcmpl-1", {"metadata": {"a": "b"}}),
    ("/v1/agents", {"name": "x", "model": "gpt-4o-mini"}),
]


@pytest.fixture(autouse=True)
def own(own_key):
    own_key()


@pytest.mark.parametrize("name", ANSWERING)
def test_c01_no_answer_gets_past_a_budget(gateway, mock, name):
    path, body = ANSWERING[name]
    refused = gateway.use(budget_usd=1_000_000, allowed_endpoints=["/v1/*"]).post(path, body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cost_unbounded")
    assert mock.requests == [] and gateway.rows == []


@pytest.mark.parametrize("name", ANSWERING)
def test_c06_no_answer_comes_of_a_model_that_nobody_checks(gateway, mock, name):
    """The agent, or what was said before, may name any model."""
    path, body = ANSWERING[name]
    refused = gateway.use(allowed_models=["gpt-4o-mini"]).post(path, body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert mock.requests == [] and gateway.rows == []


@pytest.mark.parametrize("name", ANSWERING)
def test_every_answer_has_a_row(gateway, mock, name):
    path, body = ANSWERING[name]
    mock.script = reply({"id": "x", "model": "gpt-4o-mini", "usage": USAGE})
    assert gateway.post(path, body).status_code == 200
    assert counts(gateway.row) == ("settled", 1000, 0, 500, 0)
    assert gateway.row.cost == COST


@pytest.mark.parametrize("name", ANSWERING)
def test_work_whose_cost_no_answer_states_is_not_free(gateway, mock, name):
    path, body = ANSWERING[name]
    mock.script = reply({"request_id": "abc"})
    assert gateway.post(path, body).status_code == 200
    assert (gateway.row.usage_status, gateway.row.cost) == ("unknown", None)


def test_a_conversation_that_streams_is_billed_by_its_last_event(gateway, mock):
    done = {"type": "conversation.response.done", "usage": USAGE}
    started = {"type": "conversation.response.started", "conversation_id": "conv_1"}
    sent = [
        event("conversation.response.started", started),
        event("conversation.response.done", done),
    ]
    mock.script = stream(*sent)
    body = {"model": "gpt-4o-mini", "inputs": "Hello", "stream": True}
    assert gateway.post("/v1/conversations", body).content == b"".join(sent)
    assert gateway.row.cost == COST


def test_an_agent_that_streams_is_billed_by_its_last_chunk(gateway, mock):
    last = {"model": "gpt-4o-mini", "choices": [{"finish_reason": "stop"}], "usage": USAGE}
    mock.script = stream(content("Hi"), chunk(last), DONE)
    body = {"agent_id": "ag_1", "messages": SAID, "stream": True}
    assert gateway.post("/v1/agents/completions", body).status_code == 200
    assert counts(gateway.row) == ("settled", 1000, 0, 500, 0)
    assert gateway.row.cost == COST


@pytest.mark.parametrize("path, body", UPDATES)
def test_a_change_of_an_object_stays_free(gateway, mock, path, body):
    mock.script = reply({"id": "x"})
    assert gateway.use(budget_usd=1).post(path, body).status_code == 200
    assert gateway.rows == [] and gateway.left == 1


def test_stored_answers_are_not_sent_anything_but_a_cancellation(gateway, mock):
    refused = gateway.post("/v1/responses/resp_1/again", {"input": "Hello"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (405, "method_not_allowed")
    assert mock.requests == []
