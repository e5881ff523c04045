"""From a reported call to its row in the ledger, each event stored once.

Source: docs/http-contract.md, sections "Logging a call" and "Retries".
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from hashlib import sha256
from uuid import UUID

from core import bridge, ids, media
from core.errors import DomainError
from core.scoping import Caller
from usage import costing
from usage.ledger import LogRow, writer
from usage.models import UsageLog
from usage.schemas import LogEntry

# Returns which of the conversations exist and are the caller's. Bound in
# llmring_site/urls.py: the app that stores conversations builds upon this one.
OwnedConversations = Callable[[Caller, Collection[UUID]], set[UUID]]

_HYPHENATED_LENGTH = 36  # of a UUID as our replies write it
# Members of a log that its row has under the same name.
_COPIED = [
    name
    for name in LogEntry.model_fields
    if name in {field.name for field in UsageLog._meta.fields}
]


class EventReused(DomainError):
    """The event id is stored already, with another event."""

    status_code = 409
    code = "event_reused"

    def __init__(self, what: str = "Idempotency-Key") -> None:
        super().__init__(f"{what} was used before for a different request")


async def log(
    caller: Caller,
    entry: LogEntry,
    *,
    owned_conversations: OwnedConversations,
    idempotency_key: str | None = None,
) -> dict:
    """Store one log durably; return the reply, for a retry that of the first time.

    Raises EventReused, DatabaseUnavailable.
    """
    is_quick = named_conversation(entry) is None and costing.is_immediate(entry)
    prepare = partial(_row_of, caller, entry, owned_conversations, idempotency_key)
    row = prepare() if is_quick else await bridge.in_thread(prepare)
    if await writer.write(row):
        return row.reply()
    first = (await bridge.in_thread(rows_by_event, [row]))[row.event_id]
    if not first.matches_idempotent_request(row):
        raise EventReused("event_id" if entry.event_id else "Idempotency-Key")
    return first.reply()


def _row_of(
    caller: Caller,
    entry: LogEntry,
    owned_conversations: OwnedConversations,
    idempotency_key: str | None,
) -> LogRow:
    (conversation_id,) = resolve_conversations([entry], caller, owned_conversations)
    event_id = entry.event_id or idempotency_key
    return build_row(
        entry,
        caller,
        conversation_id=conversation_id,
        event_id=event_id,
        fingerprint=event_fingerprint(entry) if event_id else None,
    )


def build_row(
    entry: LogEntry,
    caller: Caller,
    *,
    conversation_id: UUID | None = None,
    id: UUID | None = None,
    event_id: str | None = None,
    fingerprint: str | None = None,
) -> LogRow:
    """Return the priced row of a log.

    `event_id` makes the row a safe retry; `fingerprint` then distinguishes it from
    another event under that id.
    """
    at = entry.timestamp or datetime.now(UTC)
    id = id or ids.uuid7(at)
    cost = costing.cost_of_entry(entry)
    columns = {
        **{name: getattr(entry, name) for name in _COPIED},
        **caller.columns(),
        "id": id,
        "created_at": at,
        "profile": entry.profile or "default",
        "conversation_id": conversation_id,
        "cached_input_tokens": entry.cached_input_tokens or 0,
        "cost": None if cost.amount is None else media.plain(cost.amount),
        "cost_source": cost.source,
        "snapshot_id": cost.snapshot_id,
        "event_id": event_id,
        "fingerprint": fingerprint,
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


def event_fingerprint(entry: LogEntry) -> str:
    """Return a digest that the same event always has, however its JSON was written."""
    members = entry.model_dump(exclude_defaults=True, exclude_none=True)
    text = json.dumps(members, sort_keys=True, default=_canonical)
    return fingerprint(text.encode())


def _canonical(value: object) -> object:
    # Numbers of free objects are exact decimals or doubles, as the rest of the body has it.
    return float(value) if isinstance(value, Decimal) else str(value)


def fingerprint(*parts: bytes) -> str:
    """Return 32 hexadecimal digits that differ when any of the parts does."""
    return sha256(b"\0".join(parts)).hexdigest()[:32]


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
