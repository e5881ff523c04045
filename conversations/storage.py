"""Storing conversations and messages: one statement for a request, whatever its size.

One statement is one round trip, one commit and one flush to disk; nothing is ever half
stored. PostgreSQL reads rows as JSON lists, for a fraction of what binding each column
costs here. The statement that inserts messages updates the counters first, which locks
the conversation's row: writers to one conversation take turns, and positions follow the
order of their commits.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Model
from django.db.models.functions import Greatest

from conversations import privacy, search
from conversations.models import Conversation, ConversationWords, Message
from core import ids, media
from core.database.group_commit import Execute, GroupWriter
from core.scoping import Caller
from templates_app.messages import ChatMessage, dollars

# The columns of a row by name. What is absent is null: PostgreSQL reads no more than it has to.
Row = dict[str, Any]


@dataclass(slots=True)
class Totals:
    """What messages add to the counters of their conversation. The cost is US dollars."""

    messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    last_at: datetime | None = None

    @classmethod
    def of(cls, messages: Iterable[Row]) -> "Totals":
        totals = cls()
        for message in messages:
            totals.messages += 1
            totals.input_tokens += message.get("input_tokens") or 0
            totals.output_tokens += message.get("output_tokens") or 0
            if message.get("cost") is not None:
                totals.cost += message["cost"]
            if totals.last_at is None or message["timestamp"] > totals.last_at:
                totals.last_at = message["timestamp"]
        return totals


def message_rows(messages: Sequence[ChatMessage], level: str, at: datetime) -> list[Row]:
    """Return the rows of messages of one moment, at privacy level `full` or `metadata`.

    Each follows the one before it; the first has no parent yet.
    """
    rows = [
        _message_row(message, level, at, id)
        for message, id in zip(messages, ids.several(at, len(messages)), strict=True)
    ]
    for before, row in pairwise(rows):
        row["parent_id"] = before["id"]
    return rows


# Members of a message that its row has as they were sent.
_AS_SENT = (
    "role",
    "name",
    "message_id",
    "tool_calls",
    "tool_call_id",
    "tool_results",
    "input_tokens",
    "output_tokens",
    "token_count",
)


def _message_row(message: ChatMessage, level: str, at: datetime, id: UUID) -> Row:
    members = message.__dict__
    row = {name: value for name in _AS_SENT if (value := members[name]) is not None}
    row["id"], row["timestamp"] = id, at
    row["metadata"] = metadata = members["metadata"] or {}
    if (cost := dollars(metadata.get("cost"))) is not None:
        row["cost"] = cost
    content = members["content"]
    if content is not None:
        row["content" if isinstance(content, str) else "content_parts"] = content
        if (content_hash := privacy.content_hash(content)) is not None:
            row["content_hash"] = content_hash
    if message.__pydantic_extra__ and (extra := message.extra()):
        row["extra"] = extra
    return row if level == privacy.FULL else privacy.without_content(row)


def _columns(model: type[Model], *, without: Sequence[str] = ()) -> dict[str, str]:
    """Return the columns of a model's table with their PostgreSQL types."""
    types = {field.column: field.db_type(connection) for field in model._meta.concrete_fields}
    return {column: type for column, type in types.items() if column not in without}


def _records(parameter: str, columns: dict[str, str]) -> str:
    typed = ", ".join(f"{name} {type}" for name, type in columns.items())
    return f"json_to_recordset({parameter}::json) AS new({typed})"


def _values(columns: dict[str, str]) -> str:
    computed = {
        "metadata": "coalesce(metadata, '{}')",
        "words": "array_to_tsvector(string_to_array(words, ' '))",
    }
    return ", ".join(computed.get(name, name) for name in columns)


def _insert(table: str, columns: dict[str, str]) -> str:
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {_values(columns)} FROM {_records('%s', columns)}"


_WORDS = _columns(ConversationWords) | {"words": "text"}
_OWNER = ("conversation_id", "project_id", "api_key_id", "user_id", "position")
_CONTENT = _columns(Message, without=(*_OWNER, "parent_id"))

