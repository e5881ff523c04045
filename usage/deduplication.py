"""Storing rows that may be known already: repeated events, exported logs, copies.

Source: docs/http-contract/usage.md, section "Round trips".
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from django.db import Error, transaction

from accounts import log_quotas
from core import ids
from core.scoping import Caller
from usage import ledger
from usage.events import stored_events
from usage.ledger import LogRow
from usage.models import EntryType, UsageLog
from usage.schemas import LogEntry

_ATTEMPTS = 10  # to find room that others take at the same time


class Outcome(NamedTuple):
    """What became of a row: the row itself if it is new, else the one stored before.

    A row that `is_refused` was beyond the project's quota.
    """

    row: LogRow | UsageLog
    is_new: bool
    is_refused: bool = False


def store(caller: Caller, rows: Sequence[LogRow], *, is_import: bool = False) -> list[Outcome]:
    """Store the rows that are not known yet, as far as the quota goes; inside a transaction.

    A row that the project has, by its event or its id, is known. Ids are unique in
    the server: a copy of another project's row gets one of its own, made from the old
    one. In an import that becomes its event id if it has none, and nothing is refused.
    Raises LimitExceeded if others take the last of the quota again and again.
    """
    if is_import:
        return _store(caller, rows, is_import=True)
    if log_quotas.known_refusal(caller, datetime.now(UTC)) is None:
        try:
            with transaction.atomic():
                return _store(caller, rows)
        except Error as error:
            if not log_quotas.is_cause(error):
                raise
    for _ in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                return _store_fitting(caller, rows)
        except Error as error:
            # Whoever stores at the same time took the room: now there is less.
            if not log_quotas.is_cause(error):
                raise
    raise log_quotas.exceeded(caller, datetime.now(UTC))


def _store_fitting(caller: Caller, rows: Sequence[LogRow]) -> list[Outcome]:
    """Store the first rows for which there is room, and those that need none."""
    known = {*stored_events(caller, rows), *_stored_ids(caller, rows)}
    fitting = _fitting(rows, known, log_quotas.room(caller.project_id, datetime.now(UTC)))
    outcomes = iter(_store(caller, [row for row in rows if id(row) in fitting]))
    return [
        next(outcomes) if id(row) in fitting else Outcome(row, is_new=False, is_refused=True)
        for row in rows
    ]


def _fitting(rows: Sequence[LogRow], known: set[str | UUID], room: int) -> set[int]:
    """Return the `id()` of the rows that need no room, and of the first that have some."""
    fitting, seen = set(), set(known)
    for row in rows:
        names = {row.id, row.event_id} - {None}
        if not names & seen and row.columns["entry_type"] == EntryType.CALL:
            if room <= 0:
                continue
            room -= 1
        seen |= names
        fitting.add(id(row))
    return fitting


def _store(caller: Caller, rows: Sequence[LogRow], *, is_import: bool = False) -> list[Outcome]:
    new = ledger.insert(rows, is_counted=not is_import)
    rest = [row for row in rows if row.id not in new]
    events, known = stored_events(caller, rest), _stored_ids(caller, rest)
    copies = [row for row in rest if row.event_id not in events and row.id not in known]
    for row in copies:
        if is_import:
            row.columns["event_id"] = row.event_id or str(row.id)
        for name in ("id", "corrects_id"):
            if old := row.columns.get(name):
                row.columns[name] = derived_id(caller, str(old), row.created_at)
    new |= ledger.insert(copies, is_counted=not is_import)
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
