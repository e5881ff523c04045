"""`POST /conversations/log` into a conversation: what it holds is not stored again.

docs/http-contract/conversations.md, section "Logging a whole call".
"""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from conversations import retention
from conversations.models import Conversation, Message
from conversations.turns import Turn
from core.ids import uuid7
from tests.client import ApiClient
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

SYSTEM = {"role": "system", "content": "Be brief."}


def user(text):
    return {"role": "user", "content": text}


def answer(text, **members):
    return {"role": "assistant", "content": text, **members}


class Chat:
    """A client that sends the whole history with each call, each of which costs a dollar."""

    def __init__(self, api, *messages) -> None:
        self.api, self.id = api, None
        self.history = [*messages]

    def send(self, sent, response, **numbers) -> dict:
        numbers = {"provider": "p", "model": "m", "cost": 1, "input_tokens": 2, **numbers}
        if self.id:
            numbers["conversation_id"] = self.id
        response = {"content": response} if isinstance(response, str) else response
        body = {"messages": sent, "response": response, "metadata": numbers}
        reply = self.api.send("POST", "/conversations/log", body)
        self.id = reply["conversation_id"]
        return reply

    def turn(self, question, response) -> dict:
        self.history.append(user(question))
        reply = self.send(self.history, response)
        message = response if isinstance(response, dict) else {"content": response}
        self.history.append({"role": "assistant", **message})
        return reply

    @property
    def messages(self) -> list[dict]:
        return self.api.read(f"/conversations/{self.id}")["messages"]

    @property
    def texts(self) -> list:
        return [message["content"] for message in self.messages]

    @property
    def cost(self):
        return self.api.read(f"/conversations/{self.id}")["total_cost"]

    def parent_of(self, number: int):
        """Return the position of a message's parent in the list."""
        messages = self.messages
        ids = [message["id"] for message in messages]
        parent = messages[number]["parent_id"]
        return None if parent is None else ids.index(parent)


@pytest.fixture
def chat(api):
    chat = Chat(api, SYSTEM)
    chat.turn("1?", "one")
    chat.turn("2?", "two")
    return chat


STORED = ["Be brief.", "1?", "one", "2?", "two"]


def test_each_turn_adds_its_question_and_its_answer(chat):
    assert chat.texts == STORED
    assert [chat.parent_of(number) for number in range(5)] == [None, 0, 1, 2, 3]
    assert chat.cost == 2


def test_retried_turn_is_answered_and_not_stored(chat):
    last = chat.messages[-1]["id"]
    for _ in range(2):
        reply = chat.send(chat.history[:-1], "two")
        assert (reply["conversation_id"], reply["message_id"]) == (chat.id, last)
    assert (chat.texts, chat.cost) == (STORED, 2)


def test_retry_of_an_older_turn_is_not_stored(chat):
    reply = chat.send(chat.history[:2], "one")
    assert reply["message_id"] == chat.messages[2]["id"]
    assert (chat.texts, chat.cost) == (STORED, 2)


def test_regenerated_answer_is_a_branch(chat):
    reply = chat.send(chat.history[:-1], "zwei")
    assert chat.texts == [*STORED, "zwei"]
    assert (chat.parent_of(5), chat.cost) == (3, 3)
    assert chat.messages[-1]["id"] == reply["message_id"]
    assert chat.send(chat.history[:-1], "zwei")["message_id"] == reply["message_id"]
    chat.history[-1] = answer("zwei")
    chat.turn("3?", "three")
    assert chat.texts == [*STORED, "zwei", "3?", "three"]
    assert [chat.parent_of(6), chat.parent_of(7)] == [5, 6]


def test_either_branch_is_continued(chat):
    chat.send(chat.history[:-1], "zwei")
    chat.turn("3?", "three")
    assert chat.texts[6:] == ["3?", "three"]
    assert chat.parent_of(6) == 4


def test_changed_question_is_a_branch(chat):
    chat.send([*chat.history[:-2], user("two?")], "two")
    assert chat.texts == [*STORED, "two?", "two"]
    assert [chat.parent_of(5), chat.parent_of(6)] == [2, 5]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_other_system_prompt_stores_the_prompt_alone(chat, role):
    chat.history[0] = {"role": role, "content": "Be long."}
    chat.turn("3?", "three")
    assert chat.texts == [*STORED, "Be long.", "3?", "three"]
    assert [chat.parent_of(number) for number in (5, 6, 7)] == [4, 5, 6]
    chat.turn("4?", "four")
    assert chat.texts[8:] == ["4?", "four"]


