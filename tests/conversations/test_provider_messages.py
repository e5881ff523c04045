"""A message is one thing, whatever route it comes by: nothing that a provider sent is lost."""

import json

import pytest

from tests import odd_bodies
from tests.conversations.test_transfer import exported, line

MESSAGES = {
    "developer": {"role": "developer", "content": "Be brief."},
    "named user": {"role": "user", "content": "Hi", "name": "ada"},
    "tool calls without content": {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
        ],
    },
    "tool result": {"role": "tool", "content": "4", "tool_call_id": "c1"},
    "function call": {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "add", "arguments": '{"a": 1}'},
    },
    "function result": {"role": "function", "content": "4", "name": "add"},
    "refusal": {"role": "assistant", "content": None, "refusal": "No.", "annotations": []},
    "audio": {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
    "reasoning": {
        "role": "assistant",
        "content": "4",
        "reasoning_content": "2 + 2",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAA"}],
    },
    "thinking blocks": {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "tool_use", "id": "tu", "name": "add", "input": {"a": 1}},
        ],
    },
    "tool result blocks": {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "tu", "content": [], "is_error": False}],
    },
    "cache mark": {
        "role": "user",
        "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}],
    },
    "thought signature": {
        "role": "assistant",
        "content": "x",
        "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": "CpA"}],
    },
    "empty text": {"role": "assistant", "content": "", "tool_calls": []},
    "null extras": {"role": "assistant", "content": "x", "refusal": None, "audio": None},
    "metadata": {"role": "user", "content": "x", "metadata": {"a": [1, None]}, "token_count": 4},
}
OURS = {
    "id",
    "conversation_id",
    "parent_id",
    "timestamp",
    "content_hash",
    "receipt_id",
}


def begin(api) -> str:
    return f"/conversations/{api.send('POST', '/conversations', {})['id']}"


def by_single(api, message) -> str:
    path = begin(api)
    api.send("POST", f"{path}/messages", message)
    return path


def by_batch(api, message) -> str:
    path = begin(api)
    api.send("POST", f"{path}/messages/batch", {"messages": [message]})
    return path


def by_bare_list(api, message) -> str:
    path = begin(api)
    api.send("POST", f"/api/v1{path}/messages/batch/", [message])
    return path


def by_log(api, message) -> str:
    numbers = {"provider": "p", "model": "m"}
    body = {"messages": [message], "response": {}, "metadata": numbers}
    return f"/conversations/{api.send('POST', '/conversations/log', body)['conversation_id']}"


def by_import(api, message) -> str:
    at = {"timestamp": "2026-01-05T10:00:00Z"}
    api.send("POST", "/conversations/import", line(messages=[{**message, **at}]))
    return f"/conversations/{json.loads(line())['id']}"


def by_template(api, message) -> str:
    made = api.send("POST", "/api/v1/templates", {"name": "t", "messages": [message]})
    begun = api.send("POST", "/conversations", {"template_id": made["id"]})
    return f"/conversations/{begun['id']}"


ROUTES = [by_single, by_batch, by_bare_list, by_log, by_import, by_template]


def first_message(api, path: str) -> dict:
    message = api.read(path)["messages"][0]
    assert message == api.read(f"{path}/messages")[0]
    assert message == json.loads(exported(api, f"{path}/export"))["messages"][0]
    return {name: value for name, value in message.items() if name not in OURS}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_every_route_stores_the_same_message(api, message):
    stored = [first_message(api, route(api, message)) for route in ROUTES]
    assert all(other == stored[0] for other in stored)
    assert {name: stored[0][name] for name in message} == message
    added = stored[0].keys() - message.keys()
    assert all(stored[0][name] in (None, {}) for name in added - {"token_count"})


@pytest.mark.parametrize("again", ROUTES)
@pytest.mark.parametrize("name", ["tool calls without content", "reasoning", "thinking blocks"])
def test_message_that_was_read_can_be_sent_as_it_is(api, name, again):
    path = by_single(api, MESSAGES[name])
    [message] = api.read(f"{path}/messages")
    copy = again(api, message)
    assert first_message(api, copy) == first_message(api, path)


