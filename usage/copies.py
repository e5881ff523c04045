"""Exported entries as this project has them: a copy of another project's has its own id.

Source: docs/http-contract/usage.md, section "Round trips".
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from core import ids
from core.scoping import Caller
from usage.ledger import LogRow
from usage.models import EntryType, UsageLog
from usage.schemas import LogEntry

# Entries by what they correct, and as what.
Corrections = dict[tuple[UUID, str], UUID]


class ExportedRow(NamedTuple):
    """A row and the ids that it had where it was exported."""

    row: LogRow
    id: UUID
    corrects_id: UUID | None

    @classmethod
    def of(cls, row: LogRow) -> "ExportedRow":
        return cls(row, row.id, row.corrects_id)


def adopt(
    caller: Caller, exported: Sequence[ExportedRow], *, keeps_old_ids: bool = False
) -> set[UUID]:
    """Give the rows the ids of this project; return those of them that are stored already.

    What the project has stays what it is, whoever has the original by now: a copy is found
    by its own id and by its event, and corrections name it. With `keeps_old_ids` the old id
    of a copy becomes its event id if it has none.
    """
    local, present = _local_ids(caller, exported)
    for row, id, _ in exported:
        if keeps_old_ids and local[id] != id:
            row.columns["event_id"] = row.event_id or str(id)
    events = _ids_of_events(caller, exported)
    for row, id, _ in exported:
        if local[id] not in present and row.event_id in events:
            local[id] = events[row.event_id]
            present.add(local[id])
    for row, id, corrects_id in exported:
        row.columns["id"] = local[id]
        if corrects_id:
            row.columns["corrects_id"] = local[corrects_id]
    return present


def _local_ids(
    caller: Caller, exported: Sequence[ExportedRow]
) -> tuple[dict[UUID, UUID], set[UUID]]:
    """Return the id here of each entry and of what it corrects, and which of these are stored."""
    # What is corrected happened at its correction's time, if its own row is not among these.
    times = {original: row.created_at for row, _, original in exported if original}
    times |= {id: row.created_at for row, id, _ in exported}
    copies = {id: derived_id(caller, str(id), at) for id, at in times.items()}
    # Of every project: an id that another one holds is not free here.
    logs = UsageLog.objects.filter(id__in={*copies, *copies.values()})
    owners = dict(logs.values_list("id", "project_id"))
    present = {id for id, owner in owners.items() if owner == caller.project_id}
    free = {id for id in copies if id not in owners and copies[id] not in owners}
    kept = present | free
    local = {id: id if id in kept else copy for id, copy in copies.items()}
    return local, present


def stored_corrections(caller: Caller, exported: Sequence[ExportedRow]) -> Corrections:
    """Return the corrections that the project has of what adopted rows correct."""
    originals = {row.corrects_id for row, _, corrects_id in exported if corrects_id}
    logs = UsageLog.objects.for_caller(caller).filter(corrects_id__in=originals)
    places = logs.values_list("corrects_id", "entry_type", "id")
    return {(original, entry_type): id for original, entry_type, id in places}


def superseded(exported: Sequence[ExportedRow], stored: Corrections) -> dict[int, UUID]:
    """Return, by the `id()` of each row that a correction of the project stands for, its id.

    An entry is corrected once. Where the project has corrected its copy otherwise, the
    exported correction is left out, with its replacement and all that corrects that.
    """
    corrections = [each for each in exported if each.corrects_id]
    others = _stored_otherwise(corrections, stored)
    following = defaultdict(list)
    for each in corrections:
        following[each.corrects_id].append(each.id)
    waiting = [*others]
    while waiting:
        left_out = waiting.pop()
        for later in following.pop(left_out, ()):
            others.setdefault(later, others[left_out])
            waiting.append(later)
    return {id(each.row): others[each.id] for each in corrections if each.id in others}


def _stored_otherwise(corrections: Sequence[ExportedRow], stored: Corrections) -> dict[UUID, UUID]:
    """Return, by its exported id, of each correction whose place another one has, that one."""
    holders, others = dict(stored), {}
    local = {each.row.id for each in corrections}
    reversed_here = {
        row.corrects_id for row, *_ in corrections if row.entry_type == EntryType.REVERSAL
    }
    # A replacement belongs to its reversal, so reversals are first.
    for row, id, _ in sorted(corrections, key=lambda each: each.row.is_replacement):
        original, entry_type = row.corrects_id, row.entry_type
        holder = holders.setdefault((original, entry_type), row.id)
        reversal = holders.get((original, EntryType.REVERSAL))
        if holder != row.id:
            others[id] = holder
        elif original in reversed_here and reversal not in local:
            others[id] = reversal
    return others


def _ids_of_events(caller: Caller, exported: Sequence[ExportedRow]) -> dict[str, UUID]:
    event_ids = [each.row.event_id for each in exported if each.row.event_id]
    logs = UsageLog.objects.for_caller(caller).filter(event_id__in=event_ids)
    return dict(logs.values_list("event_id", "id"))


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
    return ids.derived(at, f"{caller.project_id}/{text}".encode())
