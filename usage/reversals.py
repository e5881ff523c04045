"""Taking entries back: the ledger is append-only, so another entry has the opposite numbers.

A reversal stands on the day of the original and under its labels, as does the
replacement that may follow it. All sums change in the same transaction.
Source: docs/http-contract/usage.md, section "Corrections".
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from core import ids
from core.errors import DomainError
from core.scoping import Caller
from usage import ledger
from usage.columns import GATEWAY_COLUMNS, SIGNED_COLUMNS
from usage.ledger import LogRow
from usage.models import EntryType, UsageLog

_REPLACED = "replaced by a later report"
# Of the original, what its replacement keeps: when it was, whose, and how it was relayed.
_KEPT = ("created_at", "api_key_id", "user_id", *GATEWAY_COLUMNS)


# Called within the transaction of a correction, with the entry and what stands for it now.
Follower = Callable[[UsageLog, LogRow | None], None]
_followers: list[Follower] = []


def follow_corrections(follower: Follower) -> None:
    """Call the function at every correction from now on: other apps keep sums of their own."""
    if follower not in _followers:
        _followers.append(follower)


class AlreadyCorrected(DomainError):
    status_code = 409
    code = "already_corrected"

    def __init__(self) -> None:
        super().__init__("The log is corrected already; correct its replacement instead")


class NotCorrectable(DomainError):
    status_code = 409
    code = "not_correctable"

    def __init__(self) -> None:
        super().__init__("A reversal cannot be corrected")


def negated(columns: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a row with the opposite sign."""
    return {name: -columns[name] for name in SIGNED_COLUMNS if columns.get(name) is not None}


def require_correctable(original: UsageLog) -> None:
    """Raise NotCorrectable for a reversal: what it took back stays taken back."""
    if original.entry_type == EntryType.REVERSAL:
        raise NotCorrectable


def reverse(
    original: UsageLog,
    *,
    reason: str,
    author: str,
    replacement: LogRow | None = None,
) -> UUID:
    """Reverse an entry, and store its replacement; return the id of the reversal.

    Raises AlreadyCorrected, NotCorrectable.
    """
    require_correctable(original)
    link = {
        "corrects_id": original.id,
        "correction_reason": reason,
        "correction_author": author,
        "received_at": datetime.now(UTC),
        "event_id": None,
    }
    reversal = LogRow(_reversal(original) | link)
    rows = [reversal]
    if replacement is not None:
        # A later report may be the first to name the conversation.
        replacement.columns.setdefault("conversation_id", original.conversation_id)
        replacement.columns |= _kept(original) | link
        rows.append(replacement)
    with transaction.atomic():
        # First, in the order in which the gateway's statements lock budgets and sums.
        for follow in _followers:
            follow(original, replacement)
        if len(ledger.insert(rows)) < len(rows):
            raise AlreadyCorrected  # which rolls back what was stored
    return reversal.id


def _reversal(original: UsageLog) -> dict[str, Any]:
    """Return the columns that take an entry back."""
    columns = columns_of(original)
    return {
        **columns,
        **negated(columns),
        "id": ids.uuid7(original.created_at),
        "fingerprint": None,
        "entry_type": EntryType.REVERSAL,
    }


def _kept(original: UsageLog) -> dict[str, Any]:
    """Return the columns of a replacement that follow from what it replaces."""
    return {
        **{name: getattr(original, name) for name in _KEPT},
        "id": ids.uuid7(original.created_at),
        "entry_type": EntryType.REPLACEMENT,
    }


def replace(caller: Caller, first: UsageLog, row: LogRow) -> UsageLog | LogRow:
    """Have a later report of an event correct the earlier one; return the current entry.

    A report that came before changes nothing, not even one that has been replaced or
    corrected meanwhile: it is a retry. Raises AlreadyCorrected if the event was voided.
    """
    while True:
        entries = _entries(first)
        current = entries[-1]
        if row.fingerprint in {entry.fingerprint for entry in entries}:
            return current
        try:
            reverse(current, reason=_REPLACED, author=caller.author, replacement=row)
            return row
        except AlreadyCorrected:
            if _entries(first)[-1].id == current.id:
                raise  # nothing stands for it: it was voided


def _entries(first: UsageLog) -> list[UsageLog]:
    """Return an entry and its replacements, the current one last. A query for each."""
    replacements = UsageLog.objects.filter(
        project_id=first.project_id, entry_type=EntryType.REPLACEMENT
    )
    entries = [first]
    while following := replacements.filter(corrects_id=entries[-1].id).first():
        entries.append(following)
    return entries


def columns_of(log: UsageLog) -> dict[str, Any]:
    """Return the columns of a stored row that are not empty."""
    values = {
        field.attname: getattr(log, field.attname) for field in UsageLog._meta.concrete_fields
    }
    return {name: value for name, value in values.items() if value is not None}
