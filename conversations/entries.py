"""Messages and conversations as clients send them.

The common case is decoded here, by msgspec, in a few microseconds. Whatever it
does not take at once goes to the serializers of the same members
(conversations/serializers.py), which are more lenient and say what is wrong.
Source: docs/http-contract/conversations.md.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from rest_framework import serializers

from conversations import privacy
from core import media
from core.fields import INT32_MAX, JSONField, NumberField, twelve_places

MOST_MESSAGES = 10_000  # of one call

Count = Annotated[int, msgspec.Meta(ge=0, le=INT32_MAX)]
Text255 = Annotated[str, msgspec.Meta(max_length=255)]
Text64 = Annotated[str, msgspec.Meta(max_length=64)]
Content = str | list | dict | None
LevelName = Literal["none", "metadata", "full"]


class ConversationEntry(msgspec.Struct, kw_only=True):
    """What `POST /conversations` takes. Unknown members are ignored."""

    title: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    system_prompt: str | None = None
    model_alias: Text255 | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=INT32_MAX)] | None = None
    project_id: Text255 | None = None
    origin: Text255 | None = None
    profile: Text64 | None = None
    template_id: UUID | None = None
    values: dict | None = None


class MessageEntry(msgspec.Struct, kw_only=True):
    """A message to append."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Content = None
    tool_calls: list[dict] | None = None
    tool_results: list[dict] | None = None
    metadata: dict | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    token_count: Count | None = None

    def nested(self) -> Iterator[object]:
        """The JSON values inside."""
        content = self.content if not isinstance(self.content, str) else None
        return filter(None, (content, self.tool_calls, self.tool_results, self.metadata))


class BatchEntry(msgspec.Struct, kw_only=True):
    """What `POST /conversations/{id}/messages/batch` takes."""

    messages: Annotated[list[MessageEntry], msgspec.Meta(max_length=MOST_MESSAGES)]
    logging_level: LevelName = privacy.FULL


class ImportedMessage(MessageEntry, kw_only=True):
    """A message of an export."""

    timestamp: datetime
    content_hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None = None


class ImportedConversation(ConversationEntry, kw_only=True):
    """A line of an export."""

    id: UUID
    created_at: datetime
    updated_at: datetime | None = None
    messages: list[ImportedMessage] = []


class LoggedMessage(msgspec.Struct, kw_only=True):
    """One of the messages that a logged call sent to its model."""

    role: Literal["system", "user", "assistant", "tool"] = "user"
    content: Content = None
    tool_calls: list[dict] | None = None
    tool_results: list[dict] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    metadata: dict | None = None

    nested = MessageEntry.nested


class LoggedResponse(msgspec.Struct, kw_only=True):
    content: Content = None
    tool_calls: list[dict] | None = None
    model: Text255 | None = None
    finish_reason: str | None = None
    usage: dict | None = None

    def nested(self) -> Iterator[object]:
        content = self.content if not isinstance(self.content, str) else None
        return filter(None, (content, self.tool_calls, self.usage))


class LoggedCall(msgspec.Struct, kw_only=True):
    """The numbers of a logged call."""

    provider: Text255
    model: Text255
    alias: Text255 | None = None
    profile: Text64 | None = None
    origin: Text255 | None = None
    cost: float | None = None
    input_cost: float | None = None
    output_cost: float | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_tokens: Count | None = None
    conversation_id: str | None = None
    project_id: Text255 | None = None
    lock_digest: Text255 | None = None


class CallEntry(msgspec.Struct, kw_only=True):
    """What `POST /conversations/log` takes."""

    messages: Annotated[list[LoggedMessage], msgspec.Meta(max_length=MOST_MESSAGES)]
    response: LoggedResponse
    metadata: LoggedCall
    logging_level: LevelName = privacy.FULL


_decoders = {
    kind: msgspec.json.Decoder(kind)
    for kind in (ConversationEntry, MessageEntry, BatchEntry, CallEntry, ImportedConversation)
}
_DOLLARS = NumberField(min_value=0)
_MOST_DOLLARS = float(NumberField.LARGEST)
_STORABLE = JSONField()
# So few brackets cannot nest too deeply, whatever they enclose.
_FEW_BRACKETS = 60


def decode(kind: type, text: bytes):
    """The entry in a JSON text, or None when the serializer has to look at it."""
    if not media.is_plain(text):
        return None
    try:
        entry = _decoders[kind].decode(text)
        if text.count(b"{") + text.count(b"[") > _FEW_BRACKETS + 2 * len(_messages(entry)):
            _check_nesting(entry)
        _check_costs(entry)
    except (msgspec.MsgspecError, serializers.ValidationError):
        return None
    return entry


def _check_nesting(entry) -> None:
    for part in (*_messages(entry), getattr(entry, "response", entry)):
        for value in getattr(part, "nested", tuple)():
            _STORABLE.storable(value)


def _check_costs(entry) -> None:
    if isinstance(entry, CallEntry):
        for value in (entry.metadata.cost, entry.metadata.input_cost, entry.metadata.output_cost):
            money(value)
    for message in _messages(entry):
        cost = message.metadata and message.metadata.get("cost")
        if type(cost) is not float or not 0 <= cost <= _MOST_DOLLARS:
            money(cost)


def _messages(entry) -> Sequence:
    """The messages of a batch, call or conversation; a message alone; none."""
    return getattr(entry, "messages", (entry,) if isinstance(entry, MessageEntry) else ())


@lru_cache(10_000)  # in a batch, most messages cost the same
def _dollars(text: str) -> Decimal:
    return twelve_places(Decimal(text))


def money(value: object) -> Decimal | None:
    """An amount of US dollars, exactly as written; None for null.

    Raises rest_framework's ValidationError for what is none.
    """
    if type(value) is float and 0 <= value <= _MOST_DOLLARS:
        return _dollars(repr(value))
    if value is None or isinstance(value, Decimal):
        return value
    return _DOLLARS.to_internal_value(value)
