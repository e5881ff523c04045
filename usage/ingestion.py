"""Storing a reported call, each event once.

Source: docs/http-contract.md, sections "Logging a call" and "Retries".
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import django.db
import psycopg
from django.db import transaction

from accounts.limits import log_quotas
from core import bridge
from core.scoping import Caller
from usage import costing, deduplication, reversals
from usage.events import (
    EventReused,
    event_fingerprint,
    matches_idempotent_request,
    stored_events,
)
from usage.ledger import LogRow, writer
from usage.log_rows import OwnedConversations, build_row, named_conversation, resolve
from usage.models import UsageLog
from usage.schemas import LogEntry


async def log(
    caller: Caller,
    entry: LogEntry,
    *,
    owned_conversations: OwnedConversations,
    idempotency_key: str | None = None,
) -> dict:
    """Store one log durably; return the reply, for a retry that of the first time.

    Raises EventReused, DatabaseUnavailable, and LimitExceeded for a new log beyond the
    project's quota.
    """
    event_id = entry.event_id or idempotency_key
    event = {
        "event_id": event_id,
        "fingerprint": event_fingerprint(entry) if event_id else None,
    }
    if entry.is_exported:
        return reply(await bridge.in_thread(_store_exported, entry, caller, owned_conversations))
    if _is_immediate(entry):
        row = build_row(entry, caller, **event)
    else:
        row = await bridge.in_thread(_build_row, entry, caller, owned_conversations, event)
    if not (first := await _store_new(caller, row)):
        return reply(row)
    if row.replaces:
        return reply(await bridge.in_thread(reversals.replace, caller, first, row))
    if not matches_idempotent_request(first, row):
        raise EventReused("event_id" if entry.event_id else "Idempotency-Key")
    return reply(first)


async def _store_new(caller: Caller, row: LogRow) -> UsageLog | None:
    """Store a row; return the log already stored under its event id, if there is one.

    A repetition takes none of the quota, so it is never refused.
    """
    refusal = log_quotas.known_refusal(caller, datetime.now(UTC))
    if refusal is None:
        try:
            if await writer.write(row):
                return None
        except (psycopg.Error, django.db.Error) as error:
            if not log_quotas.is_cause(error):
                raise
            refusal = log_quotas.exceeded(caller, datetime.now(UTC))
    if refusal and row.event_id is None:
        raise refusal
    stored = await bridge.in_thread(stored_events, caller, [row])
    if row.event_id in stored:
        return stored[row.event_id]
    if refusal:
        raise refusal
    return await _store_new(caller, row)  # retention has just deleted the other one


def _store_exported(
    entry: LogEntry, caller: Caller, owned_conversations: OwnedConversations
) -> LogRow | UsageLog:
    """Store a log whose id may exist already; return the stored row. Raises LimitExceeded."""
    row = _build_row(entry, caller, owned_conversations, {"event_id": entry.event_id or None})
    with transaction.atomic():
        [outcome] = deduplication.store(caller, [row])
    if outcome.is_refused:
        raise log_quotas.exceeded(caller, datetime.now(UTC))
    return outcome.row


def _is_immediate(entry: LogEntry) -> bool:
    """Return whether the row can be made without waiting for the database."""
    if entry.snapshot is not None or named_conversation(entry) is not None:
        return False
    return costing.is_immediate(entry.stated_usage, entry.timestamp)


def _build_row(
    entry: LogEntry, caller: Caller, owned_conversations: OwnedConversations, event: dict[str, Any]
) -> LogRow:
    (context,) = resolve([entry], caller, owned_conversations)
    return build_row(entry, caller, context, **event)


def reply(row: LogRow | UsageLog) -> dict:
    """Return the reply to a report, from its row of the ledger."""
    stored = {
        "log_id": row.id,
        "cost": row.cost or Decimal(0),
        "timestamp": row.created_at,
        "cost_source": row.cost_source,
    }
    return stored | ({"unpriced_reason": row.unpriced_reason} if row.unpriced_reason else {})