def test_prompt_that_returns_is_not_stored_again(chat):
    for text, question in (("A", "3?"), ("Be brief.", "4?"), ("A", "5?")):
        chat.history[0] = {"role": "system", "content": text}
        chat.turn(question, question)
    assert chat.texts.count("A") == chat.texts.count("Be brief.") == 1


def test_history_without_its_prompt_is_known(chat):
    del chat.history[0]
    chat.turn("3?", "three")
    assert chat.texts == [*STORED, "3?", "three"]


def test_prompt_of_the_conversation_itself_is_known(api):
    chat = Chat(api, SYSTEM)
    chat.id = api.send("POST", "/conversations", {"system_prompt": "Be brief."})["id"]
    api.send("POST", f"/conversations/{chat.id}/messages/batch", [user("1?"), answer("one")])
    chat.history += [user("1?"), answer("one")]
    chat.turn("2?", "two")
    assert chat.texts == ["1?", "one", "2?", "two"]


@pytest.mark.parametrize("kept", [1, 2, 3, 4])
@pytest.mark.parametrize("prompt", [[], [SYSTEM]])
def test_history_that_was_cut_to_its_last_turns_is_known(chat, kept, prompt):
    sent = [*prompt, *chat.history[-kept:], user("3?")]
    chat.send(sent, "three")
    assert chat.texts == [*STORED, "3?", "three"]
    assert chat.parent_of(5) == 4
    chat.send(sent, "three")
    assert (len(chat.texts), chat.cost) == (7, 3)


def test_cut_history_of_equal_turns_continues_the_newest(api):
    chat = Chat(api)
    for number in range(4):
        chat.turn("more", str(number) if number % 2 else "same")
    chat.send([*chat.history[-2:], user("end")], "bye")
    assert chat.texts[8:] == ["end", "bye"]
    assert chat.parent_of(8) == 7


def test_only_what_is_new_may_be_sent(chat):
    chat.send([user("3?")], "three")
    chat.send([user("4?")], "four")
    assert chat.texts == [*STORED, "3?", "three", "4?", "four"]
    assert [chat.parent_of(number) for number in range(5, 9)] == [4, 5, 6, 7]


def test_question_that_was_asked_before_is_never_repeated_history(chat):
    """It may be a retry of the older turn or a new one: its answer is a branch there."""
    chat.send([user("1?")], "uno")
    assert chat.texts == [*STORED, "uno"]
    assert chat.parent_of(5) == 1


def test_changed_message_in_the_middle_does_not_repeat_the_rest(chat):
    chat.history[2] = answer("[shortened]")
    chat.turn("3?", "three")
    assert chat.texts == [*STORED, "[shortened]", "3?", "three"]
    assert [chat.parent_of(5), chat.parent_of(6)] == [1, 4]


def test_what_follows_in_another_branch_is_new_after_a_changed_message(chat):
    chat.send([*chat.history[:2], answer("eins"), user("3?")], "three")
    other = [user("3?"), answer("three"), user("4?")]
    chat.send([*chat.history[:3], user("two?"), *other], "four")
    branch = ["two?", "3?", "three", "4?", "four"]
    assert chat.texts == [*STORED, "eins", "3?", "three", *branch]
    assert [chat.parent_of(number) for number in range(8, 13)] == [2, 8, 9, 10, 11]


def test_old_question_after_an_unknown_message_is_asked_again(chat):
    chat.send([user("0?"), user("1?"), answer("eins"), user("3?")], "three")
    assert chat.texts == [*STORED, "0?", "1?", "eins", "3?", "three"]
    assert [chat.parent_of(number) for number in range(5, 10)] == [4, 5, 6, 7, 8]


def test_first_message_that_was_changed_does_not_repeat_the_rest(chat):
    chat.history[1] = user("[shortened]")
    chat.turn("3?", "three")
    assert chat.texts == [*STORED, "[shortened]", "3?", "three"]
    assert chat.parent_of(6) == 4


def expire(chat, numbers) -> None:
    """Let those messages of the chat be forty days old, and delete them."""
    now = datetime.now(UTC)
    ids = [message["id"] for message in chat.messages]
    for number in numbers:
        old = uuid7(now - timedelta(days=40))
        Message.objects.filter(id=ids[number]).update(id=old)
        Message.objects.filter(parent_id=ids[number]).update(parent_id=old)
        Conversation.objects.filter(last_message_id=ids[number]).update(last_message_id=old)
    assert sum(retention.prune(30, now=now)) == len(numbers)


def test_history_that_expired_here_is_not_stored_again(chat):
    expire(chat, [1, 2])
    chat.turn("3?", "three")
    assert chat.texts == ["Be brief.", "2?", "two", "3?", "three"]


