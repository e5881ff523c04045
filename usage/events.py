"""Events that callers name: each is stored once, and a retry gets the first answer.

Source: docs/http-contract.md, section "Retries".
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256

from core import json_writer
from core.errors import DomainError
from core.scoping import Caller
from usage.ledger import LogRow
from usage.models import UsageLog
from usage.schemas import LogEntry


class EventReused(DomainError):
    """The event id is stored already, with another event."""

    status_code = 409
    code = "event_reused"

    def __init__(self, what: str = "Idempotency-Key") -> None:
        super().__init__(f"{what} was used before for a different request")


def matches_idempotent_request(first: UsageLog, row: LogRow) -> bool:
    """Return whether both report the same event; True for an imported row, without fingerprint."""
    return first.fingerprint is None or row.fingerprint in (None, first.fingerprint)


def event_fingerprint(entry: LogEntry) -> str:
    """Return a digest that the same event always has, however its JSON was written."""
    members = entry.model_dump(exclude_defaults=True, exclude_none=True, exclude={"replace"})
    if entry.cost is not None:
        members["cost"] = json_writer.plain(entry.cost)
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
