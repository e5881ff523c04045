"""`POST /conversations/log` (contract, section 7.5)."""

import json
from decimal import Decimal

import pytest

from conversations import calls
from conversations.models import Conversation, Message
from conversations.schemas.calls import LoggedCall
from core import bridge, parsing
from core.scoping import Caller

CALL = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"content": [{"type": "text", "text": "Who?"}], "timestamp": "x", "tool_call_id": None},
        {"role": "tool", "content": "42", "tool_call_id": "t1", "name": "add", "metadata": None},
    ],
    "response": {
        "content": "Me.",
        "tool_calls": [{"id": "t2"}],
        "model": "openai:gpt-4o-mini",
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 12},
    },
    "metadata": {
        "provider": "openai",
        "model": "gpt-4o-mini",
        "alias": "fast",
        "profile": "dev",
        "origin": "app",
        "cost": 0.25,
        "input_tokens": 12,
        "output_tokens": 3,
        "cached_tokens": 4,
        "unknown": 1,
    },
}


def log(api, **metadata):
    body = {**CALL, "metadata": {**CALL["metadata"], **metadata}}
    return api.send("POST", "/conversations/log", body)


def test_call_becomes_a_conversation(api):
    reply = api.send("POST", "/api/v1/conversations/log/", CALL)
    opened = api.read(f"/conversations/{reply['conversation_id']}")
    assert reply == {
        "conversation_id": opened["id"],
        "message_id": opened["messages"][-1]["id"],
        "receipt": None,
    }
    expected = {
        "title": "fast conversation",
        "model_alias": "fast",
        "origin": "app",
        "profile": "dev",
        "message_count": 4,
        "total_input_tokens": 12,
        "total_output_tokens": 3,
        "total_cost": 0.25,
    }
    assert {name: opened[name] for name in expected} == expected
    messages = opened["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "tool", "assistant"]
    assert messages[1]["content"] == [{"type": "text", "text": "Who?"}]
    assert [message["metadata"] for message in messages] == [
        {},
        {},
        {},
        {
            "model": "openai:gpt-4o-mini",
            "finish_reason": "stop",
            "usage": {"prompt_tokens": 12},
            "provider": "openai",
            "cost": 0.25,
            "cost_source": "caller",
            "cached_tokens": 4,
        },
    ]


def test_smallest_call_is_titled_by_its_model(api):
    body = {"messages": [], "response": {}, "metadata": {"provider": "p", "model": "m"}}
    opened = api.read(
        f"/conversations/{api.send('POST', '/conversations/log', body)['conversation_id']}"
    )
    assert (opened["title"], opened["model_alias"]) == ("m conversation", "p:m")
    assert (opened["origin"], opened["message_count"]) == ("llmring", 1)
    assert opened["messages"][0]["metadata"]["cost_source"] == "unpriced"


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ({"cost": 0.5, "input_cost": 1, "output_cost": 1}, "0.5"),
        ({"cost": None, "input_cost": 0.1, "output_cost": 0.2}, "0.3"),
        ({"cost": 0, "output_cost": 0.2}, "0.2"),
        ({"cost": 0}, "0"),
        ({"cost": 500}, "500"),
        ({"cost": "0.000000000001"}, "0.000000000001"),
    ],
)
def test_cost_is_the_callers_sum_or_parts(api, costs, expected):
    log(api, **costs)
    assert Conversation.objects.get().total_cost == Decimal(expected)


def test_missing_cost_comes_from_the_registry(api, monkeypatch):
    from registry_proxy import pricing

    asked = []

    def price(provider, model, tokens, **terms):
        asked.append((provider, model, tokens.input, tokens.output, tokens.cache_read))
        return pricing.Pricing(Decimal("0.00024"), 1)

    monkeypatch.setattr(pricing, "price", price)
    log(api, cost=None)
    assert asked == [("openai", "openai:gpt-4o-mini", 8, 3, 4)]
    assert Conversation.objects.get().total_cost == Decimal("0.00024")
    answer = Message.objects.get(role="assistant")
    assert (answer.metadata["cost"], answer.metadata["cost_source"]) == (0.00024, "registry")


@pytest.mark.parametrize(
    ("metadata", "usage", "counts", "cost"),
    [
        # 600 × 1 + 400 × 0.5 + 200 × 2, per million
        ({}, {"prompt_tokens": 1000, "completion_tokens": 200, "cached_tokens": 400}, 1000, 0.0012),
        ({}, {"inputTokens": 600, "cacheReadInputTokens": 400, "outputTokens": 200}, 1000, 0.0012),
        ({"cost": 0.5}, {"prompt_tokens": 1000, "completion_tokens": 200}, 1000, 0.5),
        ({}, {"seconds_of_waiting": 3}, None, 0),
        ({}, {"prompt_tokens": "many"}, None, 0),
        ({"input_tokens": 7}, {"prompt_tokens": 1000, "completion_tokens": 200}, 7, 0.000007),
        ({"usage_status": "failed"}, {"prompt_tokens": 9, "completion_tokens": 2}, None, 0),
    ],
)
def test_the_usage_of_the_response_counts_where_the_metadata_has_none(
    api, metadata, usage, counts, cost
):
    prices = {"input": 1, "cache_read": 0.5, "output": 2}
    api.send("POST", "/api/v1/prices", {"provider": "p", "model": "m", "prices": prices})
    body = {
        "messages": [],
        "response": {"content": "A", "usage": usage},
        "metadata": {"provider": "p", "model": "m", **metadata},
    }
    id = api.send("POST", "/conversations/log", body)["conversation_id"]
    (answer,) = api.read(f"/conversations/{id}")["messages"]
    assert answer["input_tokens"] == counts
    assert (answer["metadata"]["cost"], answer["metadata"]["usage"]) == (cost, usage)
    assert Conversation.objects.get().total_cost == Decimal(str(cost))


