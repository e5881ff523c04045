"""The names of registry versions.

`2026.08.18` is the first snapshot taken on that day (UTC), `2026.08.18.2` the
second; dashes are accepted for dots. A bare number is one of upstream's archives.
Source: docs/http-contract.md, section "Registry".
"""

import re
from datetime import date
from typing import NamedTuple

_DATED = re.compile(r"(\d{4})[.-](\d{2})[.-](\d{2})(?:[.-]([1-9]\d{0,3}))?", re.ASCII)
_ARCHIVE = re.compile(r"[1-9]\d{0,5}", re.ASCII)


class SnapshotName(NamedTuple):
    """The name of a snapshot; names sort in the order in which snapshots were taken."""

    day: date
    ordinal: int = 1

    def __str__(self) -> str:
        name = f"{self.day:%Y.%m.%d}"
        return name if self.ordinal == 1 else f"{name}.{self.ordinal}"


def parse_snapshot_name(text: str) -> SnapshotName | None:
    """Return the snapshot name in `text`; None if it is not one."""
    match = _DATED.fullmatch(text)
    if match is None:
        return None
    year, month, day, ordinal = match.groups()
    try:
        return SnapshotName(date(int(year), int(month), int(day)), int(ordinal or 1))
    except ValueError:
        return None


def parse_archive_number(text: str) -> int | None:
    """Return the archive number in `text`; None if it is not one."""
    return int(text) if _ARCHIVE.fullmatch(text) else None
