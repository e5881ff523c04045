"""From a reported call to its row in the ledger, each event stored once.

Source: docs/http-contract.md, sections "Logging a call" and "Retries".
"""

import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from core import bridge, ids
from core.errors import DomainError
from core.scoping import Caller
from registry_proxy.models import Snapshot
from usage import costing, ledger, reversals
from usage.costing import Cost
from usage.ledger import LogRow, writer
from usage.models import CostSource, EntryType, UsageLog
from usage.reports.reported_usage import Usage
from usage.schemas import LogEntry
from usage.stored_usage import usage_columns

# Returns which of the conversations exist and are the caller's. Bound in
# llmring_site/urls.py: the app that stores conversations builds upon this one.
OwnedConversations = Callable[[Caller, Collection[UUID]], set[UUID]]

_HYPHENATED_LENGTH = 36  # of a UUID as our replies write it


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
    event_id = entry.event_id or idempotency_key
    event = {
        "event_id": event_id,
        "fingerprint": event_fingerprint(entry) if event_id else None,
    }
    if _is_immediate(entry):
        row = build_row(entry, caller, **event)
    else:
        row = await bridge.in_thread(_build_row, entry, caller, owned_conversations, event)
    if await writer.write(row):
        return reply(row)
    stored = await bridge.in_thread(stored_events, caller, [row])
    first = stored[row.event_id]
    if row.replaces:
        return reply(await bridge.in_thread(reversals.replace, caller, first, row))
    if not matches_idempotent_request(first, row):
        raise EventReused("event_id" if entry.event_id else "Idempotency-Key")
    return reply(first)


def _is_immediate(entry: LogEntry) -> bool:
    """Return whether the row can be made without waiting for the database."""
    return (
        entry.cost_source is None
        and named_conversation(entry) is None
        and costing.is_immediate(entry.read(), entry.timestamp)
    )


def _build_row(
    entry: LogEntry, caller: Caller, owned_conversations: OwnedConversations, event: dict[str, Any]
) -> LogRow:
    (context,) = resolve([entry], caller, owned_conversations)
    return build_row(entry, caller, context, **event)


def reply(row: LogRow | UsageLog) -> dict:
    """Return what is answered for a row of the ledger."""
    stored = {
        "log_id": row.id,
        "cost": row.cost or Decimal(0),
        "timestamp": row.created_at,
        "cost_source": row.cost_source,
    }
    return stored | ({"unpriced_reason": row.unpriced_reason} if row.unpriced_reason else {})


def matches_idempotent_request(first: UsageLog, row: LogRow) -> bool:
    """Whether both report the same event. Imported rows have no fingerprint: assume so."""
    return first.fingerprint is None or row.fingerprint in (None, first.fingerprint)


# --- Rows ------------------------------------------------------------------


class Context(NamedTuple):
    """What the database knows of a log: its conversation, and the snapshot it was priced from."""

    conversation_id: UUID | None = None
    snapshot_id: int | None = None


def resolve(
    entries: Sequence[LogEntry], caller: Caller, owned_conversations: OwnedConversations
) -> list[Context]:
    """Return the context of each log. One query for conversations and one for snapshots, if any."""
    names = [named_conversation(entry) for entry in entries]
    wanted = set(filter(None, names))
    owned = owned_conversations(caller, wanted) if wanted else wanted
    snapshots = _snapshots([entry.snapshot for entry in entries if entry.snapshot])
    return [
        Context(
            name if name in owned else None,
            snapshots.get(entry.snapshot),
        )
        for entry, name in zip(entries, names, strict=True)
    ]


def _snapshots(names: Sequence[str]) -> dict[str, int]:
    """Return the snapshots that this server has, by their digests as they are exported."""
    if not names:
        return {}
    digests = [name.removeprefix("sha256:") for name in set(names)]
    snapshots = Snapshot.objects.filter(digest__in=digests).order_by("-id")
    return {f"sha256:{digest}": id for digest, id in snapshots.values_list("digest", "id")}


def build_row(
    entry: LogEntry,
    caller: Caller,
    context: Context = Context(),  # noqa: B008 - immutable
    *,
    event_id: str | None = None,
    fingerprint: str | None = None,
    **columns: Any,
) -> LogRow:
    """Return the priced row of a log.

    `event_id` makes the row a safe retry; `fingerprint` then distinguishes it from
    another event under that id. `columns` are stored besides, and win.
    """
    now = datetime.now(UTC)
    at = entry.timestamp or now
    usage = entry.read()
    values = {
        "id": ids.uuid7(at),
        **caller.columns(),
        "created_at": at,
        "received_at": now,
        "provider": entry.provider,
        "model": entry.model,
        "alias": entry.alias,
        "profile": entry.profile or "default",
        "origin": entry.origin,
        "id_at_origin": entry.id_at_origin,
        "end_user": entry.user or _user_in(entry.metadata),
        "latency_ms": entry.latency_ms,
        "metadata": entry.metadata,
        "conversation_id": context.conversation_id,
        **usage_columns(usage),
        **_cost(entry, caller, context, usage).columns(),
        "event_id": event_id,
        "fingerprint": fingerprint,
        "entry_type": EntryType.CALL.value,
    }
    if entry.is_exported:
        values |= _exported_columns(entry, caller, values)
    values |= columns
    # PostgreSQL reads the shorter row faster than we leave out what is empty.
    filled = {name: value for name, value in values.items() if value is not None}
    return LogRow(filled, replaces=entry.replace)


