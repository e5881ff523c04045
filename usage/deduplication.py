"""Storing rows that may be known already: repeated events, exported logs, copies.

Source: docs/http-contract/usage.md, section "Round trips".
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db import Error, transaction

from accounts import log_quotas
from core.errors import DatabaseUnavailable
from core.scoping import Caller
from usage import copies, ledger
from usage.copies import ExportedRow
from usage.events import stored_events
from usage.ledger import LogRow
from usage.models import EntryType, UsageLog

_ATTEMPTS = 10  # to store what others store at the same time, or to find room that they take


class _StoredMeanwhile(Exception):
    """Another transaction has stored a row since its id was looked up."""


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
    exported = [ExportedRow.of(row) for row in rows if is_import or row.is_exported]
    now = datetime.now(UTC)
    is_short = not is_import and log_quotas.known_refusal(caller, now) is not None
    for _ in range(1 + _ATTEMPTS):
        try:
            with transaction.atomic():
                present = copies.adopt(caller, exported, keeps_old_ids=is_import)
                superseded = _superseded(caller, exported)
                wanted = [row for row in rows if id(row) not in superseded]
                fitting = _fitting(caller, wanted, present) if is_short else wanted
                stored = _store(caller, fitting, is_counted=not is_import)
                return _outcomes(rows, stored | superseded)
        except _StoredMeanwhile:
            continue
        except Error as error:
            # Whoever stores at the same time took the room: now there is less.
            if not log_quotas.is_cause(error):
                raise
            is_short = True
    raise log_quotas.exceeded(caller, datetime.now(UTC)) if is_short else DatabaseUnavailable


def _superseded(caller: Caller, exported: Sequence[ExportedRow]) -> dict[int, Outcome]:
    """Return the outcome of each row in whose place the project has another, by `id()`."""
    if not any(each.corrects_id for each in exported):
        return {}
    others = copies.superseded(exported, copies.stored_corrections(caller, exported))
    logs = UsageLog.objects.for_caller(caller).in_bulk([*others.values()])
    return {
        id(row): Outcome(logs.get(others[id(row)], row), is_new=False)
        for row, *_ in exported
        if id(row) in others
    }


def _fitting(caller: Caller, rows: Sequence[LogRow], present: set[UUID]) -> list[LogRow]:
    """Return the rows that need no room, and the first for which there is some.

    `present` has the ids of exported rows that are stored; those of others are new.
    """
    room = log_quotas.room(caller.project_id, datetime.now(UTC))
    fitting, seen = [], {*stored_events(caller, rows), *present}
    for row in rows:
        names = {row.id, row.event_id} - {None}
        if not names & seen and row.columns["entry_type"] == EntryType.CALL:
            if room <= 0:
                continue
            room -= 1
        seen |= names
        fitting.append(row)
    return fitting


def _store(caller: Caller, rows: Sequence[LogRow], *, is_counted: bool) -> dict[int, Outcome]:
    """Store the rows that are new; return the outcome of each by the row's `id()`."""
    new = ledger.insert(rows, is_counted=is_counted)
    rest = [row for row in rows if row.id not in new]
    events, known = stored_events(caller, rest), _stored_ids(caller, rest)
    if any(row.event_id not in events and row.id not in known for row in rest):
        raise _StoredMeanwhile
    outcomes = {}
    for row in rows:
        is_new = row.id in new
        new.discard(row.id)  # a row that comes twice is new once
        stored = row if is_new else events.get(row.event_id) or known.get(row.id, row)
        outcomes[id(row)] = Outcome(stored, is_new)
    return outcomes


def _outcomes(rows: Sequence[LogRow], stored: dict[int, Outcome]) -> list[Outcome]:
    """Return the outcomes of the rows, in order; those that were left out are refused."""
    return [stored.get(id(row)) or Outcome(row, is_new=False, is_refused=True) for row in rows]


def _stored_ids(caller: Caller, rows: Sequence[LogRow]) -> dict[UUID, UsageLog]:
    if not rows:
        return {}
    return UsageLog.objects.for_caller(caller).in_bulk([row.id for row in rows])
