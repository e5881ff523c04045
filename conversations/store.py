"""Writing conversations and messages: one statement for a call, whatever its size.

One statement is one round trip, one commit and one flush to disk; nothing is
ever half stored. PostgreSQL reads rows as JSON lists, for a fraction of what
binding each column costs us. The counters are changed by the statement that
inserts, which locks the conversation's row first: writers to one conversation
take turns, and positions follow the order of their commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import orjson
from django.db.models.functions import Greatest

from conversations import documents, rows, words
from conversations.models import Conversation
from conversations.rows import Counts, NewConversation, NewMessage
from core import media
from core.database.group_commit import Execute, GroupWriter
from core.ids import uuid7
from core.scoping import Caller

_CONVERSATION = {
    "id": "uuid",
    "project_id": "uuid",
    "api_key_id": "uuid",
    "user_id": "uuid",
    "project_label": "text",
    "title": "text",
    "system_prompt": "text",
    "model_alias": "text",
    "temperature": "double precision",
    "max_tokens": "bigint",
    "origin": "text",
    "profile": "text",
    "template_id": "uuid",
    "message_count": "bigint",
    "last_position": "bigint",
    "total_input_tokens": "bigint",
    "total_output_tokens": "bigint",
    "total_cost": "numeric",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "last_message_at": "timestamptz",
}
_WORDS = {
    "id": "uuid",
    "conversation_id": "uuid",
    "project_id": "uuid",
    "is_title": "boolean",
    "words": "text",
}
_MESSAGE = {
    "id": "uuid",
    "role": "text",
    "content": "text",
    "content_parts": "jsonb",
    "content_hash": "text",
    "tool_calls": "jsonb",
    "tool_results": "jsonb",
    "metadata": "jsonb",
    "input_tokens": "bigint",
    "output_tokens": "bigint",
    "token_count": "bigint",
    "cost": "numeric",
    "timestamp": "timestamptz",
    "receipt_id": "text",
}
_PLACE = {
    "conversation_id": "uuid",
    "project_id": "uuid",
    "api_key_id": "uuid",
    "user_id": "uuid",
    "position": "bigint",
}


def _names(columns: dict[str, str]) -> str:
    return ", ".join(columns)


def _rows(parameter: str, columns: dict[str, str], alias: str) -> str:
    typed = ", ".join(f"{name} {type}" for name, type in columns.items())
    return f"json_to_recordset({parameter}::json) AS {alias}({typed})"


_VALUES = _names(_MESSAGE).replace("metadata", "coalesce(metadata, '{}')")
_TSVECTOR = "array_to_tsvector(string_to_array(words, ' '))"


def _inserting(table: str, columns: dict[str, str], values: str) -> str:
    source = _rows("%s", columns, "new")
    return f"INSERT INTO {table} ({_names(columns)}) SELECT {values} FROM {source}"


_INSERTS = (
    _inserting("conversations", _CONVERSATION, _names(_CONVERSATION)),
    _inserting(
        "conversation_words",
        _WORDS,
        f"id, conversation_id, project_id, is_title, {_TSVECTOR}",
    ),
    _inserting("messages", _PLACE | _MESSAGE, f"{_names(_PLACE)}, {_VALUES}"),
)

_LENGTHEN = """
WITH lengthened AS (
    UPDATE conversations SET
        message_count = message_count + %(count)s,
        last_position = last_position + %(count)s,
        total_input_tokens = total_input_tokens + %(input_tokens)s,
        total_output_tokens = total_output_tokens + %(output_tokens)s,
        total_cost = total_cost + %(cost)s,
        updated_at = greatest(updated_at, %(last_at)s),
        last_message_at = greatest(last_message_at, %(last_at)s)
    WHERE id = %(conversation)s AND project_id = %(project)s
    RETURNING id AS conversation_id, project_id, last_position - %(count)s AS position_before
)"""
_FIND = f""", found AS (
    INSERT INTO conversation_words ({_names(_WORDS)})
    SELECT new.id, lengthened.conversation_id, lengthened.project_id, is_title, {_TSVECTOR}
    FROM lengthened, {_rows("%(words)s", _WORDS, "new")}
)"""
_APPEND = f"""
INSERT INTO messages ({_names(_PLACE | _MESSAGE)})
SELECT lengthened.conversation_id, lengthened.project_id, %(key)s, %(user)s,
    position_before + number, {_VALUES}
