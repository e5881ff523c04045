"""Conversations and messages as replies and exports show them.

Plain statements, whose rows become payloads: an opened conversation has a hundred
messages or more, and model instances would cost ten times what PostgreSQL does.
`cursor` is Django's or one of `pooled_cursor`.
Source: docs/http-contract/conversations.md, sections "A conversation" and "A message".
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from django.http import Http404

from conversations.storage import Row
from core import exact_json
from core.scoping import Caller

Payload = dict[str, Any]

# Members of a conversation, by the columns they show.
CONVERSATION_COLUMNS = {
    "id": "id",
    "title": "title",
    "system_prompt": "system_prompt",
    "model_alias": "model_alias",
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "api_key_id": "api_key_id",
    "project_id": "project_label",
    "origin": "origin",
    "profile": "profile",
    "template_id": "template_id",
    "message_count": "message_count",
    "total_input_tokens": "total_input_tokens",
    "total_output_tokens": "total_output_tokens",
    "total_cost": "total_cost",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "last_message_at": "last_message_at",
}
# JSON columns come as text, which is passed on and never parsed.
_MESSAGE_COLUMNS = {
    "id": "id",
    "conversation_id": "NULL",  # known, and the same in all rows
    "parent_id": "parent_id",
    "message_id": "message_id",
    "role": "role",
    "name": "name",
    "content": "content",
    "content_parts": "content_parts::text",
    "content_hash": "content_hash",
    "tool_calls": "tool_calls::text",
    "tool_call_id": "tool_call_id",
    "tool_results": "tool_results::text",
    "extra": "extra::text",
    "metadata": "metadata::text",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "token_count": "token_count",
    "receipt_id": "receipt_id",
    "timestamp": "timestamp",
}
_MESSAGE_MEMBERS = tuple(_MESSAGE_COLUMNS)
_JSON_MEMBERS = ("content_parts", "tool_calls", "tool_results", "metadata")
_EMPTY_MESSAGE = dict.fromkeys(_MESSAGE_MEMBERS)
_CONVERSATION = f"""
SELECT {", ".join(CONVERSATION_COLUMNS.values())} FROM conversations
WHERE id = %s AND project_id = %s
"""
_MESSAGES = f"""
SELECT {", ".join(_MESSAGE_COLUMNS.values())}, position FROM messages
WHERE project_id = %s AND conversation_id = %s
"""
# The unique index of (project, conversation, position) gives both orders without sorting.
_NEWEST = f"{_MESSAGES} ORDER BY position DESC LIMIT %s"
_PAGE = f"{_MESSAGES} ORDER BY position LIMIT %s OFFSET %s"
_BY_IDS = f"{_MESSAGES} AND id = ANY(%s)"
_AFTER = f"{_MESSAGES} AND position > %s AND position <= %s ORDER BY position LIMIT %s"


NOT_FOUND = "Conversation not found"


def not_found() -> Http404:
    return Http404(NOT_FOUND)


def conversation_payload(row: Row) -> Payload:
    """Return the payload of a conversation, stored or about to be."""
    return {member: row.get(column) for member, column in CONVERSATION_COLUMNS.items()}


def conversation_payloads(values: Iterable[Sequence]) -> list[Payload]:
    """Return the payloads of rows of the columns in CONVERSATION_COLUMNS."""
    return [dict(zip(CONVERSATION_COLUMNS, row, strict=True)) for row in values]


def message_payload(row: Row, conversation_id: UUID) -> Payload:
    """Return the payload of a message about to be stored."""
    payload = {**_EMPTY_MESSAGE, **row, "conversation_id": conversation_id}
    payload.pop("cost", None)  # it is part of the metadata
    payload.pop("plain_hash", None)
    return _completed(payload)


def unstored_message_payload(role: str, conversation_id: UUID) -> Payload:
    """Return the reply to a message that privacy level `none` did not store: it has no id."""
    return message_payload({"role": role, "metadata": {}}, conversation_id)


def read_conversation(cursor, caller: Caller, conversation_id: UUID) -> Payload:
    """Return the conversation's payload. Raises Http404."""
    cursor.execute(_CONVERSATION, (conversation_id, caller.project_id))
    rows = conversation_payloads(cursor.fetchall())
    if not rows:
        raise not_found()
    return rows[0]


def read_newest(cursor, caller: Caller, conversation_id: UUID, *, limit: int) -> list[Payload]:
    """Return the last messages, oldest first."""
    cursor.execute(_NEWEST, (caller.project_id, conversation_id, limit))
    return [_stored_message(row, conversation_id) for row in reversed(cursor.fetchall())]


def read_page(
    cursor, caller: Caller, conversation_id: UUID, *, limit: int, offset: int
) -> list[Payload]:
    """Return messages from the oldest on."""
    cursor.execute(_PAGE, (caller.project_id, conversation_id, limit, offset))
    return [_stored_message(row, conversation_id) for row in cursor.fetchall()]


def read_by_ids(
    cursor, caller: Caller, conversation_id: UUID, ids: Sequence[UUID]
) -> dict[UUID, Payload]:
    """Return messages of the conversation by their ids."""
    cursor.execute(_BY_IDS, (caller.project_id, conversation_id, list(ids)))
    return {row[0]: _stored_message(row, conversation_id) for row in cursor.fetchall()}


def read_after(
    cursor, caller: Caller, conversation_id: UUID, *, position: int, last: int, limit: int
) -> tuple[list[Payload], int]:
    """Return messages behind `position` and up to `last`, and the position of the last one."""
    cursor.execute(_AFTER, (caller.project_id, conversation_id, position, last, limit))
    rows = cursor.fetchall()
    messages = [_stored_message(row, conversation_id) for row in rows]
    return messages, rows[-1][-1] if rows else last


def _stored_message(row: Sequence, conversation_id: UUID) -> Payload:
    payload = dict(zip(_MESSAGE_MEMBERS, row, strict=False))  # a position may follow
    payload["conversation_id"] = conversation_id
    for member in _JSON_MEMBERS:
        if (text := payload[member]) is not None:
            payload[member] = orjson.Fragment(text)
    if payload["extra"] is not None:
        payload["extra"] = exact_json.loads(payload["extra"].encode())
    return _completed(payload)


def _completed(payload: Payload) -> Payload:
    """Merge the columns that are one to clients, and add up a token count left open."""
    parts, extra = payload.pop("content_parts"), payload.pop("extra")
    if parts is not None:
        payload["content"] = parts
    input, output = payload["input_tokens"], payload["output_tokens"]
    if payload["token_count"] is None and (input is not None or output is not None):
        payload["token_count"] = (input or 0) + (output or 0)
    return payload if extra is None else payload | extra
