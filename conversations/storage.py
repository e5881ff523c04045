"""Storing conversations and messages: one statement for a request, whatever its size.

One statement is one round trip, one commit and one flush to disk; nothing is ever half
stored. PostgreSQL reads rows as JSON lists, for a fraction of what binding each column
costs here. Messages for conversations that exist: conversations/appending.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models.functions import Greatest

from conversations import fingerprints, privacy
from conversations.models import Conversation, ConversationWords, Message
from conversations.word_splitting import index_texts
from core import ids, json_writer
from core.chat_messages import ChatMessage, parse_dollars
from core.database.columns import column_types, insert_sql
from core.database.group_commit import Execute
from core.database.raw_connection import pooled_cursor
from core.scoping import Caller

# The columns of a row by name. Absent ones are null, so that PostgreSQL reads less JSON.
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
    if (cost := parse_dollars(metadata.get("cost"))) is not None:
        row["cost"] = cost
    content = members["content"]
    if content is not None:
        row["content" if isinstance(content, str) else "content_parts"] = content
        if (content_hash := fingerprints.content_hash(content)) is not None:
            row["content_hash"] = content_hash
            plain_hash = fingerprints.content_hash(fingerprints.plain_content(content))
            if plain_hash != content_hash:
                row["plain_hash"] = plain_hash
    if message.__pydantic_extra__ and (extra := message.extra()):
        row["extra"] = extra
    return row if level == privacy.FULL else privacy.without_content(row)


def values_of(columns: dict[str, str]) -> str:
    """Return the SQL of the values of these columns, as they are stored."""
    computed = {
        "metadata": "coalesce(metadata, '{}')",
        "words": "array_to_tsvector(string_to_array(words, ' '))",
    }
    return ", ".join(computed.get(name, name) for name in columns)


def _insert(table: str, columns: dict[str, str]) -> str:
    return insert_sql(table, columns, values=values_of(columns))


WORDS = column_types(ConversationWords) | {"words": "text"}
OWNER = ("conversation_id", "project_id", "api_key_id", "user_id", "position")
CONTENT = column_types(Message, without=(*OWNER, "parent_id"))

_INSERT_WORDS = _insert("conversation_words", WORDS)
_INSERTS = (
    _insert("conversations", column_types(Conversation)),
    _INSERT_WORDS,
    _insert("messages", column_types(Message)),
)


class Attachment(NamedTuple):
    """A row of another app that is stored with a conversation, or not at all.

    `sql` inserts a JSON list of such rows.
    """

    sql: str
    row: bytes


@dataclass(frozen=True, slots=True)
class PreparedConversation:
    """A conversation with its first messages, ready to be stored: its rows, and as JSON."""

    row: Row
    conversation: bytes
    words: bytes
    messages: bytes
    attached: Sequence[Attachment] = ()

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Yield what stores it: statements, and rows as items of their JSON lists."""
        rows = (self.conversation, self.words, self.messages)
        yield from zip(_INSERTS, rows, strict=True)
        yield from self.attached


def prepare(
    caller: Caller,
    columns: Row,
    messages: Sequence[Row] = (),
    *,
    attached: Sequence[Attachment] = (),
    deleted: int = 0,
) -> PreparedConversation:
    """Complete the rows of a conversation and of its first messages.

    `columns` has at least `id`, `created_at`, `model_alias` and `temperature`. `deleted` is
    how many messages there were before these.
    """
    totals = Totals.of(messages)
    row = {
        "updated_at": columns["created_at"],
        "last_message_at": totals.last_at,
        **columns,
        **caller.columns(),
        "message_count": totals.messages,
        "last_position": deleted + totals.messages,
        "last_message_id": messages[-1]["id"] if messages else None,
        "total_input_tokens": totals.input_tokens,
        "total_output_tokens": totals.output_tokens,
        "total_cost": totals.cost,
    }
    owner = {"conversation_id": row["id"], **caller.columns()}
    placed = [
        {**message, **owner, "position": position}
        for position, message in enumerate(messages, start=deleted + 1)
    ]
    place = {"conversation_id": row["id"], "project_id": caller.project_id}
    words = [
        *_title_words(row.get("title"), place, row["created_at"]),
        *message_words(messages, place),
    ]
    return PreparedConversation(
        row,
        json_writer.dumps(row),
        json_writer.dumps(words)[1:-1],
        json_writer.dumps(placed)[1:-1],
        attached,
    )


def attach(cursor, attached: Sequence[Attachment]) -> None:
    """Store rows of another app, inside a transaction of the caller's."""
    for sql, row in attached:
        cursor.execute(sql, [f"[{row.decode()}]"])


def insert(cursor, *conversations: PreparedConversation) -> None:
    """Store conversations, at least one, on Django's cursor or one of `pooled_cursor`."""
    cursor.execute(*_insert_statement(conversations))


def insert_now(new: PreparedConversation) -> None:
    """Store a conversation that is too large for a group."""
    with pooled_cursor() as cursor:
        insert(cursor, new)


async def insert_group(execute: Execute, conversations: list[PreparedConversation]) -> None:
    """Store the conversations of a group that are not stored yet."""
    await execute(*_insert_statement(conversations, on_conflict="ON CONFLICT DO NOTHING"))


def _insert_statement(
    conversations: Sequence[PreparedConversation], *, on_conflict: str = ""
) -> tuple[str, list[str]]:
    """Return the statement that stores the conversations, and its parameters.

    Most conversations begin without messages, many without words: a part that
    inserts nothing costs as much as one that inserts a row.
    """
    parts: dict[str, list[bytes]] = {}
    for new in conversations:
        for insert, rows in new.parts():
            if rows:
                parts.setdefault(f"{insert} {on_conflict}", []).append(rows)
    *others, last = parts
    first = ", ".join(f"part_{number} AS ({sql})" for number, sql in enumerate(others))
    statement = f"WITH {first} {last}" if first else last
    return statement, [f"[{b','.join(rows).decode()}]" for rows in parts.values()]


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
        cursor.execute(_INSERT_WORDS, [json_writer.dumps(new).decode()])


def _title_words(title: str | None, owner: Row, at: datetime) -> Iterator[Row]:
    for text in index_texts([title or ""]):
        yield {**owner, "id": ids.uuid7(at), "is_title": True, "words": text}


def message_words(messages: Sequence[Row], owner: Row) -> Iterator[Row]:
    """Yield the words of messages, one row for all of a moment: they expire together."""
    by_moment: dict[datetime, list[Row]] = {}
    for message in messages:
        by_moment.setdefault(message["timestamp"], []).append(message)
    for at, rows in by_moment.items():
        texts = (
            text for row in rows for text in texts_of(row.get("content"), row.get("content_parts"))
        )
        for words in index_texts(texts):
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
