"""How conversations and messages look in replies and exports.

Source: docs/http-contract/conversations.md, sections "A conversation" and "A message".
"""

from collections.abc import Sequence
from uuid import UUID

import orjson

from conversations.rows import Counts, NewConversation, NewMessage
from core.scoping import Caller

# Members of a conversation, by the columns they show.
CONVERSATION = {
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
# JSON columns come as text: it is passed on, never parsed.
MESSAGE_COLUMNS = """
    id, conversation_id, role, content, content_parts::text, content_hash, tool_calls::text,
    tool_results::text, metadata::text, input_tokens, output_tokens, token_count, receipt_id,
    timestamp
"""


def conversation(row: Sequence) -> dict:
    """From the columns that CONVERSATION names, in its order."""
    return dict(zip(CONVERSATION, row, strict=True))


def created(new: NewConversation, counts: Counts, caller: Caller) -> dict:
    """A conversation just stored, as `conversation` would show it."""
    return {
        "id": new.id,
        "title": new.title,
        "system_prompt": new.system_prompt,
        "model_alias": new.model_alias,
        "temperature": new.temperature,
        "max_tokens": new.max_tokens,
        "api_key_id": caller.api_key_id,
        "project_id": new.project_label,
        "origin": new.origin,
        "profile": new.profile,
        "template_id": new.template_id,
        "message_count": counts.messages,
        "total_input_tokens": counts.input_tokens,
        "total_output_tokens": counts.output_tokens,
        "total_cost": counts.cost,
        "created_at": new.created_at,
        "updated_at": new.updated_at,
        "last_message_at": counts.last_at,
    }


def message(row: Sequence) -> dict:
    """From the columns MESSAGE_COLUMNS."""
    (
        id,
        conversation_id,
        role,
        content,
        content_parts,
        content_hash,
        tool_calls,
        tool_results,
        metadata,
        input_tokens,
        output_tokens,
        token_count,
        receipt_id,
        timestamp,
    ) = row
    return {
        "id": id,
        "conversation_id": conversation_id,
        "role": role,
        "content": content if content_parts is None else orjson.Fragment(content_parts),
        "content_hash": content_hash,
        "tool_calls": tool_calls and orjson.Fragment(tool_calls),
        "tool_results": tool_results and orjson.Fragment(tool_results),
        "metadata": orjson.Fragment(metadata),
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "token_count": _token_count(token_count, input_tokens, output_tokens),
        "receipt_id": receipt_id,
        "timestamp": timestamp,
    }


def stored_message(row: NewMessage, conversation_id: UUID) -> dict:
    """A message just stored, as `message` would show it."""
    return {
        "id": row.id,
        "conversation_id": conversation_id,
        "role": row.role,
        "content": row.content if row.content_parts is None else row.content_parts,
        "content_hash": row.content_hash,
        "tool_calls": row.tool_calls,
        "tool_results": row.tool_results,
        "metadata": row.metadata,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "token_count": _token_count(row.token_count, row.input_tokens, row.output_tokens),
        "receipt_id": row.receipt_id,
        "timestamp": row.timestamp,
    }


def unstored_message(role: str, conversation_id: UUID) -> dict:
    """What answers a message that privacy level `none` did not store: it has no id."""
    row = (None, conversation_id, role, *[None] * 5, "{}", *[None] * 5)
    return message(row)


def _token_count(own: int | None, input: int | None, output: int | None) -> int | None:
    """The count that the client gave, else the sum of what is known."""
    if own is not None or (input is None and output is None):
        return own
    return (input or 0) + (output or 0)
