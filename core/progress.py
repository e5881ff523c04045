"""Progress of long commands, shown while they run and gone afterwards."""

from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def count(batches: Iterable[int], *, what: str, file: TextIO) -> int:
    """Return the sum of the batches, shown as it grows: a number of `what`."""
    total = 0
    columns = SpinnerColumn(), TextColumn(f"{{task.completed}} {what}")
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(file=file), transient=True
    ) as progress:
        task = progress.add_task("", total=None)
        for size in batches:
            total += size
            progress.advance(task, size)
    return total
