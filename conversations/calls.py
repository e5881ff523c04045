"""Logging a whole call as a conversation: what was sent to the model, and what it answered.

Source: docs/http-contract/conversations.md, section "Logging a whole call".
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction

from conversations import privacy, services, storage
from conversations.entries import CallEntry, LoggedCall, LoggedMessage, MessageEntry, money
from conversations.models import Conversation, Message
from conversations.storage import Row
from core import bridge, ids
from core.fields import twelve_places
from core.scoping import Caller
from registry_proxy import pricing
from registry_proxy.tokens import Tokens

_FREE = Decimal(0)


class _Cost(NamedTuple):
    amount: Decimal | None
    source: str


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A call that `POST /conversations/log` is storing. Costs are US dollars, None if unknown."""

    conversation_id: UUID
    message_id: UUID
    at: datetime
    provider: str
    model: str
    alias: str | None
    profile: str | None
    lock_digest: str | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: Decimal | None
    input_cost: Decimal | None
    output_cost: Decimal | None


# Returns the flat receipt, or None for numbers that no receipt can state.
# It runs inside the transaction that stores the call.
IssueReceipt = Callable[[FinishedCall, Caller], dict | None]


def log_call(caller: Caller, call: CallEntry, issue_receipt: IssueReceipt | None) -> dict:
    """Store the call's messages and its answer; return the reply.

    They go to the conversation that the metadata names, if the caller has it, else
    to a new one. At privacy level `none` nothing is stored and the ids are empty.
    """
    level = privacy.effective(call.logging_level)
    if level == privacy.NONE:
        return {"conversation_id": "", "message_id": "", "receipt": None}
    at = datetime.now(UTC)
    cost = _cost(call)
    entries = [*map(_entry, call.messages), _answer(call, cost)]
    messages = storage.message_rows(entries, level, at)
    messages[-1]["cost"] = cost.amount  # null, and not 0, when it is not known
    if issue_receipt or call.metadata.conversation_id is not None:
        return _log_in_transaction(caller, call, messages, cost, issue_receipt)
    id = ids.uuid7(at)
    new = storage.new_conversation(caller, _columns(call, id, at), messages)
    bridge.run(storage.writer.write(new))
    return _reply(id, messages)


def _log_in_transaction(
    caller: Caller,
    call: CallEntry,
    messages: list[Row],
    cost: _Cost,
    issue_receipt: IssueReceipt | None,
) -> dict:
    answer = messages[-1]
    receipt = None
    with transaction.atomic(), connection.cursor() as cursor:
        existing = _existing_conversation(caller, call.metadata.conversation_id)
        id = existing.id if existing else ids.uuid7(answer["timestamp"])
        if issue_receipt:
            receipt = issue_receipt(_finished(call, id, answer, cost), caller)
            answer["receipt_id"] = receipt and receipt["receipt_id"]
        if existing:
            storage.append(cursor, caller, id, _not_stored_yet(existing, messages))
        else:
            columns = _columns(call, id, answer["timestamp"])
            storage.insert(cursor, storage.new_conversation(caller, columns, messages))
    return _reply(id, messages, receipt)


def _reply(id: UUID, messages: list[Row], receipt: dict | None = None) -> dict:
    return {"conversation_id": id, "message_id": messages[-1]["id"], "receipt": receipt}


def _existing_conversation(caller: Caller, text: str | None) -> Conversation | None:
    """Lock and return the caller's conversation with this id; None if there is none."""
    try:
        id = UUID(text or "")
    except ValueError:
        return None
    return Conversation.objects.for_caller(caller).select_for_update().filter(id=id).first()


def _not_stored_yet(conversation: Conversation, messages: list[Row]) -> list[Row]:
    """Return the messages without the beginning that the conversation already holds.

    Chat clients send the whole history with each call.
    """
    count = conversation.message_count
    if not 0 < count < len(messages):
        return messages
    stored = Message.objects.filter(
        project_id=conversation.project_id, conversation=conversation
    ).order_by("position")
    known = list(stored.values_list("role", "content_hash")[:count])
    sent = [(message["role"], message.get("content_hash")) for message in messages[:count]]
    return messages[count:] if known == sent else messages


def _columns(call: CallEntry, id: UUID, at: datetime) -> Row:
    numbers = call.metadata
    return {
        "id": id,
        "created_at": at,
        "title": f"{numbers.alias or numbers.model} conversation",
        "model_alias": (numbers.alias or f"{numbers.provider}:{numbers.model}")[:255],
        "temperature": services.DEFAULT_TEMPERATURE,
        "project_label": numbers.project_id,
        "origin": numbers.origin or "llmring",
        "profile": numbers.profile,
    }


def _entry(message: LoggedMessage) -> MessageEntry:
    """Return the message, with its links to a tool call among its metadata."""
    links = {"tool_call_id": message.tool_call_id, "name": message.name}
    links = {name: value for name, value in links.items() if value is not None}
    return MessageEntry(
        role=message.role,
        content=message.content,
        tool_calls=message.tool_calls,
        tool_results=message.tool_results,
        metadata={**links, **(message.metadata or {})},
    )


def _answer(call: CallEntry, cost: _Cost) -> MessageEntry:
    response, numbers = call.response, call.metadata
    known = {
        "cached_tokens": numbers.cached_tokens,
        "input_cost": numbers.input_cost,
        "output_cost": numbers.output_cost,
    }
    return MessageEntry(
        role="assistant",
        content=response.content,
        tool_calls=response.tool_calls,
        input_tokens=numbers.input_tokens,
        output_tokens=numbers.output_tokens,
        metadata={
            "model": _model(call),
            "finish_reason": response.finish_reason,
            "usage": response.usage,
            "provider": numbers.provider,
            "cost": cost.amount or _FREE,
            "cost_source": cost.source,
            **{name: value for name, value in known.items() if value is not None},
        },
    )


def _model(call: CallEntry) -> str:
    return call.response.model or call.metadata.model


def _cost(call: CallEntry) -> _Cost:
    """Return the cost: as the caller says, in sum or in parts, else by the registry."""
    numbers = call.metadata
    total, *parts = (
        None if value is None else money(value)
        for value in (numbers.cost, numbers.input_cost, numbers.output_cost)
    )
    split = [part for part in parts if part is not None]
    if not total and split:
        total = sum(split, Decimal(0))
    if total is not None:
        return _Cost(twelve_places(total), "caller")
    tokens = Tokens.from_totals(
        numbers.input_tokens or 0, numbers.output_tokens or 0, numbers.cached_tokens or 0
    )
    priced = pricing.price(numbers.provider, _model(call), tokens)
    return _Cost(priced.cost, "unpriced" if priced.cost is None else "registry")


def _finished(call: CallEntry, conversation_id: UUID, answer: Row, cost: _Cost) -> FinishedCall:
    numbers: LoggedCall = call.metadata
    return FinishedCall(
        conversation_id=conversation_id,
        message_id=answer["id"],
        at=answer["timestamp"],
        provider=numbers.provider,
        model=_model(call),
        alias=numbers.alias,
        profile=numbers.profile,
        lock_digest=numbers.lock_digest,
        input_tokens=numbers.input_tokens or 0,
        output_tokens=numbers.output_tokens or 0,
        cached_tokens=numbers.cached_tokens or 0,
        cost=cost.amount,
        input_cost=money(numbers.input_cost),
        output_cost=money(numbers.output_cost),
    )
