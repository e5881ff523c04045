"""The log of the embedded PostgreSQL, which appends to it as long as it runs."""

import os
import re
import shutil
from pathlib import Path

MAX_BYTES = 10 * 2**20


def rotate(log: Path) -> None:
    """Keep a log that has grown large as `<name>.1`, and let it begin anew."""
    if log.exists() and log.stat().st_size > MAX_BYTES:
        # Not renamed: a running server would go on writing to the old file. What it writes
        # between these two steps is lost.
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def fatal_line(log: Path, begin: int) -> str:
    """Return the line of the log that has the reason, of those after `begin`, else the last."""
    lines = log.read_bytes()[begin:].decode(errors="replace").splitlines()
    # What our own attempts to connect get is not the reason.
    fatal = [line for line in lines if re.search(r"(FATAL|PANIC):  (?!the database system)", line)]
    return (fatal or lines or ["(empty)"])[-1]
