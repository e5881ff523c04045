"""Logging a whole call as a conversation: what was sent to the model, and what it answered.

Source: docs/http-contract/conversations.md, section "Logging a whole call".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from conversations import appending, history, privacy, services, sizes, storage, writer
from conversations.models import Conversation
from conversations.payloads import Payload
from conversations.schemas.calls import CallNumbers, LoggedCall
from conversations.storage import Attachment, PreparedConversation, Row
from core import bridge, ids
from core.chat_messages import ChatMessage
from core.scoping import Caller
from registry_proxy.tokens import Tokens
from usage import costing
from usage.costing import Cost
from usage.reports.reported_usage import Usage


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
    usage: Usage
    cost: Decimal | None
    input_cost: Decimal | None
    output_cost: Decimal | None


class Issued(NamedTuple):
    """A flat receipt, and the rows that are stored with its call."""

    document: dict
    attached: Sequence[Attachment]


# Returns None for numbers that no receipt can state.
IssueReceipt = Callable[[FinishedCall, Caller], Issued | None]


async def log_call(
    caller: Caller,
    call: LoggedCall,
    issue_receipt: IssueReceipt | None,
    *,
    is_small: bool = False,
) -> Payload:
    """Store the call's messages and its answer, and return the reply.

    They go to the conversation that the metadata names, if the caller has it, else
    to a new one. At privacy level `none` nothing is stored and the ids are empty.
    On the event loop if the body `is_small`, else in a thread. Raises TrackingDisabled.
    """
    services.check_tracking()
    level = privacy.effective(call.logging_level)
    if level == privacy.NONE:
        return {"conversation_id": "", "message_id": "", "receipt": None}
    at = datetime.now(UTC)
    price = partial(_cost, caller, call)
    # A price that is not in memory may take a query, or a wait for the registry.
    is_immediate = costing.is_immediate(call.metadata.stated_usage, at)
    cost = price() if is_immediate else await bridge.in_thread(price)
    rows = partial(_message_rows, call, cost, level, at)
    if call.metadata.conversation_id is not None:
        return await bridge.in_thread(
            lambda: _log_in_transaction(caller, call, rows(), cost, issue_receipt)
        )

    is_small = is_small and sizes.has_short_texts([*call.messages, call.response])

    def prepare() -> tuple[PreparedConversation, dict | None]:
        messages, id = rows(), ids.uuid7(at)
        issued = _issue(caller, call, id, messages[-1], cost, issue_receipt)
        new = _prepare(caller, call, id, messages, issued)
        if not is_small:
            storage.insert_now(new)
        return new, issued and issued.document

    # A receipt's key and prices may take queries.
    on_loop = is_small and issue_receipt is None
    new, receipt = prepare() if on_loop else await bridge.in_thread(prepare)
    if is_small:
        await writer.insert(new)
    return _reply(new.row["id"], new.row["last_message_id"], receipt)


def _message_rows(call: LoggedCall, cost: Cost, level: str, at: datetime) -> list[Row]:
    rows = storage.message_rows([*call.messages, _answer(call, cost)], level, at)
    rows[-1]["cost"] = cost.amount  # null, and not 0, when it is not known
    return rows


def _log_in_transaction(
    caller: Caller,
    call: LoggedCall,
    messages: list[Row],
    cost: Cost,
    issue_receipt: IssueReceipt | None,
) -> Payload:
    *sent, answer = messages
    with transaction.atomic(), connection.cursor() as cursor:
        existing = _existing_conversation(caller, call.metadata.conversation_id)
        if existing:
            messages, answer_id = history.new_rows(existing, sent, answer)
            if not messages:
                return _reply(existing.id, answer_id)
        id = existing.id if existing else ids.uuid7(answer["timestamp"])
        issued = _issue(caller, call, id, answer, cost, issue_receipt)
        if existing:
            appending.append(cursor, appending.prepare(caller, id, messages, follows=False))
            storage.attach(cursor, issued.attached if issued else ())
        else:
            storage.insert(cursor, _prepare(caller, call, id, messages, issued))
    return _reply(id, answer["id"], issued and issued.document)


def _issue(
    caller: Caller,
    call: LoggedCall,
    conversation_id: UUID,
    answer: Row,
    cost: Cost,
    issue_receipt: IssueReceipt | None,
) -> Issued | None:
    """Issue the receipt of the call, if there is to be one, and note its id in the answer's row."""
    issued = issue_receipt and issue_receipt(_finished(call, conversation_id, answer, cost), caller)
    if issued:
        answer["receipt_id"] = issued.document["receipt_id"]
    return issued