def test_whole_conversation_is_copied_by_any_route(api):
    path = begin(api)
    api.send("POST", f"{path}/messages/batch", [*MESSAGES.values()])
    messages = api.read(f"{path}/messages")
    by_batch_copy, one_by_one = begin(api), begin(api)
    api.send("POST", f"{by_batch_copy}/messages/batch", messages)
    for message in messages:
        api.send("POST", f"{one_by_one}/messages", message)
    for copy in (by_batch_copy, one_by_one):
        copies = api.read(f"{copy}/messages")
        without = [{k: v for k, v in m.items() if k not in OURS} for m in messages]
        assert [{k: v for k, v in m.items() if k not in OURS} for m in copies] == without
        ids = [message["id"] for message in copies]
        assert [message["parent_id"] for message in copies] == [None, *ids[:-1]]


@pytest.mark.parametrize("value", ["", "x"])
def test_template_cannot_make_ids_empty_or_equal(api, value):
    messages = [{"role": "user", "message_id": "{{a}}"}, {"role": "user", "message_id": "{{b}}"}]
    made = api.send(
        "POST",
        "/api/v1/templates",
        {"name": "t", "variables": {"a": "x", "b": None}, "messages": messages},
    )
    body = {"template_id": made["id"], "values": {"b": value}}
    issue = api.send("POST", "/conversations", body, expect=422)["detail"][0]
    assert issue["loc"][:2] == ["body", "values"]
    assert api.read("/conversations") == []
    assert api.read(f"/api/v1/templates/{made['id']}")["usage_count"] == 0


def test_parents_of_elsewhere_are_not_taken_over(api):
    elsewhere = "59d80ca7-0000-4000-8000-000000000000"
    for route in (by_log, by_template, by_import):
        path = route(api, {"role": "user", "content": "x", "parent_id": elsewhere})
        assert api.read(path)["messages"][0]["parent_id"] is None


def test_answer_of_a_call_keeps_what_the_provider_added(api):
    response = {
        "content": None,
        "tool_calls": [{"id": "c1"}],
        "refusal": None,
        "reasoning_content": "because",
        "thinking_blocks": [{"signature": "s"}],
        "id": "chatcmpl-1",
    }
    body = {"messages": [], "response": response, "metadata": {"provider": "p", "model": "m"}}
    reply = api.send("POST", "/conversations/log", body)
    [answer] = api.read(f"/conversations/{reply['conversation_id']}")["messages"]
    assert answer["id"] == reply["message_id"]
    sent = {name: value for name, value in response.items() if name != "id"}
    assert {name: answer[name] for name in sent} == sent


def test_level_metadata_hides_what_the_provider_added(api, settings):
    settings.MESSAGE_LOGGING_LEVEL = "metadata"
    message = {"role": "assistant", "content": "x", "refusal": "secret", "parts": [{"t": "secret"}]}
    for route in ROUTES:
        stored = first_message(api, route(api, {**message, "index": 3, "name": "f"}))
        assert "secret" not in json.dumps(stored)
        assert (stored["index"], stored["name"], stored["refusal"]["size"]) == (3, "f", 8)


@pytest.mark.parametrize("digits", odd_bodies.EXACT.values(), ids=odd_bodies.EXACT.keys())
@pytest.mark.parametrize("member", ["metadata", "parts", "content"])
def test_numbers_inside_keep_all_digits(api, digits, member):
    path = begin(api)
    message = f'{{"role": "user", "{member}": {{"n": {digits}}}}}'
    expected = f'"{member}":{{"n":{digits}}}'
    for where, body in (("", message), ("/batch", f"[{message}]")):
        response = api.generic("POST", f"{path}/messages{where}", body, "application/json")
        assert expected in response.content.decode()
    replies = [api.get(path).content.decode(), api.get(f"{path}/messages").content.decode()]
    for text in (*replies, exported(api, f"{path}/export")):
        assert text.replace('": ', '":').count(expected) == 2