def test_history_that_expired_here_altogether_is_not_stored_again(chat):
    expire(chat, range(5))
    chat.turn("3?", "three")
    chat.turn("4?", "four")
    assert chat.texts == ["Be brief.", "3?", "three", "4?", "four"]
    assert [chat.parent_of(number) for number in range(1, 5)] == [0, 1, 2, 3]


def test_new_messages_are_stored_where_everything_expired(chat):
    """Results of tools, and the beginning of an answer, come after the last answer."""
    expire(chat, range(5))
    chat.history += [user("3?"), answer(None, tool_calls=[{"id": "c"}])]
    result = {"role": "tool", "tool_call_id": "c", "content": "4"}
    chat.send([*chat.history, result, answer("It is")], " 4.")
    assert chat.texts == ["Be brief.", "4", "It is", " 4."]
    expire(chat, range(4))
    chat.send([user("5?"), answer("Five")], "!")
    assert chat.texts == ["5?", "Five", "!"]


def call(id, name="f", **members):
    function = {"name": name, "arguments": "{}"}
    return {"content": None, "tool_calls": [{"id": id, "function": function}], **members}


def test_another_tool_call_without_content_is_another_message(api):
    chat = Chat(api)
    chat.turn("go", call("c1"))
    chat.history.append({"role": "tool", "tool_call_id": "c1", "content": "4"})
    chat.send(chat.history, call("c2"))
    chat.history += [
        {"role": "assistant", **call("c2")},
        {"role": "tool", "tool_call_id": "c2", "content": "4"},
    ]
    chat.send(chat.history, "done")
    calls = [message["tool_calls"] and message["tool_calls"][0]["id"] for message in chat.messages]
    assert calls == [None, "c1", None, "c2", None, None]
    assert [message["tool_call_id"] for message in chat.messages] == [
        None,
        None,
        "c1",
        None,
        "c2",
        None,
    ]
    chat.send(chat.history[:1], call("c3"))
    assert (len(chat.messages), chat.parent_of(6)) == (7, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"content": None, "refusal": "No."},
        {"content": None, "audio": {"id": "a"}},
        {"content": ""},
        call("c1", name="g"),
        call("c1", reasoning_content="x"),
    ],
)
def test_answers_without_text_are_told_apart(api, other):
    chat = Chat(api)
    chat.turn("go", call("c1"))
    chat.send(chat.history[:1], other)
    assert (len(chat.messages), chat.parent_of(2), chat.cost) == (3, 0, 2)
    chat.send(chat.history[:1], other)
    assert len(chat.messages) == 3


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        (user("Hi"), user([{"type": "text", "text": "Hi"}])),
        (user([{"type": "text", "text": "Hi"}]), user("Hi")),
        (
            user([{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]),
            user([{"type": "text", "text": "Hi"}]),
        ),
        (answer("Hi", refusal=None, annotations=[]), answer("Hi")),
        (answer("Hi", reasoning_content="x"), answer("Hi")),
        ({**user("Hi"), "metadata": {"a": 1}}, user("Hi")),
        (answer(None, tool_calls=[{"id": "c"}]), answer("", tool_calls=[{"id": "c"}])),
        (
            answer(None, tool_calls=[{"index": 0, "id": "c"}]),
            answer(None, tool_calls=[{"id": "c"}]),
        ),
    ],
)
def test_same_message_in_another_form_is_known(api, stored, sent):
    chat = Chat(api)
    chat.send([stored, user("1?")], "one")
    chat.send([sent, user("1?"), answer("one"), user("2?")], "two")
    assert chat.texts[1:] == ["1?", "one", "2?", "two"]


@pytest.mark.parametrize("content", [[], ["a"], [5], [{"type": "text", "text": 5}]])
def test_content_of_no_known_form_is_known_again(chat, content):
    for _ in range(2):
        chat.send([*chat.history, user(content)], "three")
        assert chat.texts == [*STORED, content, "three"]
    chat.send([*chat.history, user("5")], "five")
    assert chat.texts[7:] == ["5", "five"]


def test_client_ids_decide_before_the_texts(api):
    chat = Chat(api)
    first = {**user("yes"), "message_id": "u1"}
    chat.send([first], {"content": "ok", "message_id": "a1"})
    chat.send([{**user("yes"), "message_id": "u2"}], {"content": "ok", "message_id": "a2"})
    assert [message["message_id"] for message in chat.messages] == ["u1", "a1", "u2", "a2"]
    edited = [{**user("yes, shortened"), "message_id": "u2"}]
    reply = chat.send(edited, {"content": "ok", "message_id": "a2"})
    assert (reply["message_id"], len(chat.messages), chat.cost) == (chat.messages[3]["id"], 4, 2)