def test_roles_of_providers_own_libraries_are_kept(api):
    sent = [{"role": role, "content": "x"} for role in ("developer", "function", "model")]
    api.send("POST", "/conversations/log", {**CALL, "messages": sent})
    roles = Message.objects.order_by("position").values_list("role", flat=True)
    assert list(roles) == ["developer", "function", "assistant", "assistant"]


def test_named_conversation_is_continued_without_repeating_it(api):
    first = log(api)
    answer = {"role": "assistant", "content": "Me."}
    history = [*CALL["messages"], answer, {"role": "user", "content": "Really?"}]
    metadata = {**CALL["metadata"], "conversation_id": first["conversation_id"]}
    body = {"messages": history, "response": {"content": "Yes."}, "metadata": metadata}
    second = api.send("POST", "/conversations/log", body)
    assert second["conversation_id"] == first["conversation_id"]
    opened = api.read(f"/conversations/{first['conversation_id']}")
    texts = [message["content"] for message in opened["messages"]][3:]
    assert texts == ["Me.", "Really?", "Yes."]
    assert (opened["message_count"], opened["total_cost"]) == (6, 0.5)
    body["messages"] = [{"role": "user", "content": "Another."}]
    api.send("POST", "/conversations/log", body)
    assert api.read(f"/conversations/{first['conversation_id']}")["message_count"] == 8


@pytest.mark.parametrize(
    "named", ["", "nonsense", "59d80ca7-0000-4000-8000-000000000000", 5, ["a"], {"a": 1}]
)
def test_unknown_named_conversation_is_a_new_one(api, named):
    assert log(api, conversation_id=named)["conversation_id"] != named
    assert Conversation.objects.count() == 1


def test_strangers_conversation_is_not_continued(api, other_api):
    mine = log(api)["conversation_id"]
    assert log(other_api, conversation_id=mine)["conversation_id"] != mine
    assert api.read(f"/conversations/{mine}")["message_count"] == 4


def log_with(api, issue_receipt, **metadata) -> dict:
    """Log the call as a server does whose URL map binds `issue_receipt`."""
    body = json.dumps({**CALL, "metadata": {**CALL["metadata"], **metadata}})
    caller = Caller(api.project.id, api.api_key_id)
    call = parsing.parse(LoggedCall, body.encode())
    return bridge.run(calls.log_call(caller, call, issue_receipt))


def test_receipt_is_issued_for_the_finished_call(api):
    """Contract decision O8."""
    seen = []

    def issue(call, caller):
        seen.append((call, caller))
        return calls.Issued({"receipt_id": "rcpt_1", "signature": "s"}, ())

    reply = log_with(api, issue, input_cost=0.1, output_cost=0.15, lock_digest="d")
    assert reply["receipt"] == {"receipt_id": "rcpt_1", "signature": "s"}
    ((call, caller),) = seen
    assert caller.project_id == api.project.id
    assert (call.conversation_id, call.message_id) == (
        reply["conversation_id"],
        reply["message_id"],
    )
    assert (call.model, call.alias, call.lock_digest) == ("openai:gpt-4o-mini", "fast", "d")
    assert (call.cost, call.input_cost) == (Decimal("0.25"), Decimal("0.1"))
    assert Message.objects.get(role="assistant").receipt_id == "rcpt_1"


def test_failing_receipt_stores_nothing(api):
    def fail(call, caller):
        raise RuntimeError("no key")

    with pytest.raises(RuntimeError):
        log_with(api, fail)
    assert not Conversation.objects.exists()


def test_the_decorators_cached_tokens_stand_beside_the_input(api):
    """It copies Anthropic's counts here too; the client's other reports state a cost."""
    metadata = {
        "provider": "anthropic",
        "model": "claude-haiku-4-5",
        "input_tokens": 1000,
        "output_tokens": 20,
        "cached_tokens": 400,
    }

    def answer(**members) -> dict:
        body = {"messages": [], "response": {}, "metadata": {**metadata, **members}}
        id = api.send("POST", "/api/v1/conversations/log", body)["conversation_id"]
        return api.read(f"/api/v1/conversations/{id}")["messages"][0]

    assert answer(origin="llmring-decorator")["input_tokens"] == 1400
    assert answer(origin="llmring-decorator", cost=0.1)["input_tokens"] == 1000
    assert answer()["input_tokens"] == 1000


def test_totals_beyond_64_bits_are_counted(api):
    """A call may state 2^53-1 tokens: a thousand of them closed a conversation for ever."""
    id = log(api)["conversation_id"]
    Conversation.objects.update(total_input_tokens=2**63 - 1, total_output_tokens=2**63 - 1)
    most = 2**53 - 1
    numbers = {"conversation_id": id, "input_tokens": most, "output_tokens": most}
    metadata = {**CALL["metadata"], **numbers}
    answer = {"content": "Someone else."}
    api.send("POST", "/conversations/log", {**CALL, "response": answer, "metadata": metadata})
    opened = api.read(f"/conversations/{id}")
    total = 2**63 - 1 + most
    assert (opened["total_input_tokens"], opened["total_output_tokens"]) == (total, total)
    assert type(opened["total_input_tokens"]) is int


def test_of_many_faults_the_first_hundred_are_named(api):
    body = {**CALL, "messages": [{"role": "robot"}] * 5_000}
    faults = api.send("POST", "/conversations/log", body, expect=422)["detail"]
    assert [fault["loc"][2] for fault in faults] == [*range(100)]