_INSERT_WORDS = _insert("conversation_words", _WORDS)
_INSERTS = (
    _insert("conversations", _columns(Conversation)),
    _INSERT_WORDS,
    _insert("messages", _columns(Message)),
)
# The row is locked before it is changed, so that its newest message is the one before these.
_UPDATE_COUNTERS = """
WITH locked AS (
    SELECT last_message_id FROM conversations
    WHERE id = %(conversation)s AND project_id = %(project)s FOR UPDATE
), updated AS (
    UPDATE conversations SET
        message_count = message_count + %(count)s,
        last_position = last_position + %(count)s,
        total_input_tokens = total_input_tokens + %(input_tokens)s,
        total_output_tokens = total_output_tokens + %(output_tokens)s,
        total_cost = total_cost + %(cost)s,
        updated_at = greatest(updated_at, %(last_at)s),
        last_message_at = greatest(last_message_at, %(last_at)s),
        last_message_id = %(last_id)s
    FROM locked WHERE id = %(conversation)s AND project_id = %(project)s
    RETURNING last_position - %(count)s AS position_before, locked.last_message_id AS id_before
)"""
_INDEX_WORDS = f""", indexed AS (
    INSERT INTO conversation_words ({", ".join(_WORDS)})
    SELECT {_values(_WORDS)} FROM updated, {_records("%(words)s", _WORDS)}
)"""
_INSERT_MESSAGES = f""", inserted AS (
INSERT INTO messages ({", ".join((*_OWNER, "parent_id", *_CONTENT))})
SELECT %(conversation)s, %(project)s, %(key)s, %(user)s, position_before + number,
    coalesce(parent_id, CASE WHEN number = 1 AND %(follows)s THEN id_before END),
    {_values(_CONTENT)}
FROM updated, ROWS FROM (
    json_to_recordset(%(messages)s::json)
        AS (parent_id uuid, {", ".join(f"{name} {type}" for name, type in _CONTENT.items())})
) WITH ORDINALITY AS new(parent_id, {", ".join(_CONTENT)}, number)
)
SELECT id_before FROM updated
"""


@dataclass(frozen=True, slots=True)
class PreparedConversation:
    """A conversation with its first messages, ready to be stored: its rows, and as JSON."""

    row: Row
    conversation: bytes
    words: bytes
    messages: bytes


def prepare(caller: Caller, columns: Row, messages: Sequence[Row] = ()) -> PreparedConversation:
    """Complete the rows of a conversation and of its first messages.

    `columns` has at least `id`, `created_at`, `model_alias` and `temperature`.
    """
    totals = Totals.of(messages)
    row = {
        "updated_at": columns["created_at"],
        **columns,
        **caller.columns(),
        "message_count": totals.messages,
        "last_position": totals.messages,
        "last_message_id": messages[-1]["id"] if messages else None,
        "total_input_tokens": totals.input_tokens,
        "total_output_tokens": totals.output_tokens,
        "total_cost": totals.cost,
        "last_message_at": totals.last_at,
    }
    owner = {"conversation_id": row["id"], **caller.columns()}
    placed = [
        {**message, **owner, "position": position}
        for position, message in enumerate(messages, start=1)
    ]
    place = {"conversation_id": row["id"], "project_id": caller.project_id}
    words = [
        *_title_words(row.get("title"), place, row["created_at"]),
        *_message_words(messages, place),
    ]
    return PreparedConversation(
        row, media.dumps(row), media.dumps(words)[1:-1], media.dumps(placed)[1:-1]
    )


def insert(cursor, new: PreparedConversation) -> None:
    """Store the conversation, on Django's cursor: inside a transaction of the caller's."""
    cursor.execute(*_insert_statement([new]))


async def _insert_all(execute: Execute, conversations: list[PreparedConversation]) -> Sequence:
    await execute(*_insert_statement(conversations, on_conflict="ON CONFLICT DO NOTHING"))
    return [None] * len(conversations)


# Stores conversations of many requests in one commit.
writer = GroupWriter(_insert_all)


