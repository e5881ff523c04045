"""Messages that arrive together are appended by one statement, and wait for nobody's lock."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection, transaction

from conversations import appending, services, storage, writer
from conversations.models import Conversation, Message
from conversations.schemas.messages import NewMessage
from core import bridge, ids
from core.database import group_commit
from core.scoping import Caller
from tests.client import ApiClient
from tests.threads import giving_back

pytestmark = pytest.mark.django_db(transaction=True)


def caller_of(api) -> Caller:
    return Caller(project_id=api.project.id, api_key_id=api.api_key_id)


@pytest.fixture
def conversations(api) -> list[UUID]:
    return [UUID(api.send("POST", "/conversations", {})["id"]) for _ in range(2)]


def addition(api, conversation_id: UUID, *texts: str, **options) -> appending.Addition:
    cost = {"cost": Decimal("0.5")}
    messages = [
        NewMessage(role="user", content=text, input_tokens=2, output_tokens=3, metadata=cost)
        for text in texts
    ]
    rows = storage.message_rows(messages, "full", datetime.now(UTC))
    return appending.prepare(caller_of(api), conversation_id, rows, **options)


def append_together(additions: list[appending.Addition]) -> list[bool]:
    async def together() -> list[bool]:
        return await asyncio.gather(*map(writer.append, additions))

    return bridge.run(together())


def stored(conversation_id: UUID) -> list[Message]:
    return list(Message.objects.filter(conversation_id=conversation_id).order_by("position"))


def test_a_group_appends_to_each_conversation_in_order(api, conversations, monkeypatch):
    sizes = []
    monkeypatch.setattr(group_commit, "_observers", [lambda size, seconds: sizes.append(size)])
    first, second = conversations
    append_together([addition(api, first, "before")])
    additions = [
        addition(api, conversation, f"{number}a", f"{number}b")
        for number in range(10)
        for conversation in (first, second)
    ]

    assert append_together(additions) == [True] * 20
    assert max(sizes) > 1
    for conversation, texts in ((first, ["before"]), (second, [])):
        messages = stored(conversation)
        texts += [f"{number}{part}" for number in range(10) for part in "ab"]
        assert [message.content for message in messages] == texts
        assert [message.position for message in messages] == [*range(1, len(texts) + 1)]
        parents = [None, *(message.id for message in messages[:-1])]
        assert [message.parent_id for message in messages] == parents
        row = Conversation.objects.get(id=conversation)
        assert (row.message_count, row.last_position) == (len(texts), len(texts))
        assert (row.total_input_tokens, row.total_output_tokens) == (2 * len(texts), 3 * len(texts))
        assert row.total_cost == Decimal("0.5") * len(texts)
        assert row.last_message_id == messages[-1].id
    # What is answered is what was stored.
    given = {row["id"]: row.get("parent_id") for each in additions for row in each.rows}
    assert given == {
        message.id: message.parent_id
        for conversation in conversations
        for message in stored(conversation)
        if message.content != "before"
    }


def test_only_what_has_no_conversation_is_refused(api, other_api, conversations):
    first, _ = conversations
    additions = [
        addition(api, first, "a"),
        addition(api, ids.uuid7(), "b"),
        addition(other_api, first, "c"),
        addition(api, first, "d", follows=False),
    ]

    assert append_together(additions) == [True, False, False, True]
    messages = stored(first)
    assert [message.content for message in messages] == ["a", "d"]
    assert [message.parent_id for message in messages] == [None, None]


def test_a_repeated_statement_appends_once(api, conversations):
    first, _ = conversations
    append_together([addition(api, first, "before")])
    again = addition(api, first, "a", "b")
    with connection.cursor() as cursor:
        outcomes = [appending.append(cursor, again) for _ in range(2)]

    assert outcomes == [True, True]
    assert [message.content for message in stored(first)] == ["before", "a", "b"]
    assert Conversation.objects.get(id=first).message_count == 3
    assert again.rows[0]["parent_id"] == stored(first)[0].id


def test_a_locked_conversation_holds_up_no_other(api, conversations):
    locked, free = conversations

    @giving_back
    def send(conversation: UUID, text: str) -> dict:
        body = {"role": "user", "content": text}
        return ApiClient(api.key).send("POST", f"/conversations/{conversation}/messages", body)

    with ThreadPoolExecutor(8) as pool:
        with transaction.atomic():
            services.lock_conversation(caller_of(api), locked)
            waiting = [pool.submit(send, locked, f"{number}") for number in range(3)]
            for number in range(3):
                pool.submit(send, free, f"{number}").result(30)
            assert not any(each.done() for each in waiting)
            assert len(stored(free)) == 3
        replies = [each.result(30) for each in waiting]

    messages = {str(message.id): message for message in stored(locked)}
    assert [message.position for message in messages.values()] == [1, 2, 3]
    for reply in replies:
        parent_id = messages[reply["id"]].parent_id
        assert reply["parent_id"] == (parent_id and str(parent_id))