def _exported_columns(entry: LogEntry, caller: Caller, values: dict[str, Any]) -> dict[str, Any]:
    """Return what an exported log was there: its id, and what it corrects."""
    columns = {
        "read_as": entry.read_as or values["read_as"],
        "entry_type": entry.entry_type or EntryType.CALL,
        "corrects_id": entry.corrects_id,
        "correction_reason": entry.correction_reason,
        "correction_author": entry.correction_author,
    }
    if entry.id:
        columns["id"] = own_id(entry, caller)
    if entry.entry_type == EntryType.REVERSAL:
        columns |= reversals.negated(values)
    return columns


def _cost(entry: LogEntry, caller: Caller, context: Context, usage: Usage) -> Cost:
    """Return the cost of a log; of one that was exported, what it cost there."""
    match entry.cost_source:
        case CostSource.UNPRICED:
            return Cost(
                None,
                entry.cost_source.value,
                priced_as=entry.priced_as,
                unpriced_reason=entry.unpriced_reason,
            )
        case CostSource.REGISTRY if entry.cost is not None:
            return Cost(entry.cost, entry.cost_source.value, entry.priced_as, context.snapshot_id)
    return costing.cost_of(
        entry.provider, entry.model, usage, project_id=caller.project_id, at=entry.timestamp
    )


def _user_in(metadata: dict[str, Any]) -> str | None:
    user = metadata.get("user_id")
    return str(user)[:255] if isinstance(user, str | int) and not isinstance(user, bool) else None


def named_conversation(entry: LogEntry) -> UUID | None:
    """Return the conversation that the client says the call belongs to, in either of two places."""
    for name in (entry.metadata.get("conversation_id"), entry.id_at_origin):
        if isinstance(name, str) and len(name) == _HYPHENATED_LENGTH:
            try:
                return UUID(name)
            except ValueError:
                continue
    return None


# --- Events ----------------------------------------------------------------


def event_fingerprint(entry: LogEntry) -> str:
    """Return a digest that the same event always has, however its JSON was written."""
    members = entry.model_dump(exclude_defaults=True, exclude_none=True, exclude={"replace"})
    return fingerprint(json.dumps(members, sort_keys=True, default=_canonical).encode())


def _canonical(value: object) -> object:
    # Numbers of free objects are exact decimals or doubles, as the rest of the body has it.
    return float(value) if isinstance(value, Decimal) else str(value)


def fingerprint(*parts: bytes) -> str:
    """Return 32 hexadecimal digits that differ when any of the parts does."""
    return sha256(b"\0".join(parts)).hexdigest()[:32]


def stored_events(caller: Caller, rows: Sequence[LogRow]) -> dict[str, UsageLog]:
    """Return what is stored under the event ids of the rows."""
    event_ids = [row.event_id for row in rows if row.event_id]
    logs = UsageLog.objects.for_caller(caller).filter(event_id__in=event_ids)
    return {log.event_id: log for log in logs}


# --- Rows that may be known ------------------------------------------------


class Outcome(NamedTuple):
    """What became of a row: the row itself if it is new, else the one stored before."""

    row: LogRow | UsageLog
    is_new: bool


def store(caller: Caller, rows: Sequence[LogRow], *, keeps_old_ids: bool = False) -> list[Outcome]:
    """Store the rows that are not known yet, all or none; inside a transaction.

    A row that the project has, by its event or its id, is known. Ids are unique in
    the server: a copy of another project's row gets one of its own, made from the old
    one, which becomes its event id if `keeps_old_ids` and it has none.
    """
    new = ledger.insert(rows)
    rest = [row for row in rows if row.id not in new]
    events, known = stored_events(caller, rest), _stored_ids(caller, rest)
    copies = [row for row in rest if row.event_id not in events and row.id not in known]
    for row in copies:
        if keeps_old_ids:
            row.columns["event_id"] = row.event_id or str(row.id)
        for name in ("id", "corrects_id"):
            if old := row.columns.get(name):
                row.columns[name] = derived_id(caller, str(old), row.created_at)
    new |= ledger.insert(copies)
    known |= _stored_ids(caller, [row for row in copies if row.id not in new])
    outcomes = []
    for row in rows:
        is_new = row.id in new
        new.discard(row.id)  # a row that comes twice is new once
        outcomes.append(
            Outcome(row if is_new else events.get(row.event_id) or known.get(row.id, row), is_new)
        )
    return outcomes


def _stored_ids(caller: Caller, rows: Sequence[LogRow]) -> dict[UUID, UsageLog]:
    if not rows:
        return {}
    return UsageLog.objects.for_caller(caller).in_bulk([row.id for row in rows])


def own_id(entry: LogEntry, caller: Caller) -> UUID:
    """Return the id of an exported log if it has our form and its time; else one made from it."""
    try:
        id = UUID(entry.id)
        if id.version == 7 and ids.moment(id) == entry.timestamp:
            return id
    except ValueError:
        pass
    return derived_id(caller, entry.id, entry.timestamp)


def derived_id(caller: Caller, text: str, at: datetime) -> UUID:
    """Return the id that a log of another place always has in this project."""
    seed = sha256(f"{caller.project_id}/{text}".encode()).digest()
    return ids.uuid7(at, random=int.from_bytes(seed[:8]))
