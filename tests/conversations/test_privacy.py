"""Privacy levels: the stricter of server and request wins (contract, section 7.1)."""

from hashlib import sha256

import pytest
from django.db import connection

from conversations.models import Conversation, ConversationWords, Message
from tests.conversations.test_calls import CALL

SECRET = "sesame"
MESSAGE = {
    "role": "assistant",
    "content": f"the word is {SECRET}",
    "tool_calls": [{"name": SECRET}],
    "tool_results": [{"output": SECRET}],
    "metadata": {
        "cost": 0.5,
        "model_used": "m",
        "tool_calls": [{"arguments": SECRET}],
        "inner": [{"prompt": SECRET, "usage": {"input": 7}}],
    },
    "input_tokens": 7,
    "output_tokens": 3,
}
# RFC 8785 of {"name":"sesame"} and so on, by hand.
NAME = '{"name":"sesame"}'
OUTPUT = '{"output":"sesame"}'
ARGUMENTS = '[{"arguments":"sesame"}]'


def digest(canonical: str) -> dict:
    return {"sha256": sha256(canonical.encode()).hexdigest(), "size": len(canonical)}


def levels(settings, server):
    settings.MESSAGE_LOGGING_LEVEL = server


@pytest.fixture
def path(api):
    return f"/conversations/{api.send('POST', '/conversations', {})['id']}"


def everything_stored() -> str:
    """All columns of all our rows as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(row::text, '|') FROM (SELECT to_jsonb(m) AS row FROM messages m "
            "UNION ALL SELECT to_jsonb(c) FROM conversations c "
            "UNION ALL SELECT jsonb_build_array(words::text) FROM conversation_words) AS all_rows"
        )
        return cursor.fetchone()[0] or ""


@pytest.mark.parametrize(
    ("server", "requested"), [("metadata", "full"), ("full", "metadata"), ("metadata", "metadata")]
)
def test_metadata_level_keeps_hashes_and_sizes(api, path, settings, server, requested):
    """The older server stored the text when the request said `full` (B12)."""
    levels(settings, server)
    body = {"messages": [MESSAGE], "logging_level": requested}
    (stored,) = api.send("POST", f"{path}/messages/batch", body)
    assert stored["content"] is None
    assert stored["content_hash"] == sha256(MESSAGE["content"].encode()).hexdigest()
    assert stored["tool_calls"] == [digest(NAME)]
    assert stored["tool_results"] == [digest(OUTPUT)]
    assert stored["metadata"] == {
        "cost": 0.5,
        "model_used": "m",
        "tool_calls": digest(ARGUMENTS),
        "inner": [{"prompt": digest('"sesame"'), "usage": {"input": 7}}],
    }
    assert (stored["input_tokens"], stored["output_tokens"]) == (7, 3)
    assert api.read(f"{path}/messages") == [stored]
    assert SECRET not in everything_stored()
    assert not ConversationWords.objects.exists()


def test_metadata_level_holds_for_single_messages_and_calls(api, path, settings):
    levels(settings, "metadata")
    api.send("POST", f"{path}/messages", {**MESSAGE, "logging_level": "full"})
    call = {**CALL, "messages": [MESSAGE], "response": {**CALL["response"], "content": SECRET}}
    api.send("POST", "/conversations/log", call)
    assert Message.objects.count() == 3
    assert SECRET not in everything_stored()


@pytest.mark.parametrize(
    "name", ["reasoning_content", "refusal", "toolInput", "systemPrompt", "Tool-Calls", "question"]
)
def test_texts_in_metadata_are_digested_in_any_spelling(api, path, settings, name):
    levels(settings, "metadata")
    metadata = {"model": "m", "trace": {name: SECRET}}
    stored = api.send("POST", f"{path}/messages", {"role": "user", "metadata": metadata})
    assert stored["metadata"] == {"model": "m", "trace": {name: digest('"sesame"')}}
    assert SECRET not in everything_stored()


def test_something_that_only_looks_like_a_digest_is_digested(api, path, settings):
    levels(settings, "metadata")
    looks = {"sha256": SECRET * 10 + "0000", "size": 1}
    api.send("POST", f"{path}/messages", {"role": "user", "tool_calls": [looks]})
    assert SECRET not in everything_stored()


@pytest.mark.parametrize(("server", "requested"), [("full", "none"), ("metadata", "none")])
def test_level_none_of_a_request_stores_nothing(api, path, settings, server, requested):
    levels(settings, server)
    body = {"messages": [MESSAGE], "logging_level": requested}
    assert api.send("POST", f"{path}/messages/batch", body) == []
    assert api.read(path)["message_count"] == 0


def test_server_at_none_stores_nothing_anywhere(api, path, settings):
    """Contract 7.4 and 7.5; the older server left an empty conversation behind (B54)."""
    levels(settings, "none")
    body = {"messages": [MESSAGE], "logging_level": "full"}
    refused = api.send("POST", f"{path}/messages/batch", body, expect=400)
    assert refused == {"detail": "Message logging is disabled"}
    unstored = api.send("POST", f"{path}/messages", MESSAGE)
    assert (unstored["id"], unstored["content"], unstored["role"]) == (None, None, "assistant")
    reply = api.send("POST", "/conversations/log", CALL)
    assert reply == {"conversation_id": "", "message_id": "", "receipt": None}
    api.send("POST", "/conversations/import", "{}", expect=400)
    assert Conversation.objects.count() == 1
    assert SECRET not in everything_stored()
    unknown = "/conversations/59d80ca7-0000-4000-8000-000000000000/messages"
    api.send("POST", unknown, MESSAGE, expect=404)
