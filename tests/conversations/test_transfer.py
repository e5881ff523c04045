"""Export as NDJSON, and import of the same."""

import json

import pytest

from conversations.models import Conversation, Message
from tests.conversations.test_calls import CALL

AT = "2026-01-05T10:00:00.123456Z"


def line(**members) -> str:
    entry = {"id": "59d80ca7-0000-4000-8000-000000000001", "created_at": AT, **members}
    return json.dumps(entry) + "\n"


def imported(api, text) -> str:
    """Import the first conversation of a project; its id."""
    assert api.send("POST", "/conversations/import", text)["imported"] == 1
    (row,) = api.read("/conversations")
    return row["id"]


def exported(api, path="/conversations/export") -> str:
    response = api.get(path)
    assert (response.status_code, response["Content-Type"]) == (200, "application/x-ndjson")
    return response.getvalue().decode()


def opened(api) -> list[dict]:
    """All conversations as opened, without what an import makes anew."""
    result = []
    for row in api.read("/conversations"):
        conversation = api.read(f"/conversations/{row['id']}")
        messages = conversation["messages"]
        numbers = {message["id"]: number for number, message in enumerate(messages)}
        for message in messages:
            message["parent_id"] = numbers.get(message["parent_id"])
            del message["id"]
        result.append({**conversation, "api_key_id": None})
    return result


@pytest.fixture
def conversations(api):
    api.send("POST", "/conversations/log", CALL)
    made = api.send("POST", "/conversations", {"title": "ü", "project_id": "p"})
    parts = [{"type": "text", "text": "x"}]
    message = {"role": "user", "content": parts, "tool_calls": [{"a": [1.5]}]}
    api.send("POST", f"/conversations/{made['id']}/messages", message)
    return made["id"]


def test_export_imported_elsewhere_is_the_same(api, other_api, conversations):
    text = exported(api)
    before = opened(api)
    Conversation.objects.all().delete()
    Message.objects.all().delete()
    reply = other_api.send("POST", "/api/v1/conversations/import/", text)
    assert reply == {"imported": 2, "skipped": 0, "messages": 5}
    assert opened(other_api) == before
    assert exported(other_api).count("\n") == 2
    assert len(other_api.read("/conversations?q=brief")) == 1


def test_lines_hold_conversations_with_all_their_messages(api, conversations):
    rows = [json.loads(text) for text in exported(api).splitlines()]
    assert [len(row["messages"]) for row in rows] == [4, 1]
    one = json.loads(exported(api, f"/conversations/{conversations}/export"))
    assert one == rows[1] == api.read(f"/conversations/{conversations}")


def test_long_conversations_are_exported_whole(api, monkeypatch):
    from conversations import transfer

    monkeypatch.setattr(transfer, "MESSAGES_PER_READ", 3)
    monkeypatch.setattr(transfer, "CONVERSATIONS_PER_READ", 1)
    for _ in range(2):
        id = api.send("POST", "/conversations", {})["id"]
        batch = [{"role": "user", "content": str(n)} for n in range(7)]
        api.send("POST", f"/conversations/{id}/messages/batch", batch)
    texts = [
        [message["content"] for message in json.loads(row)["messages"]]
        for row in exported(api).splitlines()
    ]
    assert texts == [list("0123456")] * 2


def test_what_is_here_already_is_skipped(api, conversations):
    reply = api.send("POST", "/conversations/import", exported(api))
    assert reply == {"imported": 0, "skipped": 2, "messages": 0}
    assert Message.objects.count() == 5


def test_branches_stay_apart_after_their_first_message_expired(api, other_api):
    id = imported(api, line(messages=[{"role": "user", "content": "q", "timestamp": AT}]))
    [question] = api.read(f"/conversations/{id}/messages")
    for text in ("one", "two"):
        answer = {"role": "assistant", "content": text, "parent_id": question["id"]}
        api.send("POST", f"/conversations/{id}/messages", answer)
    api.send("POST", f"/conversations/{id}/messages", {"role": "user", "content": "2?"})
    assert api.send("DELETE", "/conversations/old-messages")["deleted_count"] == 1

    other_api.send("POST", "/conversations/import", exported(api))
    [row] = other_api.read("/conversations")
    one, two, last = other_api.read(f"/conversations/{row['id']}/messages")
    assert (one["content"], two["content"], last["content"]) == ("one", "two", "2?")
    assert (one["parent_id"], two["parent_id"], last["parent_id"]) == (None, None, two["id"])


@pytest.mark.parametrize("kept", [0, 1])
def test_what_expired_is_not_stored_again_where_the_chat_was_moved(api, other_api, kept):
    history = [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "one"}]
    old = [{**message, "timestamp": AT} for message in history[: 2 - kept]]
    id = imported(api, line(messages=old))
    api.send("POST", f"/conversations/{id}/messages/batch", history[2 - kept :])
    api.send("DELETE", "/conversations/old-messages")

    other_api.send("POST", "/conversations/import", exported(api))
    [before], [copy] = api.read("/conversations"), other_api.read("/conversations")
    for name in ("message_count", "updated_at", "last_message_at"):
        assert copy[name] == before[name]
    call = {
        "messages": [*history, {"role": "user", "content": "2?"}],
        "response": {"content": "two"},
        "metadata": {"provider": "p", "model": "m", "conversation_id": copy["id"]},
    }
    other_api.send("POST", "/conversations/log", call)
    messages = other_api.read(f"/conversations/{copy['id']}/messages")
    assert [message["content"] for message in messages] == [*["one"][:kept], "2?", "two"]


