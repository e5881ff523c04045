"""Selection of the rows that fit into a project's remaining quota of logs (docs/limits.md)."""

from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from uuid import UUID

from usage.ledger import LogRow
from usage.models import EntryType


class QuotaFit:
    """Picks the rows that need no room, and the first others for which there is some.

    `known` has ids and event ids that the project has, `reversed_ids` the entries that were
    taken back. A correction needs no room where the project has what it corrects, and a
    replacement only beside its reversal: else each would be one more call, whatever it says.
    """

    def __init__(
        self,
        rows: Sequence[LogRow],
        *,
        known: set[str | UUID],
        reversed_ids: set[UUID],
        room: int,
    ) -> None:
        self.counted_corrections: set[UUID] = set()
        self._known, self._reversed, self._room = known, reversed_ids, room
        self._fitting: set[int] = set()
        corrections = [row for row in rows if not self._take_call(row)]
        self._take_corrections(corrections)
        self.rows = [row for row in rows if id(row) in self._fitting]

    def _take_call(self, row: LogRow) -> bool:
        """Take a row that is known, or a call as far as there is room. Corrections wait."""
        if not _names(row) & self._known:
            if row.entry_type != EntryType.CALL:
                return False
            if self._room <= 0:
                return True
            self._room -= 1
        self._take(row)
        return True

    def _take_corrections(self, corrections: list[LogRow]) -> None:
        # In a batch they are in no order, and each may be what another one corrects.
        waiting = defaultdict(list)
        for row in sorted(corrections, key=attrgetter("is_replacement")):
            waiting[row.corrects_id].append(row)
        self._follow(waiting, [original for original in waiting if original in self._known])
        for row in corrections:
            if id(row) not in self._fitting and self._room > 0:
                self._room -= 1
                self.counted_corrections.add(row.id)
                self._take(row)
                self._follow(waiting, [row.id])

    def _follow(self, waiting: dict[UUID, list[LogRow]], originals: list[UUID]) -> None:
        """Take the corrections of entries that are taken, and theirs in turn."""
        while originals:
            original = originals.pop()
            for row in waiting.pop(original, ()):
                if not row.is_replacement or original in self._reversed:
                    self._take(row)
                    originals.append(row.id)

    def _take(self, row: LogRow) -> None:
        self._fitting.add(id(row))
        self._known |= _names(row)
        if row.entry_type == EntryType.REVERSAL:
            self._reversed.add(row.corrects_id)


def _names(row: LogRow) -> set[str | UUID]:
    return {row.id, row.event_id} - {None}
