"""The log of the embedded PostgreSQL, which keeps it open while it runs."""

import os
import re
import shutil
from pathlib import Path

MAX_BYTES = 10 * 2**20


def rotate(log: Path) -> None:
    """Move the content of a large log to `<name>.1`, and empty the log."""
    if log.exists() and log.stat().st_size > MAX_BYTES:
        # Not renamed: a running server would go on writing to the old file. Lines that it
        # writes between these two steps are lost.
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def fatal_line(log: Path, begin: int) -> str:
    """Return the last fatal line of the log after the offset `begin`, else the last line."""
    lines = log.read_bytes()[begin:].decode(errors="replace").splitlines()
    # Not the refusals of our own attempts to connect.
    fatal = [line for line in lines if re.search(r"(FATAL|PANIC):  (?!the database system)", line)]
    return (fatal or lines or ["(empty)"])[-1]
