"""Writing conversations and messages: one statement for a call, whatever its size.

One statement is one round trip, one commit and one flush to disk; nothing is
ever half stored. PostgreSQL reads the messages as one JSON list, for a fraction
of what binding each column costs us. The counters are changed by the statement
that inserts, which locks the conversation's row first: writers to one
conversation take turns, and positions follow the order of their commits.

`cursor` is Django's, or a faster one (llmring_site/own_connection.py).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

import orjson
from django.db.models.functions import Greatest

from conversations import documents, rows, words
from conversations.models import Conversation
from conversations.rows import Counts, NewConversation, NewMessage
from llmring_site.ids import uuid7
from llmring_site.scoping import Scope

_COLUMNS = {
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
_NAMES = ", ".join(_COLUMNS)
_TYPED = ", ".join(f"{name} {type}" for name, type in _COLUMNS.items())

# Each statement is made of these; the last part is the statement, those before it are its CTEs.
_CREATE = """
    INSERT INTO conversations (
        id, project_id, api_key_id, project_label, title, system_prompt, model_alias, temperature,
        max_tokens, origin, profile, template_id, message_count, last_position,
        total_input_tokens, total_output_tokens, total_cost, created_at, updated_at, last_message_at
    ) VALUES (
        %(conversation)s, %(project)s, %(key)s, %(project_label)s, %(title)s, %(system_prompt)s,
        %(model_alias)s, %(temperature)s, %(max_tokens)s, %(origin)s, %(profile)s,
        %(template_id)s, %(count)s, %(count)s, %(input_tokens)s, %(output_tokens)s, %(cost)s,
        %(created_at)s, %(updated_at)s, %(last_at)s
    )"""
_LENGTHEN = """
    UPDATE conversations SET
        message_count = message_count + %(count)s,
        last_position = last_position + %(count)s,
        total_input_tokens = total_input_tokens + %(input_tokens)s,
        total_output_tokens = total_output_tokens + %(output_tokens)s,
        total_cost = total_cost + %(cost)s,
        updated_at = greatest(updated_at, %(last_at)s),
        last_message_at = greatest(last_message_at, %(last_at)s)
    WHERE id = %(conversation)s AND project_id = %(project)s
    RETURNING last_position - %(count)s AS last_position_before"""
_WORDS = """
    INSERT INTO conversation_words (id, conversation_id, project_id, is_title, words)
    SELECT document.id, %(conversation)s, %(project)s, is_title,
        array_to_tsvector(string_to_array(words, ' '))
    FROM {lengthened} json_to_recordset(%(words)s::json)
        AS document(id uuid, is_title boolean, words text)"""
_MESSAGES = f"""
    INSERT INTO messages (conversation_id, project_id, api_key_id, position, {_NAMES})
    SELECT %(conversation)s, %(project)s, %(key)s, {{before}} + number, {_NAMES}
    FROM {{lengthened}} ROWS FROM (json_to_recordset(%(messages)s::json) AS ({_TYPED}))
        WITH ORDINALITY AS message({_NAMES}, number)"""


@cache
def _statement(conversation: str, *, words: bool, messages: bool) -> str:
    # An append writes words and messages only if it found the conversation.
    lengthened = "lengthened," if conversation == _LENGTHEN else ""
    before = "last_position_before" if lengthened else "0"
    parts = [("lengthened", conversation)]
    if words:
        parts.append(("found", _WORDS.format(lengthened=lengthened)))
    if messages:
        parts.append(("written", _MESSAGES.format(lengthened=lengthened, before=before)))
    else:
        parts.append(parts.pop(0))
    *tables, (_, main) = parts
    with_tables = ", ".join(f"{name} AS ({part})" for name, part in tables)
    return f"WITH {with_tables} {main}" if tables else main


def create(cursor, scope: Scope, new: NewConversation, messages: Sequence[NewMessage] = ()) -> dict:
    """Store the conversation with its first messages; its document."""
    counts = Counts.of(messages)
    found = _title(new.title, scope, new.created_at) + _texts(messages, scope)
    cursor.execute(
        _statement(_CREATE, words=bool(found), messages=bool(messages)),
        {
            **_parameters(scope, new.id, counts, found, messages),
            "project_label": new.project_label,
            "title": new.title,
            "system_prompt": new.system_prompt,
            "model_alias": new.model_alias,
            "temperature": new.temperature,
            "max_tokens": new.max_tokens,
            "origin": new.origin,
            "profile": new.profile,
            "template_id": new.template_id,
            "created_at": new.created_at,
            "updated_at": new.updated_at,
        },
    )
    return documents.created(new, counts, scope)


def append(cursor, scope: Scope, conversation_id: UUID, messages: Sequence[NewMessage]) -> bool:
    """Store at least one message at the conversation's end; False if the scope has none such."""
    found = _texts(messages, scope)
    cursor.execute(
        _statement(_LENGTHEN, words=bool(found), messages=True),
        _parameters(scope, conversation_id, Counts.of(messages), found, messages),
    )
    return cursor.rowcount > 0


def change(cursor, scope: Scope, conversation_id: UUID, changes: dict) -> None:
    """Change columns of the conversation, and its words when the title is among them.

    For use inside a transaction. A conversation that the scope has not stays as it is.
    """
    if not changes:
        return
    own = Conversation.objects.for_scope(scope).filter(id=conversation_id)
    now = datetime.now(UTC)
    if not own.update(**changes, updated_at=Greatest("updated_at", now)) or "title" not in changes:
        return
    cursor.execute(
        "DELETE FROM conversation_words WHERE conversation_id = %s AND is_title", [conversation_id]
    )
    if found := _title(changes["title"], scope, now):
        parameters = _parameters(scope, conversation_id, Counts(), found, [])
        cursor.execute(_WORDS.format(lengthened=""), parameters)


def _parameters(
    scope: Scope,
    conversation_id: UUID,
    counts: Counts,
    found: list[dict],
    messages: Sequence[NewMessage],
) -> dict:
    return {
        "conversation": conversation_id,
        "project": scope.project_id,
        "key": scope.api_key_id,
        "count": counts.messages,
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
        "cost": counts.cost,
        "last_at": counts.last_at,
        "words": orjson.dumps(found).decode(),
        "messages": orjson.dumps(messages).decode(),
    }


def _title(title: str | None, scope: Scope, at: datetime) -> list[dict]:
    return [
        {"id": uuid7(at), "is_title": True, "words": text}
        for text in words.documents([title or ""], scope.project_id)
    ]


def _texts(messages: Sequence[NewMessage], scope: Scope) -> list[dict]:
    """Documents for search, one for all messages of a moment: they are forgotten together."""
    by_moment: dict[datetime, list[NewMessage]] = {}
    for message in messages:
        by_moment.setdefault(message.timestamp, []).append(message)
    return [
        {"id": uuid7(at), "is_title": False, "words": text}
        for at, written in by_moment.items()
        for text in rows.searchable(written, scope.project_id)
    ]
