"""From an entry to the row that is stored: whose it is, when it was, what it cost."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

from core import ids, media
from core.fields import twelve_places
from core.scoping import Caller
from registry_proxy import pricing
from usage.entries import LogEntry, tokens_of
from usage.models import CostSource

_FREE = Decimal(0)
_UUID_LENGTH = 36  # written with hyphens, as our replies write it


@dataclass(frozen=True, slots=True)
class Row:
    """A log about to be written. `text` is its JSON for the writer's statement."""

    id: UUID
    project_id: UUID
    created_at: datetime
    cost: Decimal | None
    cost_source: str
    event_id: str | None
    fingerprint: str | None
    text: bytes

    def is_of_event(self, other: "Row") -> bool:
        """Whether a row under the same event id reports the same event; unknown for imports."""
        return self.fingerprint in (None, other.fingerprint)


def make(
    entry: LogEntry,
    caller: Caller,
    *,
    at: datetime | None = None,
    id: UUID | None = None,
    event_id: str | None = None,
    fingerprint: str | None = None,
) -> Row:
    """The row of an entry. The caller's cost wins; else the registry's prices; else none.

    `at` is when the call happened (default now). `event_id` makes the row a safe
    retry; `fingerprint` is then what tells it from another event under that id.
    """
    at = at or datetime.now(UTC)
    id = id or ids.uuid7(at)
    cost, source, snapshot_id = _cost(entry)
    text = media.dumps(
        {
            "id": id,
            **caller.columns(),
            "created_at": at,
            "provider": entry.provider,
            "model": entry.model,
            "alias": entry.alias,
            "profile": entry.profile or "default",
            "origin": entry.origin,
            "id_at_origin": entry.id_at_origin,
            "input_tokens": entry.input_tokens,
            "output_tokens": entry.output_tokens,
            "cached_input_tokens": entry.cached_input_tokens or 0,
            "cost": None if cost is None else media.plain(cost),
            "cost_source": source,
            "snapshot_id": snapshot_id,
            "latency_ms": entry.latency_ms,
            "event_id": event_id,
            "fingerprint": fingerprint,
            "metadata": entry.metadata,
            "named_conversation": _named_conversation(entry),
        }
    )
    return Row(id, caller.project_id, at, cost, source, event_id, fingerprint, text)


def _named_conversation(entry: LogEntry) -> UUID | None:
    """The conversation that the client says the call belongs to, in either of two places."""
    for name in (entry.metadata.get("conversation_id"), entry.id_at_origin):
        if isinstance(name, str) and len(name) == _UUID_LENGTH:
            try:
                return UUID(name)
            except ValueError:
                continue
    return None


def fingerprint(*parts: bytes) -> str:
    """Thirty-two hexadecimal digits that differ when any of the parts does."""
    return sha256(b"\0".join(parts)).hexdigest()[:32]


def _cost(entry: LogEntry) -> tuple[Decimal | None, str, int | None]:
    if entry.cost is not None:
        return twelve_places(entry.cost), CostSource.CALLER.value, None
    priced = pricing.price(entry.provider, entry.model, tokens_of(entry))
    if priced is None:
        return None, CostSource.UNPRICED.value, None
    return priced.cost, CostSource.REGISTRY.value, priced.snapshot_id


def shown(row: Row) -> dict:
    """What the caller is told of a stored row."""
    return {
        "log_id": row.id,
        "cost": row.cost or _FREE,
        "timestamp": row.created_at,
        "cost_source": row.cost_source,
    }
