"""From a reported call to its row in the ledger, each event stored once.

Source: docs/http-contract.md, sections "Logging a call" and "Retries".
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import msgspec

from core import bridge, ids, media
from core.errors import DomainError
from core.scoping import Caller
from usage import costing
from usage.entries import LogEntry, tokens_of
from usage.ledger import LogRow, writer
from usage.models import UsageLog

# Returns which of the conversations exist and are the caller's. Bound in
# llmring_site/urls.py: the app that stores conversations builds upon this one.
OwnedConversations = Callable[[Caller, Collection[UUID]], set[UUID]]

_HYPHENATED_LENGTH = 36  # of a UUID as our replies write it

# The same event always has the same bytes.
canonical = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode


class EventReused(DomainError):
    """The event id is stored already, with another event."""

    status_code = 409
    code = "event_reused"

    def __init__(self, what: str = "Idempotency-Key") -> None:
        super().__init__(f"{what} was used before for a different request")


def build_row(
    entry: LogEntry,
    caller: Caller,
    *,
    conversation_id: UUID | None = None,
    at: datetime | None = None,
    id: UUID | None = None,
    event_id: str | None = None,
    fingerprint: str | None = None,
) -> LogRow:
    """Return the priced row of a log.

    `at` is when the call happened (default now). `event_id` makes the row a safe
    retry; `fingerprint` then distinguishes it from another event under that id.
    """
    at = at or datetime.now(UTC)
    id = id or ids.uuid7(at)
    cost = costing.cost_of(entry.provider, entry.model, tokens_of(entry), stated=entry.cost)
    columns = {
        "id": id,
        **caller.columns(),
        "created_at": at,
        "provider": entry.provider,
        "model": entry.model,
        "alias": entry.alias,
        "profile": entry.profile or "default",
        "origin": entry.origin,
        "id_at_origin": entry.id_at_origin,
        "conversation_id": conversation_id,
        "input_tokens": entry.input_tokens,
        "output_tokens": entry.output_tokens,
        "cached_input_tokens": entry.cached_input_tokens or 0,
        "cost": None if cost.amount is None else media.plain(cost.amount),
        "cost_source": cost.source,
        "snapshot_id": cost.snapshot_id,
        "latency_ms": entry.latency_ms,
        "event_id": event_id,
        "fingerprint": fingerprint,
        "metadata": entry.metadata,
    }
    return LogRow(
        id=id,
        project_id=caller.project_id,
        created_at=at,
        cost=cost.amount,
        cost_source=cost.source,
        event_id=event_id,
        fingerprint=fingerprint,
        json=media.dumps(columns),
    )


def named_conversation(entry: LogEntry) -> UUID | None:
    """Return the conversation that the client says the call belongs to, in either of two places."""
    for name in (entry.metadata.get("conversation_id"), entry.id_at_origin):
        if isinstance(name, str) and len(name) == _HYPHENATED_LENGTH:
            try:
                return UUID(name)
            except ValueError:
                continue
    return None


def resolve_conversations(
    entries: Sequence[LogEntry], caller: Caller, owned_conversations: OwnedConversations
) -> list[UUID | None]:
    """Return the conversation of each log, None where it names none of the caller's.

    One query when any of them names one.
    """
    names = [named_conversation(entry) for entry in entries]
    wanted = set(filter(None, names))
    owned = owned_conversations(caller, wanted) if wanted else wanted
    return [name if name in owned else None for name in names]


def fingerprint(*parts: bytes) -> str:
    """Return 32 hexadecimal digits that differ when any of the parts does."""
    return sha256(b"\0".join(parts)).hexdigest()[:32]


def log(
    entry: LogEntry,
    caller: Caller,
    *,
    owned_conversations: OwnedConversations,
    idempotency_key: str | None = None,
) -> LogRow:
    """Store one log durably and return its row; for a retry, the row stored first.

    Raises EventReused, DatabaseUnavailable.
    """
    (conversation_id,) = resolve_conversations([entry], caller, owned_conversations)
    row = build_row(
        entry,
        caller,
        conversation_id=conversation_id,
        event_id=idempotency_key,
        fingerprint=fingerprint(canonical(entry)) if idempotency_key else None,
    )
    return row if bridge.run(writer.write(row)) else _first_row(row)


def _first_row(row: LogRow) -> LogRow:
    first = rows_by_event([row])[row.event_id]
    if not first.matches_idempotent_request(row):
        raise EventReused
    return first


def rows_by_event(rows: Sequence[LogRow]) -> dict[str, LogRow]:
    """Return what is stored under the event ids of the rows, which are of one project."""
    if not rows:
        return {}
    logs = UsageLog.objects.filter(
        project_id=rows[0].project_id, event_id__in=[row.event_id for row in rows]
    )
    return {
        log.event_id: replace(
            rows[0],
            id=log.id,
            created_at=log.created_at,
            cost=log.cost,
            cost_source=log.cost_source,
            event_id=log.event_id,
            fingerprint=log.fingerprint,
        )
        for log in logs
    }
