"""Appending and reading messages (contract, sections 7.3 and 7.4)."""

from decimal import Decimal
from hashlib import sha256

import pytest

from conversations.models import Conversation, Message


@pytest.fixture
def path(api):
    return f"/conversations/{api.send('POST', '/conversations', {})['id']}"


def batch(api, path, *messages, **extra):
    return api.send("POST", f"{path}/messages/batch", {"messages": messages, **extra})


FULL = {
    "role": "assistant",
    "content": "Hi",
    "tool_calls": [{"id": "1"}],
    "tool_results": [{"a": 1}],
    "metadata": {"cost": 0.01},
    "input_tokens": 10,
    "output_tokens": 5,
}


def test_stored_message_is_read_as_it_was_answered(api, path):
    (stored,) = batch(api, path, {**FULL, "conversation_id": "ignored", "extra": 1})
    assert stored == {
        **FULL,
        "id": stored["id"],
        "conversation_id": path.split("/")[-1],
        "content_hash": sha256(b"Hi").hexdigest(),
        "token_count": 15,
        "receipt_id": None,
        "parent_id": None,
        "message_id": None,
        "name": None,
        "tool_call_id": None,
        "extra": 1,
        "timestamp": stored["timestamp"],
    }
    assert api.read(f"{path}/messages") == [stored]
    opened = api.read(path)
    assert opened["messages"] == [stored]
    assert opened["last_message_at"] == opened["updated_at"] == stored["timestamp"]


def test_counters_are_the_sums_of_the_messages(api, path):
    batch(api, path, FULL, {"role": "user", "content": "x", "metadata": {"cost": "0.000000000001"}})
    api.send("POST", f"{path}/messages", {"role": "tool", "input_tokens": 7, "metadata": None})
    opened = api.read(path)
    sums = ("message_count", "total_input_tokens", "total_output_tokens")
    assert [opened[name] for name in sums] == [3, 17, 5]
    assert Conversation.objects.get().total_cost == Decimal("0.010000000001")


def test_cost_beyond_a_hundred_dollars_is_counted(api, path):
    """The older server's totals overflowed at 100 (B26)."""
    batch(api, path, {"role": "user", "metadata": {"cost": 250.5}})
    assert api.read(path)["total_cost"] == 250.5


def test_single_message_is_the_route_that_only_the_client_knows(api, path):
    sent = {"role": "user", "content": "hello", "metadata": None, "token_count": 4}
    stored = api.send("POST", f"/api/v1{path}/messages/", sent)
    assert (stored["content"], stored["metadata"], stored["token_count"]) == ("hello", {}, 4)
    assert api.read(f"{path}/messages") == [stored]


@pytest.mark.parametrize(
    ("content", "canonical"),
    [
        ([{"type": "text", "text": "é"}], '[{"text":"é","type":"text"}]'),
        ({"b": 1, "a": [1.0]}, '{"a":[1],"b":1}'),
        ([{"n": 2**60}], '[{"n":1152921504606846976}]'),
    ],
)
def test_multimodal_content_is_kept_and_hashed_canonically(api, path, content, canonical):
    (stored,) = batch(api, path, {"role": "user", "content": content})
    assert stored["content"] == content
    assert stored["content_hash"] == sha256(canonical.encode()).hexdigest()
    assert api.read(f"{path}/messages") == [stored]


@pytest.mark.parametrize("content", [None, "", [], {}])
def test_empty_content_has_no_hash(api, path, content):
    (stored,) = batch(api, path, {"role": "user", "content": content})
    assert (stored["content"], stored["content_hash"]) == (content, None)
    assert api.read(path)["messages"] == [stored]


def test_bare_list_and_body_without_id_are_batches(api, path):
    one = {"role": "user", "content": "1"}
    assert len(api.send("POST", f"{path}/messages/batch", [one])) == 1
    assert batch(api, path, one, conversation_id="any")[0]["content"] == "1"
    assert batch(api, path) == []
    assert api.send("POST", f"{path}/messages/batch", []) == []
    assert api.read(path)["message_count"] == 2


def test_message_limit_gives_the_newest_in_order(api, path):
    """Contract decision O5."""
    batch(api, path, *({"role": "user", "content": str(n)} for n in range(5)))
    payload = api.read(path, {"message_limit": 2})["messages"]
    assert [message["content"] for message in payload] == ["3", "4"]
    assert api.read(path, {"include_messages": "false"})["messages"] == []
    page = api.read(f"{path}/messages", {"limit": 2, "offset": 1})
    assert [message["content"] for message in page] == ["1", "2"]


def test_messages_of_one_moment_keep_their_order(api, path):
    """The older server ordered by time alone (B56)."""
    sent = [{"role": "user", "content": str(n)} for n in range(30)]
    batch(api, path, *sent)
    assert len(set(Message.objects.values_list("timestamp", flat=True))) == 1
    read = [message["content"] for message in api.read(f"{path}/messages")]
    assert read == [message["content"] for message in sent]


@pytest.mark.slow
def test_thousands_of_messages_are_one_call(api, path):
    text = "word " * 40
    assert len(batch(api, path, *[{"role": "user", "content": text}] * 5000)) == 5000
    assert api.read(path, {"message_limit": 1})["message_count"] == 5000
