"""Progress of long commands, shown while they run and gone afterwards."""

from collections.abc import Iterable

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn


def display(*columns: ProgressColumn, stream: OutputWrapper) -> Progress:
    """Return a progress bar, or what the columns show; nothing outside a terminal.

    There it would leave lines behind, in a log or a mail of cron.
    """
    console = Console(file=stream._out)  # the wrapper adds line ends
    return Progress(*columns, console=console, transient=True, disable=not stream.isatty())


def count(batches: Iterable[int], *, what: str, stream: OutputWrapper) -> int:
    """Return the sum of the batches, shown as it grows: a number of `what`."""
    total = 0
    text = TextColumn(f"{{task.completed}} {what}")
    with display(SpinnerColumn(), text, TimeElapsedColumn(), stream=stream) as progress:
        task = progress.add_task("", total=None)
        for size in batches:
            total += size
            progress.advance(task, size)
    return total
