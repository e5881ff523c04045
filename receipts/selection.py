"""Which logs a batch receipt is about, as SQL.

A log is a call in the ledger (`usage_logs`), or a conversation none of whose
calls are there. A conversation with calls in the ledger is counted by them, so
that nothing is counted twice.
Source: docs/receipt-format.md, "Batch receipts".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from django.apps import apps

from core import ids
from core.errors import DomainError

_MOMENT = timedelta(microseconds=1)

# No receipt has certified the call, nor its conversation as a whole.
_FRESH_CALL = """
NOT EXISTS (
    SELECT FROM receipt_logs AS link
    WHERE link.project_id = call.project_id AND link.log_id = call.id
) AND NOT EXISTS (
    SELECT FROM receipt_logs AS link
    WHERE link.project_id = call.project_id AND link.log_id = call.conversation_id AND link.counted
)
"""
_FRESH_CONVERSATION = """
NOT EXISTS (
    SELECT FROM receipt_logs AS link
    WHERE link.project_id = talk.project_id AND link.log_id = talk.id
)
"""


class NothingChosen(DomainError):
    code = "nothing_chosen"

    def __init__(self) -> None:
        super().__init__(
            "Must specify one of: conversation_id, date range, log_ids, or since_last_receipt"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions on a call and on a conversation, and their parameters."""

    calls: str
    conversations: str
    parameters: dict
    since_last: bool = False


def chosen(request: dict) -> Selection:
    """The selection of a generation request, the first way that is given. Raises NothingChosen."""
    if id := request.get("conversation_id"):
        return Selection("call.conversation_id = %(id)s", "talk.id = %(id)s", {"id": id})
    if (start := request.get("start_date")) and (end := request.get("end_date")):
        return _between(start, end)
    if log_ids := request.get("log_ids"):
        return _among(log_ids)
    if request.get("since_last_receipt"):
        return FRESH
    raise NothingChosen


# What no receipt has certified yet.
FRESH = Selection(_FRESH_CALL, _FRESH_CONVERSATION, {}, since_last=True)


def _between(start: datetime, end: datetime) -> Selection:
    """Both ends included. Ids carry the time, so a range of time is a range of ids."""
    try:
        bounds = {"first": ids.lowest(start), "beyond": ids.lowest(end + _MOMENT)}
    except (OverflowError, ValueError):
        return Selection("false", "false", {})
    return Selection(
        "call.id >= %(first)s AND call.id < %(beyond)s",
        "talk.id >= %(first)s AND talk.id < %(beyond)s",
        bounds,
    )


def _among(log_ids: list[UUID]) -> Selection:
    return Selection(
        "(call.id = ANY(%(ids)s) OR call.conversation_id = ANY(%(ids)s))",
        "talk.id = ANY(%(ids)s)",
        {"ids": log_ids},
    )


CALLS = """
SELECT call.id, 'usage' AS log_type, call.created_at, call.provider, call.model,
    coalesce(nullif(call.alias, ''), 'default') AS alias,
    call.input_tokens, call.output_tokens, call.cached_input_tokens, call.cost,
    call.conversation_id
FROM usage_logs AS call
WHERE call.project_id = %(project)s AND ({condition})
"""
_CONVERSATIONS = """
SELECT talk.id, 'conversation' AS log_type, talk.created_at,
    coalesce(left(answer.metadata->>'provider', 255), 'unknown') AS provider,
    coalesce(left(answer.metadata->>'model', 255), 'unknown') AS model,
    coalesce(nullif(talk.model_alias, ''), 'default') AS alias,
    talk.total_input_tokens AS input_tokens, talk.total_output_tokens AS output_tokens,
    0 AS cached_input_tokens, talk.total_cost AS cost, talk.id AS conversation_id
FROM conversations AS talk
LEFT JOIN LATERAL (
    SELECT metadata FROM messages
    WHERE conversation_id = talk.id AND role = 'assistant' ORDER BY position DESC LIMIT 1
) AS answer ON true
WHERE talk.project_id = %(project)s AND talk.message_count > 0 AND ({condition})
    AND NOT EXISTS (
        SELECT FROM usage_logs AS call
        WHERE call.project_id = talk.project_id AND call.conversation_id = talk.id
    )
"""
_NO_CONVERSATIONS = CALLS.replace("'usage'", "'conversation'")


@cache
def _conversations_exist() -> bool:
    return apps.is_installed("conversations")


def calls(selection: Selection) -> str:
    """A SELECT of the chosen calls."""
    return CALLS.replace("{condition}", selection.calls)


def conversations(selection: Selection) -> str:
    """A SELECT, with the same columns, of the chosen conversations that count by themselves."""
    if not _conversations_exist():
        return _NO_CONVERSATIONS.replace("{condition}", "false")
    return _CONVERSATIONS.replace("{condition}", selection.conversations)
