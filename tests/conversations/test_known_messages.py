"""A message that is sent again is known, in whatever form, and at every privacy level."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from tests.conversations.test_history import Chat, answer, user
from tests.conversations.test_transfer import imported, line

pytestmark = pytest.mark.django_db(transaction=True)

CACHED = {"cache_control": {"type": "ephemeral"}}
TOOL_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "r"}


def part(text: str, **more) -> dict:
    return {"type": "text", "text": text, **more}


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


@pytest.fixture(params=["full", "metadata"])
def chat(api, settings, request):
    settings.MESSAGE_LOGGING_LEVEL = request.param
    return Chat(api)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ([part("q", **CACHED)], [part("q")]),
        ([part("q")], [part("q", **CACHED)]),
        ([part("q", **CACHED)], "q"),
        ("q", [part("q")]),
        ([part("q"), part("r", **CACHED)], [part("q"), part("r")]),
        ([part("q", citations=None, annotations=[])], [part("q")]),
        ([{"type": "input_text", "text": "q"}], "q"),
        (
            [{"type": "input_text", "text": "q"}, {"type": "output_text", "text": "r"}],
            [part("q"), part("r")],
        ),
        ([{"text": "q", "thoughtSignature": "c2ln"}], [{"text": "q"}]),
    ],
)
def test_another_form_of_the_same_content(chat, first, again):
    chat.send([user(first)], "one")
    chat.send([user(again), answer("one"), user("two?")], "two")
    assert [message["role"] for message in chat.messages] == ["user", "assistant"] * 2
    assert chat.cost == 2


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ({**user("q"), "name": "ann"}, {**user("q"), "name": "bob"}),
        ({**RESULT, "name": "f"}, {**RESULT, "name": "g"}),
        (RESULT, {**RESULT, "tool_call_id": "d"}),
    ],
)
def test_another_name_or_call_makes_another_message(chat, first, other):
    for sent in (first, first, other):
        chat.send([user("go"), answer("on"), sent], "done")
    roles = [message["role"] for message in chat.messages]
    assert roles == ["user", "assistant", *[first["role"], "assistant"] * 2]
    assert (chat.parent_of(4), chat.cost) == (1, 2)


THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
TOOL_USE = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
WITH_THOUGHTS = {
    "Anthropic": ([THINKING, part("one")], [part("one")]),
    "Anthropic as text": ([THINKING, part("one")], "one"),
    "redacted": ([{"type": "redacted_thinking", "data": "x"}, part("one")], "one"),
    "before a tool": ([THINKING, part("one"), TOOL_USE], [part("one"), TOOL_USE]),
    "an SDK's members": ([part("one"), {**TOOL_USE, "caller": None}], [part("one"), TOOL_USE]),
    "Gemini": ([{"text": "hm", "thought": True}, {"text": "one"}], [{"text": "one"}]),
    "OpenAI": ([{"type": "reasoning", "summary": []}, part("one")], "one"),
}


@pytest.mark.parametrize("way", WITH_THOUGHTS)
@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "sent"])
def test_thoughts_that_are_sent_only_once(chat, way, is_stored):
    """Many libraries leave them out of the history, as providers allow."""
    whole, rest = WITH_THOUGHTS[way]
    first, again = (whole, rest) if is_stored else (rest, whole)
    chat.send([user("q")], {"content": first})
    chat.send([user("q"), answer(again), user("two?")], "two")
    assert [message["role"] for message in chat.messages] == ["user", "assistant"] * 2
    assert chat.cost == 2


def test_other_thoughts_make_another_answer(api):
    chat = Chat(api)
    for text in ("hm", "hm", "well"):
        chat.send([user("q")], {"content": [{**THINKING, "thinking": text}, part("yes")]})
    assert [message["role"] for message in chat.messages] == ["user", "assistant", "assistant"]
    assert (chat.parent_of(2), chat.cost) == (0, 2)


def test_thoughts_alone_are_told_apart(chat):
    for text in ("hm", "well"):
        chat.send([user("q")], {"content": [{**THINKING, "thinking": text}]})
    assert [message["role"] for message in chat.messages] == ["user", "assistant", "assistant"]


def calling(arguments: str) -> dict:
    return {**TOOL_CALL, "function": {"name": "f", "arguments": arguments}}


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ('{"a":1,"b":["x"]}', '{"b": ["x"],\n "a": 1}'),
        ('{"a":"\u00e9"}', '{"a": "\\u00e9"}'),
        ('{"a":1.0,"b":1e2}', '{"a":1,"b":100}'),
        ("", "{}"),
        ("{}", " {} "),
    ],
)
def test_arguments_that_a_library_wrote_anew(chat, first, again):
    chat.send([user("q")], {"content": None, "tool_calls": [calling(first)]})
    sent = {"role": "assistant", "content": None, "tool_calls": [calling(again)]}
    chat.send([user("q"), sent, RESULT], "two")
    assert [message["role"] for message in chat.messages] == [
        *("user", "assistant", "tool", "assistant")
    ]


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ('{"a":1}', '{"a":2}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":0.1}', '{"a":0.1000000000000000055511151231257827}'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ("[1]", "[1 ]"),
        ('{"a":1', '{"a": 1'),
    ],
    ids=["number", "type", "digits", "repeated member", "list", "cut off"],
)
def test_other_arguments_make_another_call(chat, first, again):
    for arguments in (first, again):
        chat.send([user("q")], {"content": None, "tool_calls": [calling(arguments)]})
    assert [message["role"] for message in chat.messages] == ["user", "assistant", "assistant"]


def test_arguments_that_are_nested_deeply_are_known_by_their_text(chat):
    arguments = '{"a":' * 900 + "1" + "}" * 900  # Python 3.11 parses less, others more
    for _ in range(2):
        chat.send([user("q")], {"content": None, "tool_calls": [calling(arguments)]})
    assert [message["role"] for message in chat.messages] == ["user", "assistant"]


@pytest.mark.parametrize(
    "streamed",
    [
        {"tool_calls": [{"index": 0, **TOOL_CALL}]},
        {"tool_calls": [TOOL_CALL], "refusal": None, "annotations": []},
    ],
    ids=["places in a stream", "empty members"],
)
def test_what_answers_have_beside_their_content(chat, streamed):
    chat.send([user("q")], {"content": None, **streamed})
    sent = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
    chat.send([user("q"), sent, RESULT], "two")
    assert [message["role"] for message in chat.messages] == [
        *("user", "assistant", "tool", "assistant")
    ]


def test_a_long_text_whose_mark_moves(api):
    text = random.Random(1).randbytes(200_000).hex()
    chat = Chat(api)
    chat.send([user([part(text, **CACHED), part("q")])], "one")
    chat.send([user([part(text), part("q", **CACHED)]), answer("one"), user("two?")], "two")
    assert len(chat.messages) == 4


def test_an_instruction_with_the_id_of_another_message_is_known_by_it(api):
    chat = Chat(api)
    chat.send([{**user("q"), "message_id": "m1"}], "one")
    chat.send([{"role": "system", "content": "s", "message_id": "m1"}, user("other")], "two")
    assert [message["message_id"] for message in chat.messages].count("m1") == 1


def test_a_conversations_own_prompt_is_no_message_of_its_first_call(api):
    id = api.send("POST", "/conversations", {"system_prompt": "Be brief."})["id"]
    chat = Chat(api)
    chat.id = id
    chat.send([{"role": "system", "content": "Be brief."}, user("q")], "one")
    assert chat.texts == ["q", "one"]


@pytest.fixture
def expired(api):
    """A conversation whose first message was deleted by age."""
    messages = [
        {"role": "user", "content": "q1", "timestamp": ago(50)},
        {"role": "assistant", "content": "a1", "timestamp": ago(5)},
        {"role": "user", "content": "q2", "message_id": "k", "timestamp": ago(4)},
    ]
    id = imported(api, line(created_at=ago(50), messages=messages))
    api.send("DELETE", "/conversations/old-messages")
    return f"/conversations/{id}/messages"


def test_messages_read_after_their_parent_expired_can_be_sent_back(api, expired):
    messages = api.read(expired)
    assert [message["content"] for message in messages] == ["a1", "q2"]
    stored = api.send("POST", f"{expired}/batch", messages)
    assert stored[1]["id"] == messages[1]["id"]  # known by its message_id
    assert [message["content"] for message in api.read(expired)] == ["a1", "q2", "a1"]


def test_branches_of_a_message_that_expired_stay_apart_when_sent_back(api):
    messages = [{"role": "user", "content": "q", "timestamp": ago(50)}]
    path = f"/conversations/{imported(api, line(created_at=ago(50), messages=messages))}/messages"
    [question] = api.read(path)
    for text in ("one", "two"):
        api.send("POST", path, {**answer(text), "parent_id": question["id"]})
    api.send("DELETE", "/conversations/old-messages")
    branches = api.read(path)
    elsewhere = f"/conversations/{api.send('POST', '/conversations', {})['id']}/messages"
    greeting = api.send("POST", elsewhere, user("hello"))
    for target, before in ((elsewhere, greeting["id"]), (path, branches[-1]["id"])):
        copies = api.send("POST", f"{target}/batch", branches)
        assert [copy["parent_id"] for copy in copies] == [before, before]
    empty = f"/conversations/{api.send('POST', '/conversations', {})['id']}/messages"
    copies = api.send("POST", f"{empty}/batch", [*branches, user("next")])
    assert [copy["parent_id"] for copy in copies] == [None, None, copies[1]["id"]]


def test_what_follows_expired_messages_follows_none_of_them(api):
    messages = [{"role": "user", "content": "q", "timestamp": ago(50)}]
    path = f"/conversations/{imported(api, line(created_at=ago(50), messages=messages))}/messages"
    api.send("DELETE", "/conversations/old-messages")
    assert api.send("POST", path, user("new"))["parent_id"] is None


def test_parents_are_looked_up_together(api, django_assert_max_num_queries):
    path = f"/conversations/{api.send('POST', '/conversations', {})['id']}/messages"
    parent = api.send("POST", path, user("q"))["id"]
    batch = [{**answer(f"a{n}"), "parent_id": parent} for n in range(50)]
    with django_assert_max_num_queries(15):
        stored = api.send("POST", f"{path}/batch", batch)
    assert {message["parent_id"] for message in stored} == {parent}


def test_a_copy_names_its_conversation_in_any_letter_case(api):
    id = api.send("POST", "/conversations", {})["id"]
    path = f"/conversations/{id}/messages"
    first, _ = api.send("POST", f"{path}/batch", [user("a"), answer("b")])
    copy = {**answer("c"), "parent_id": first["id"], "conversation_id": id.upper()}
    assert api.send("POST", path, copy)["parent_id"] == first["id"]


def test_large_counts_of_a_logged_call_make_the_round_trip(api, other_api):
    chat = Chat(api)
    chat.send([user("q")], "a", input_tokens=3_000_000_000)
    lines = api.get(f"/conversations/{chat.id}/export").getvalue()
    other_api.send("POST", "/conversations/import", lines, content_type="application/x-ndjson")
    [copy] = other_api.read("/conversations")
    assert copy["total_input_tokens"] == 3_000_000_000
