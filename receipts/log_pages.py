"""Logs as the receipt routes return them, a page at a time.

Source: docs/http-contract/receipts.md, section "Receipt routes".
"""

from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet, Subquery
from orjson import Fragment

from conversations.models import DEFAULT_ALIAS, Conversation
from core import ids
from core.json_writer import number
from core.schemas import INT64_MAX
from core.scoping import Caller
from receipts import selection
from receipts.models import LogType, Receipt
from receipts.selection import COLUMNS
from usage import day_ranges
from usage.corrections import corrected_by
from usage.export import logs_of_project
from usage.models import EntryType, UsageLog

MAX_COUNTED = 10_000
MAX_REVERSALS = 20


def bounded_count(rows: QuerySet, end: int) -> int:
    """Return the number of rows, or one more than has to be counted.

    Counted are MAX_COUNTED rows, and those up to the `end` of the page: whoever
    reads on while there is more than `end` reaches the last row.
    """
    return rows[: min(max(MAX_COUNTED, end) + 1, INT64_MAX)].count()


def uncertified_page(caller: Caller, *, limit: int, offset: int) -> dict:
    """Return a page of the uncertified logs: conversations, then calls, each newest first."""
    chosen = selection.uncertified(caller)
    # A range at a time: in one query, the planner may read all that lies between them.
    parts = [
        chosen.calls.filter(id__gte=ids.lowest(first), id__lt=ids.lowest(beyond))
        for first, beyond in day_ranges.consecutive(chosen.days)
    ]
    counted, logs = 0, []
    for rows in (chosen.conversations, *parts):
        newest = rows.order_by("-id")
        start = max(0, offset - counted)
        logs += [_uncertified_log(row) for row in newest[start : start + limit - len(logs)]]
        counted += bounded_count(newest, offset + limit)
    return {"logs": logs, "total": counted, "limit": limit, "offset": offset}


def _uncertified_log(row: tuple) -> dict:
    log = dict(zip(COLUMNS, row, strict=True))
    del log["conversation_id"], log["calls"]
    log["timestamp"] = log.pop("created_at").isoformat()
    log["cost"] = _cost(log["cost"])
    return log


def certified_page(receipt: Receipt, *, limit: int, offset: int) -> dict:
    """Return a page of the logs that a receipt certifies, in the order of their ids.

    A log that was deleted since has its id and type only.
    """
    links = receipt.logs.filter(project_id=receipt.project_id, counted=True).order_by("log_id")
    page = list(links.values_list("log_id", "log_type")[offset : offset + limit])
    details = _call_details(receipt, [id for id, type in page if type == LogType.USAGE])
    conversations = [id for id, type in page if type == LogType.CONVERSATION]
    details |= _conversation_details(receipt, conversations)
    return {
        "receipt_id": receipt.receipt_id,
        "logs": [{"id": id, "type": type, **details.get(id, {})} for id, type in page],
        "total": bounded_count(links, offset + limit),
        "limit": limit,
        "offset": offset,
    }


def first_reversals(receipt: Receipt) -> list[UUID]:
    """Return the ids of the reversals of logs that a receipt certifies, at most MAX_REVERSALS."""
    links = receipt.logs.filter(project_id=receipt.project_id)
    by_themselves = _reversals(receipt, links.filter(log_type=LogType.USAGE).values("log_id"))
    with_conversations = _reversals(receipt, _calls_of_conversations(receipt, links).values("id"))
    return sorted([*by_themselves, *with_conversations])[:MAX_REVERSALS]


def _calls_of_conversations(receipt: Receipt, links: QuerySet) -> QuerySet:
    """Return the calls that a receipt certifies with their conversations.

    Each turn of a conversation may have a receipt: a call belongs to the newest before it.
    """
    newest = selection.links_of_conversation().order_by("-certified_at").values("receipt_id")[:1]
    return UsageLog.objects.alias(certified_by=Subquery(newest)).filter(
        project_id=receipt.project_id,
        conversation_id__in=links.filter(log_type=LogType.CONVERSATION, counted=True).values(
            "log_id"
        ),
        certified_by=receipt.id,
    )


def _reversals(receipt: Receipt, corrected: QuerySet) -> QuerySet:
    reversals = UsageLog.objects.filter(
        project_id=receipt.project_id, entry_type=EntryType.REVERSAL, corrects_id__in=corrected
    )
    # In no order, for which the planner might read the ledger from its first row.
    return reversals.order_by().values_list("id", flat=True)[:MAX_REVERSALS]


def _call_details(receipt: Receipt, ids: list[UUID]) -> dict[UUID, dict]:
    reversals = corrected_by(receipt.project_id, ids)
    logs = {UUID(log["id"]): log for log in logs_of_project(receipt.project_id, ids)}
    return {id: {**log, "corrected_by": reversals.get(id)} for id, log in logs.items()}


def _conversation_details(receipt: Receipt, ids: list[UUID]) -> dict[UUID, dict]:
    conversations = Conversation.objects.filter(project_id=receipt.project_id, id__in=ids)
    return {
        conversation.id: {
            "title": conversation.title,
            "alias": conversation.model_alias or DEFAULT_ALIAS,
            "input_tokens": conversation.total_input_tokens,
            "output_tokens": conversation.total_output_tokens,
            "cost": _cost(conversation.total_cost),
            "logged_at": conversation.created_at,
        }
        for conversation in conversations
    }


def _cost(cost: Decimal | None) -> Fragment:
    return number(cost or Decimal(0))