def _insert_statement(
    conversations: Sequence[PreparedConversation], *, on_conflict: str = ""
) -> tuple[str, list[str]]:
    """Return the statement that stores the conversations, and its parameters.

    Most conversations begin without messages, many without words: a part that
    inserts nothing costs as much as one that inserts a row.
    """
    lists = zip(
        *((new.conversation, new.words, new.messages) for new in conversations), strict=True
    )
    parts = [
        (f"{insert} {on_conflict}", b",".join(filter(None, items)))
        for insert, items in zip(_INSERTS, lists, strict=True)
        if any(items)
    ]
    *others, last = (sql for sql, _ in parts)
    first = ", ".join(f"part_{number} AS ({sql})" for number, sql in enumerate(others))
    statement = f"WITH {first} {last}" if first else last
    return statement, [f"[{items.decode()}]" for _, items in parts]


def append(
    cursor,
    caller: Caller,
    conversation_id: UUID,
    messages: Sequence[Row],
    *,
    follows: bool = True,
) -> bool:
    """Store at least one message at the conversation's end; False if the caller has no such.

    A first message without a parent follows the newest stored one, unless `follows` is
    false. `cursor` is Django's or one of `pooled_cursor`.
    """
    totals = Totals.of(messages)
    owner = {"conversation_id": conversation_id, "project_id": caller.project_id}
    words = list(_message_words(messages, owner))
    cursor.execute(
        _UPDATE_COUNTERS + (_INDEX_WORDS if words else "") + _INSERT_MESSAGES,
        {
            "conversation": conversation_id,
            "project": caller.project_id,
            "key": caller.api_key_id,
            "user": caller.user_id,
            "count": totals.messages,
            "input_tokens": totals.input_tokens,
            "output_tokens": totals.output_tokens,
            "cost": totals.cost,
            "last_at": totals.last_at,
            "last_id": messages[-1]["id"],
            "follows": follows,
            "words": media.dumps(words).decode(),
            "messages": media.dumps(messages).decode(),
        },
    )
    updated = cursor.fetchone()
    if updated is None:
        return False
    if follows and messages[0].get("parent_id") is None:
        messages[0]["parent_id"] = updated[0]  # known only now
    return True


def change(cursor, caller: Caller, conversation_id: UUID, changes: Row) -> None:
    """Change columns of the conversation, and its words when the title is among them.

    For use inside a transaction. Another project's conversation stays as it is.
    """
    own = Conversation.objects.for_caller(caller).filter(id=conversation_id)
    now = datetime.now(UTC)
    if not changes or not own.update(**changes, updated_at=Greatest("updated_at", now)):
        return
    if "title" in changes:
        words = ConversationWords.objects.for_caller(caller)
        words.filter(conversation_id=conversation_id, is_title=True).delete()
        owner = {"conversation_id": conversation_id, "project_id": caller.project_id}
        new = list(_title_words(changes["title"], owner, now))
        cursor.execute(_INSERT_WORDS, [media.dumps(new).decode()])


def _title_words(title: str | None, owner: Row, at: datetime) -> Iterator[Row]:
    for text in search.index_texts([title or ""]):
        yield {**owner, "id": ids.uuid7(at), "is_title": True, "words": text}


def _message_words(messages: Sequence[Row], owner: Row) -> Iterator[Row]:
    """Yield the words of messages, one row for all of a moment: they expire together."""
    by_moment: dict[datetime, list[Row]] = {}
    for message in messages:
        by_moment.setdefault(message["timestamp"], []).append(message)
    for at, rows in by_moment.items():
        texts = (
            text for row in rows for text in texts_of(row.get("content"), row.get("content_parts"))
        )
        for words in search.index_texts(texts):
            yield {**owner, "id": ids.uuid7(at), "is_title": False, "words": words}


def texts_of(content: str | None, content_parts: list | dict | None) -> Iterator[str]:
    """Yield the texts of a message: its own, or those of its parts. Never an image's data."""
    if content is not None:
        yield content
    for part in [content_parts] if isinstance(content_parts, dict) else content_parts or []:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
