"""From what a client sent to the rows that are stored, at a privacy level."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from conversations import privacy, words
from conversations.entries import MessageEntry, money
from core import ids


class NewMessage(msgspec.Struct, omit_defaults=True):
    """A message about to be stored: the columns of its row, named as in the table."""

    id: UUID
    role: str
    timestamp: datetime
    content: str | None = None
    content_parts: list | dict | None = None
    content_hash: str | None = None
    tool_calls: list | None = None
    tool_results: list | None = None
    metadata: dict = {}
    input_tokens: int | None = None
    output_tokens: int | None = None
    token_count: int | None = None
    cost: Decimal | None = None
    receipt_id: str | None = None
    # Set when the message is the first, second, … of a new conversation.
    conversation_id: UUID | None = None
    project_id: UUID | None = None
    api_key_id: UUID | None = None
    user_id: UUID | None = None
    position: int = 0


# What is absent is left out: PostgreSQL reads no more than it has to.
as_json = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(slots=True)
class NewConversation:
    """A conversation about to be stored, before its messages are counted."""

    id: UUID
    created_at: datetime
    model_alias: str
    temperature: float
    title: str | None = None
    system_prompt: str | None = None
    max_tokens: int | None = None
    project_label: str | None = None
    origin: str | None = None
    profile: str | None = None
    template_id: UUID | None = None
    updated_at: datetime = field(default=None)

    def __post_init__(self) -> None:
        self.updated_at = self.updated_at or self.created_at


@dataclass(slots=True)
class Counts:
    """What messages add to the counters of their conversation."""

    messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    last_at: datetime | None = None

    @classmethod
    def of(cls, messages: Iterable[NewMessage]) -> "Counts":
        counts = cls()
        for message in messages:
            counts.messages += 1
            counts.input_tokens += message.input_tokens or 0
            counts.output_tokens += message.output_tokens or 0
            if message.cost is not None:
                counts.cost += message.cost
            if counts.last_at is None or message.timestamp > counts.last_at:
                counts.last_at = message.timestamp
        return counts


def messages(entries: Sequence[MessageEntry], level: str, at: datetime) -> list[NewMessage]:
    """The rows of entries of one moment, at privacy level `full` or `metadata`."""
    return [
        _message(entry, level, at, id)
        for entry, id in zip(entries, ids.several(at, len(entries)), strict=True)
    ]


def _message(entry: MessageEntry, level: str, at: datetime, id: UUID) -> NewMessage:
    content, metadata = entry.content, entry.metadata or {}
    tool_calls, tool_results = entry.tool_calls, entry.tool_results
    cost = money(metadata.get("cost"))
    content_hash = privacy.content_hash(content)
    if level != privacy.FULL:
        content = None
        metadata = privacy.without_content(metadata)
        tool_calls, tool_results = privacy.digests(tool_calls), privacy.digests(tool_results)
    is_text = isinstance(content, str)
    return NewMessage(
        id,
        entry.role,
        at,
        content if is_text else None,
        None if is_text else content,
        content_hash,
        tool_calls,
        tool_results,
        metadata,
        entry.input_tokens,
        entry.output_tokens,
        entry.token_count,
        cost,
    )


def searchable(messages: Iterable[NewMessage]) -> list[str]:
    """The documents by which the messages' texts are found (conversations/words.py)."""
    return words.documents(text for row in messages for text in texts(row))


def texts(row) -> Iterable[str]:
    """The texts in a message, new or stored: its own, or its parts'. Never an image's data."""
    if row.content is not None:
        yield row.content
    parts = row.content_parts
    for part in [parts] if isinstance(parts, dict) else parts or []:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
