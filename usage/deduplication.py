"""Storing rows that may be known already: repeated events, exported logs, copies.

Source: docs/http-contract/usage.md, section "Round trips".
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from core import ids
from core.scoping import Caller
from usage import ledger
from usage.events import stored_events
from usage.ledger import LogRow
from usage.models import UsageLog
from usage.schemas import LogEntry


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
