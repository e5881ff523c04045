"""Storing rows that may be known already: repeated events, exported logs, copies.

Source: docs/http-contract/usage.md, section "Round trips".
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import Error, transaction

from accounts.limits import log_quotas
from core.errors import DatabaseUnavailable
from core.scoping import Caller
from usage import copies, ledger
from usage.copies import Corrections, ExportedRow
from usage.events import stored_events
from usage.ledger import LogRow
from usage.models import EntryType, UsageLog
from usage.quota_fit import QuotaFit

_ATTEMPTS = 10  # to store what others store at the same time, or to find room that they take


class _StoredMeanwhile(Exception):
    """Another transaction has stored a row since its id was looked up."""


class Outcome(NamedTuple):
    """The outcome of a row: the row itself if it is new, else the one stored before.

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
                return _store(caller, rows, exported, is_import=is_import, is_short=is_short)
        except _StoredMeanwhile:
            continue
        except Error as error:
            # A concurrent writer has used the rest of the quota.
            if not log_quotas.is_cause(error):
                raise
            is_short = True
    raise log_quotas.exceeded(caller, datetime.now(UTC)) if is_short else DatabaseUnavailable()


def _store(
    caller: Caller,
    rows: Sequence[LogRow],
    exported: Sequence[ExportedRow],
    *,
    is_import: bool,
    is_short: bool,
) -> list[Outcome]:
    """Store the rows that are not known; if the quota `is_short`, those that fit."""
    present = copies.adopt(caller, exported, keeps_old_ids=is_import)
    corrections = copies.stored_corrections(caller, exported)
    superseded = _superseded(caller, exported, corrections)
    wanted = [row for row in rows if id(row) not in superseded]
    if is_import:
        stored = _insert(caller, wanted, is_counted=False)
    elif is_short or any(each.corrects_id for each in exported):
        fit = _fit(caller, wanted, present, corrections, is_short=is_short)
        stored = _insert(caller, fit.rows, counted_corrections=fit.counted_corrections)
    else:
        stored = _insert(caller, wanted)
    return _outcomes(rows, stored | superseded)


def _superseded(
    caller: Caller, exported: Sequence[ExportedRow], corrections: Corrections
) -> dict[int, Outcome]:
    """Return the outcome of each row in whose place the project has another, by `id()`."""
    others = copies.superseded(exported, corrections)
    if not others:
        return {}
    logs = UsageLog.objects.for_caller(caller).in_bulk([*others.values()])
    return {
        id(row): Outcome(logs.get(others[id(row)], row), is_new=False)
        for row, *_ in exported
        if id(row) in others
    }


def _fit(
    caller: Caller,
    rows: Sequence[LogRow],
    present: set[UUID],
    corrections: Corrections,
    *,
    is_short: bool,
) -> QuotaFit:
    """Return what fits into the quota; `present` are ids of exported rows that are stored."""
    return QuotaFit(
        rows,
        known={*stored_events(caller, rows), *present},
        reversed_ids={id for id, entry_type in corrections if entry_type == EntryType.REVERSAL},
        # Else the statement that stores the rows finds out whether there is room.
        room=log_quotas.room(caller.project_id, datetime.now(UTC)) if is_short else sys.maxsize,
    )


def _insert(caller: Caller, rows: Sequence[LogRow], **counting: Any) -> dict[int, Outcome]:
    """Store the rows that are new; return the outcome of each by the row's `id()`.

    `counting` is what ledger.insert takes.
    """
    new = ledger.insert(rows, **counting)
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