def _prepare(
    caller: Caller, call: LoggedCall, id: UUID, messages: list[Row], issued: Issued | None
) -> PreparedConversation:
    columns = _columns(call, id, messages[-1]["timestamp"])
    return storage.prepare(caller, columns, messages, attached=issued.attached if issued else ())


def _reply(id: UUID, answer_id: UUID, receipt: dict | None = None) -> Payload:
    return {"conversation_id": id, "message_id": answer_id, "receipt": receipt}


def _existing_conversation(caller: Caller, text: str | None) -> Conversation | None:
    """Lock and return the caller's conversation with this id; None if there is none."""
    try:
        return services.lock_conversation(caller, UUID(text or ""))
    except ValueError:
        return None


def _columns(call: LoggedCall, id: UUID, at: datetime) -> Row:
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


def _answer(call: LoggedCall, cost: Cost) -> ChatMessage:
    """Return the answer as a message, with what is known of the call as its metadata."""
    response, numbers = call.response, call.metadata
    tokens = numbers.stated_usage.tokens if numbers.states_counts else None
    metadata = {
        **(response.metadata or {}),
        "model": _model(call),
        "finish_reason": response.finish_reason,
        "usage": response.usage if numbers.usage is None else numbers.usage,
        "provider": numbers.provider,
        "cost": cost.amount or Decimal(0),
        "cost_source": cost.source,
        **{name: value for name, value in _known(numbers).items() if value is not None},
    }
    return response.model_copy(
        update={
            "metadata": metadata,
            "input_tokens": tokens.prompt if tokens else response.input_tokens,
            "output_tokens": tokens.completion if tokens else response.output_tokens,
        }
    )


def _known(numbers: CallNumbers) -> dict[str, Any]:
    """Return what else is known of a call's numbers, None for what is not."""
    usage = numbers.stated_usage
    tokens = usage.tokens or Tokens()
    classes = {
        f"{name}_tokens": count or None
        for name, count in tokens.by_class().items()
        if name not in ("input", "output", "cache_read")
    }
    return {
        "cached_tokens": tokens.cache_read or numbers.cached_tokens,
        **classes,
        "units": usage.units or None,
        "modifiers": usage.modifiers or None,
        "input_cost": numbers.input_cost,
        "output_cost": numbers.output_cost,
    }


def _model(call: LoggedCall) -> str:
    return call.response.model or call.metadata.model


def _cost(caller: Caller, call: LoggedCall) -> Cost:
    numbers = call.metadata
    return costing.cost_of(
        numbers.provider, _model(call), numbers.stated_usage, project_id=caller.project_id
    )


def _finished(call: LoggedCall, conversation_id: UUID, answer: Row, cost: Cost) -> FinishedCall:
    numbers = call.metadata
    return FinishedCall(
        conversation_id=conversation_id,
        message_id=answer["id"],
        at=answer["timestamp"],
        provider=numbers.provider,
        model=_model(call),
        alias=numbers.alias,
        profile=numbers.profile,
        lock_digest=numbers.lock_digest,
        usage=numbers.stated_usage,
        cost=cost.amount,
        input_cost=numbers.input_cost,
        output_cost=numbers.output_cost,
    )