def test_messages_without_ids_keep_what_they_say_of_parents(api):
    message = {"role": "user", "timestamp": AT}
    first, second, third = message, {**message, "parent_id": None}, message
    id = imported(api, line(messages=[first, second, third]))
    stored = api.read(f"/conversations/{id}/messages")
    assert [one["parent_id"] for one in stored] == [None, None, stored[1]["id"]]


def test_id_taken_by_a_stranger_is_replaced(api, other_api, conversations):
    assert other_api.send("POST", "/conversations/import", exported(api))["imported"] == 2
    mine = {row["id"] for row in api.read("/conversations")}
    theirs = {row["id"] for row in other_api.read("/conversations")}
    assert len(mine | theirs) == 4
    again = other_api.send("POST", "/conversations/import", exported(api))
    assert again == {"imported": 0, "skipped": 2, "messages": 0}
    assert {row["id"] for row in other_api.read("/conversations")} == theirs


def test_many_conversations_are_stored_together(api, django_assert_max_num_queries):
    message = {"role": "user", "content": "x", "timestamp": AT}
    ids = [f"59d80ca7-0000-4000-8000-{number:012}" for number in range(50)]
    lines = [line(id=id, messages=[message] * 2) for id in [*ids, ids[0]]]
    with django_assert_max_num_queries(15):
        reply = api.send("POST", "/conversations/import", "".join(lines))
    assert reply == {"imported": 50, "skipped": 1, "messages": 100}
    assert {str(id) for id in Conversation.objects.values_list("id", flat=True)} == {*ids}


def test_groups_of_an_import_are_stored_all_or_none(api, monkeypatch):
    from conversations import transfer

    monkeypatch.setattr(transfer, "CONVERSATIONS_PER_STATEMENT", 2)
    ids = [f"59d80ca7-0000-4000-8000-{number:012}" for number in range(5)]
    lines = [line(id=id) for id in ids]
    bad = line(id=ids[4], messages=[{"role": "robot", "timestamp": AT}])
    api.send("POST", "/conversations/import", "".join([*lines[:4], bad]), expect=422)
    assert not Conversation.objects.exists()
    assert api.send("POST", "/conversations/import", "".join(lines))["imported"] == 5


def test_smallest_line_and_the_older_servers_rows_are_taken(api):
    message = {"role": "user", "content": "x", "timestamp": "2026-01-04T10:00:00"}
    id = imported(api, line(message_count=7, messages=[message], model_alias=None))
    result = api.read(f"/conversations/{id}")
    assert (result["id"], result["message_count"]) == ("59d80ca7-0000-4000-8000-000000000001", 1)
    assert result["messages"][0]["timestamp"] == result["created_at"] == "2026-01-04T10:00:00Z"


def test_a_byte_order_mark_is_no_part_of_the_first_line(api):
    """PowerShell writes one; imports of logs take it, too."""
    text = "\ufeff" + line(title="t").replace("\n", "\r\n")
    conversation = imported(api, text)
    assert api.read(f"/conversations/{conversation}")["title"] == "t"


def test_import_obeys_the_servers_level(api, settings):
    digest = "a" * 64
    settings.MESSAGE_LOGGING_LEVEL = "metadata"
    hidden = {"role": "user", "content": None, "content_hash": digest, "timestamp": AT}
    clear = {"role": "user", "content": "secret", "timestamp": AT}
    id = imported(api, line(messages=[hidden, clear]))
    first, second = api.read(f"/conversations/{id}")["messages"]
    assert (first["content_hash"], second["content"]) == (digest, None)


@pytest.mark.parametrize(
    ("text", "loc", "type"),
    [
        ("", ["body"], "missing"),
        ("{broken", ["body", 1], "json_invalid"),
        ("\n\r\n{broken", ["body", 3], "json_invalid"),
        ("[]", ["body", 1], "model_attributes_type"),
        ('{"id":"x","created_at":"2026-01-01"}', ["body", 1, "id"], "uuid_parsing"),
        (line(created_at="never"), ["body", 1, "created_at"], "datetime_parsing"),
        (line(created_at="0001-01-01T00:00:00Z"), ["body", 1, "created_at"], "datetime_parsing"),
        (line(messages=[{"role": "user"}]), ["body", 1, "messages", 0, "timestamp"], "missing"),
        (line(title="a\x00"), ["body", 1, "title"], "null_character"),
    ],
)
def test_bad_line_imports_nothing(api, text, loc, type):
    good = "" if not text else line(id="59d80ca7-0000-4000-8000-000000000002")
    error = api.send("POST", "/conversations/import", good + text, expect=422)["detail"][0]
    assert (error["loc"][: len(loc)], error["type"]) == (loc, type)
    assert not Conversation.objects.exists()