FROM lengthened, ROWS FROM (
    json_to_recordset(%(messages)s::json)
        AS ({", ".join(f"{name} {type}" for name, type in _MESSAGE.items())})
) WITH ORDINALITY AS new({_names(_MESSAGE)}, number)
"""
_RETITLE = f"""
INSERT INTO conversation_words ({_names(_WORDS)})
SELECT id, conversation_id, project_id, is_title, {_TSVECTOR} FROM {_rows("%s", _WORDS, "new")}
"""


@dataclass(frozen=True, slots=True)
class Creation:
    """A conversation with its first messages, ready to be stored: its rows as JSON."""

    document: dict
    conversation: bytes
    words: bytes
    messages: bytes


def creation(caller: Caller, new: NewConversation, messages: Sequence[NewMessage] = ()) -> Creation:
    counts = Counts.of(messages)
    for position, message in enumerate(messages, start=1):
        message.conversation_id, message.position = new.id, position
        message.project_id = caller.project_id
        message.api_key_id, message.user_id = caller.api_key_id, caller.user_id
    found = _title(new.title, new.created_at) + _texts(messages)
    owner = {"conversation_id": new.id, "project_id": caller.project_id}
    row = {
        **caller.columns(),
        "message_count": counts.messages,
        "last_position": counts.messages,
        "total_input_tokens": counts.input_tokens,
        "total_output_tokens": counts.output_tokens,
        "total_cost": media.plain(counts.cost),
        "last_message_at": counts.last_at,
    }
    return Creation(
        document=documents.created(new, counts, caller),
        conversation=orjson.dumps({name: getattr(new, name) for name in new.__slots__} | row),
        words=orjson.dumps([owner | document for document in found])[1:-1],
        messages=rows.as_json(messages)[1:-1],
    )


def create(cursor, new: Creation) -> None:
    """Store the conversation, on Django's cursor: inside a transaction of the caller's."""
    cursor.execute(*_creating([new]))


async def _create_all(execute: Execute, creations: list[Creation]) -> Sequence:
    await execute(*_creating(creations, on_conflict="ON CONFLICT DO NOTHING"))
    return [None] * len(creations)


# Stores conversations of many requests in one commit.
writer = GroupWriter(_create_all)


def _creating(creations: Sequence[Creation], *, on_conflict: str = "") -> tuple[str, list[str]]:
    """The statement that stores the conversations, and its parameters.

    Most conversations begin without messages, many without words: a part that
    inserts nothing costs as much as one that inserts a row.
    """
    lists = zip(*((new.conversation, new.words, new.messages) for new in creations), strict=True)
    parts = [
        (f"{insert} {on_conflict}", b",".join(filter(None, items)))
        for insert, items in zip(_INSERTS, lists, strict=True)
        if any(items)
    ]
    *others, last = (sql for sql, _ in parts)
    first = ", ".join(f"part_{number} AS ({sql})" for number, sql in enumerate(others))
    statement = f"WITH {first} {last}" if first else last
    return statement, [f"[{items.decode()}]" for _, items in parts]


def append(cursor, caller: Caller, conversation_id: UUID, messages: Sequence[NewMessage]) -> bool:
    """Store at least one message at the conversation's end; False if the caller has none such.

    `cursor` is Django's or own_connection's.
    """
    counts, found = Counts.of(messages), _texts(messages)
    cursor.execute(
        _LENGTHEN + (_FIND if found else "") + _APPEND,
        {
            "conversation": conversation_id,
            "project": caller.project_id,
            "key": caller.api_key_id,
            "user": caller.user_id,
            "count": counts.messages,
            "input_tokens": counts.input_tokens,
            "output_tokens": counts.output_tokens,
            "cost": counts.cost,
            "last_at": counts.last_at,
            "words": orjson.dumps(found).decode(),
            "messages": rows.as_json(messages).decode(),
        },
    )
    return cursor.rowcount > 0


def change(cursor, caller: Caller, conversation_id: UUID, changes: dict) -> None:
    """Change columns of the conversation, and its words when the title is among them.

    For use inside a transaction. A conversation that the caller has not stays as it is.
    """
    if not changes:
        return
    own = Conversation.objects.for_caller(caller).filter(id=conversation_id)
    now = datetime.now(UTC)
    if not own.update(**changes, updated_at=Greatest("updated_at", now)) or "title" not in changes:
        return
    cursor.execute(
        "DELETE FROM conversation_words WHERE conversation_id = %s AND is_title", [conversation_id]
    )
    owner = {"conversation_id": conversation_id, "project_id": caller.project_id}
    found = [owner | document for document in _title(changes["title"], now)]
    cursor.execute(_RETITLE, [orjson.dumps(found).decode()])


def _title(title: str | None, at: datetime) -> list[dict]:
    return [
        {"id": uuid7(at), "is_title": True, "words": text}
        for text in words.documents([title or ""])
    ]


def _texts(messages: Sequence[NewMessage]) -> list[dict]:
    """Documents for search, one for all messages of a moment: they are forgotten together."""
    by_moment: dict[datetime, list[NewMessage]] = {}
    for message in messages:
        by_moment.setdefault(message.timestamp, []).append(message)
    return [
        {"id": uuid7(at), "is_title": False, "words": text}
        for at, written in by_moment.items()
        for text in rows.searchable(written)
    ]
