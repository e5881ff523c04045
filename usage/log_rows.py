"""The row of the ledger that a reported call becomes: priced, and linked to what it names.

Source: docs/http-contract.md, section "Logging a call".
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from core import ids
from core.scoping import Caller
from registry_proxy.models import Snapshot
from usage import copies, costing, reversals
from usage.columns import GATEWAY_COLUMNS
from usage.costing import Cost
from usage.ledger import LogRow
from usage.models import DEFAULT_PROFILE, CostSource, EntryType
from usage.reports.reported_usage import Usage
from usage.schemas import LogEntry
from usage.stored_usage import usage_columns

# Returns which of the conversations exist and are the caller's. Bound in
# llmring_site/urls.py: the app that stores conversations builds upon this one.
OwnedConversations = Callable[[Caller, Collection[UUID]], set[UUID]]

_HYPHENATED_LENGTH = 36  # of a UUID as our replies write it


class Context(NamedTuple):
    """Facts of a log from the database: its conversation, and the snapshot of its price."""

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
    values = {
        **_columns(entry, caller, context),
        "event_id": event_id,
        "fingerprint": fingerprint,
        **columns,
    }
    # PostgreSQL reads the shorter row faster than we leave out what is empty.
    filled = {name: value for name, value in values.items() if value is not None}
    is_exported = entry.is_exported
    # An exported log is known by its id, so no other report of its event replaces it.
    replaces = bool(entry.replace) and not is_exported
    return LogRow(filled, replaces=replaces, is_exported=is_exported)


def _columns(entry: LogEntry, caller: Caller, context: Context) -> dict[str, Any]:
    now = datetime.now(UTC)
    at = entry.timestamp or now
    usage = entry.stated_usage
    columns = {
        "id": ids.uuid7(at),
        **caller.columns(),
        "created_at": at,
        "received_at": now,
        **_descriptive_columns(entry),
        "conversation_id": context.conversation_id,
        **usage_columns(usage),
        **_cost(entry, caller, context, usage).columns(),
        "entry_type": EntryType.CALL.value,
    }
    return columns | _exported_columns(entry, caller, columns) if entry.is_exported else columns


def _descriptive_columns(entry: LogEntry) -> dict[str, Any]:
    return {
        "provider": entry.provider,
        "model": entry.model,
        "alias": entry.alias,
        "profile": entry.profile or DEFAULT_PROFILE,
        "origin": entry.origin,
        "id_at_origin": entry.id_at_origin,
        "end_user": entry.user or user_in(entry.metadata),
        "latency_ms": entry.latency_ms,
        "metadata": entry.metadata,
    }


def _exported_columns(entry: LogEntry, caller: Caller, values: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that an exported log keeps: its id, and what it corrects."""
    columns: dict[str, Any] = {
        "id": copies.own_id(entry, caller),
        "read_as": entry.read_as or values["read_as"],
        **{name: getattr(entry, name) for name in GATEWAY_COLUMNS},
    }
    if entry.corrects_id:
        columns |= {
            "entry_type": entry.entry_type or EntryType.CALL,
            "corrects_id": entry.corrects_id,
            "correction_reason": entry.correction_reason,
            "correction_author": entry.correction_author,
        }
        if entry.entry_type == EntryType.REVERSAL:
            columns |= reversals.negated(values)
    return columns


def _cost(entry: LogEntry, caller: Caller, context: Context, usage: Usage) -> Cost:
    """Return the cost of a log; for an exported one, its cost where it was exported."""
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


def user_in(metadata: dict[str, Any]) -> str | None:
    """Return the end user that the metadata name, cut to the length of the column."""
    user = metadata.get("user_id")
    return str(user)[:255] if isinstance(user, str | int) and not isinstance(user, bool) else None


def named_conversation(entry: LogEntry) -> UUID | None:
    """Return the conversation that the client names, in either of two places."""
    for name in (entry.metadata.get("conversation_id"), entry.id_at_origin):
        if isinstance(name, str) and len(name) == _HYPHENATED_LENGTH:
            try:
                return UUID(name)
            except ValueError:
                continue
    return None