def test_known_id_out_of_its_place_is_not_stored_again(api):
    chat = Chat(api)
    first, second = ({**user(text), "message_id": text} for text in ("u1", "u2"))
    chat.send([first, second], {"content": "ok", "message_id": "a1"})
    for sent in ([second, first], [user("new"), first], [first, user("new"), second]):
        chat.send(sent, "again")
    ids = [message["message_id"] for message in chat.messages if message["message_id"]]
    assert ids == ["u1", "u2", "a1"]


def test_answer_with_the_id_of_another_message_is_a_conflict(api):
    chat = Chat(api)
    chat.send([user("1?")], {"content": "one", "message_id": "a1"})
    body = {
        "messages": [user("2?")],
        "response": {"content": "two", "message_id": "a1"},
        "metadata": {"provider": "p", "model": "m", "conversation_id": chat.id},
    }
    api.send("POST", "/conversations/log", body, expect=409)
    assert chat.texts == ["1?", "one"]


def test_level_metadata_tells_messages_apart_by_their_hashes(api, settings):
    settings.MESSAGE_LOGGING_LEVEL = "metadata"
    chat = Chat(api, SYSTEM)
    chat.turn("1?", call("c1"))
    chat.history.append({"role": "tool", "tool_call_id": "c1", "content": "4"})
    chat.send(chat.history, "done")
    chat.send(chat.history, "done")
    chat.send(chat.history[:2], call("c2"))
    assert [message["role"] for message in chat.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "assistant",
    ]
    assert chat.parent_of(5) == 1


def test_four_equal_calls_at_once_are_stored_once(chat, api):
    sent = [*chat.history, user("3?")]

    def send():
        other = Chat(ApiClient(api.key))
        other.id = chat.id
        return other.send(sent, "three")["message_id"]

    assert len(set(at_once(*[send] * 4))) == 1
    assert (chat.texts, chat.cost) == ([*STORED, "3?", "three"], 3)


def test_four_answers_at_once_are_branches_of_one_question(chat, api):
    sent = [*chat.history, user("3?")]

    def send(text):
        other = Chat(ApiClient(api.key))
        other.id = chat.id
        return other.send(sent, text)

    at_once(*(partial(send, str(number)) for number in range(4)))
    assert chat.texts.count("3?") == 1
    assert sorted(chat.texts[6:]) == ["0", "1", "2", "3"]
    assert [chat.parent_of(number) for number in range(6, 10)] == [5] * 4
    assert chat.cost == 6


def test_long_histories_are_compared_quickly(api):
    """A chat of one repeated word, which fits everywhere."""
    chat = Chat(api)
    sent = [user("more") if number % 2 == 0 else answer("more") for number in range(3001)]
    chat.send(sent, "more")
    chat.send([*sent, answer("more"), user("end")], "bye")
    assert api.read(f"/conversations/{chat.id}")["message_count"] == 3004


def alike(number: int) -> list[dict]:
    return [answer("ok") if place % 2 else user("ok") for place in range(number)]


def steps(number: int, name: str) -> list[dict]:
    """Tool calls without a text, and their results, which are all alike."""
    pairs = [
        (
            answer(None, tool_calls=[{"id": f"{name}{place}"}]),
            {"role": "tool", "content": "ok", "tool_call_id": f"{name}{place}"},
        )
        for place in range(number // 2)
    ]
    return [message for pair in pairs for message in pair]


def prompts(number: int, name: str) -> list[dict]:
    return [{"role": "system", "content": f"{name}{place}"} for place in range(number)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        (alike(400), [*alike(400), user("x")] * 2),
        (alike(400), [*alike(49), user("x")] * 8),
        (steps(400, "a"), steps(400, "b")),
        (prompts(400, "a"), prompts(400, "b")),
    ],
    ids=["repeated", "interrupted", "steps", "prompts"],
)
def test_histories_of_equal_messages_are_compared_in_little_time(api, monkeypatch, stored, sent):
    """At most 50 candidates of each message are compared, not all that are equal."""
    compared = []
    is_sent_as = Turn.is_sent_as
    monkeypatch.setattr(Turn, "is_sent_as", lambda a, b: compared.append(1) or is_sent_as(a, b))
    chat = Chat(api, user("first"), *stored)
    chat.send(chat.history, "last")
    for text in ("new", "other"):
        chat.send([user(text), *sent], "end")
    assert len(compared) < 60 * (len(stored) + 2 * len(sent))
