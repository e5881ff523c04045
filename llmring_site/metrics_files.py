"""The files in which the workers of one server keep the values of gateway/metrics.py.

A server without workers of its own (runserver, an embedded application) has none: then
the values are in its memory.
"""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when it is imported
_made: list[Path] = []  # the directory above the server's own, unless it was there


def prepare(data_dir: Path, port: int) -> None:
    """Give this server an empty directory of its own, before anything imports metrics.

    It is below the data directory, or temporary where there is none yet or it cannot be written;
    where neither can, each worker keeps its own values in memory. Several servers may share a
    data directory, and even a port: in other containers, on other addresses, or while the second
    one finds the port in use.
    """
    if "prometheus_client" in sys.modules:  # each worker would have its own values, unnoticed
        raise RuntimeError("prometheus_client was imported before its directory was made")
    shared = data_dir / "metrics"
    _made[:] = [] if shared.exists() else [shared]
    try:
        shared.mkdir(exist_ok=True)
        with _held(shared):
            _remove_ended(shared)
            directory = Path(tempfile.mkdtemp(prefix=f"{port}-", dir=shared))
            _hold(directory)
    except OSError:
        _made.clear()
        try:
            directory = Path(tempfile.mkdtemp(prefix="llmring-metrics-"))
        except OSError:
            return
    os.environ[_VARIABLE] = str(directory)


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Keep other servers from making or removing directories meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hold(directory: Path) -> None:
    """Mark the directory as in use until this process and all that it forks have ended."""
    fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_ended(shared: Path) -> None:
    """Delete the directories of servers that were killed: nobody holds them."""
    for directory in shared.glob("*-*"):
        with suppress(BlockingIOError, FileNotFoundError):  # its server runs, or has just ended
            descriptor = os.open(directory, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(descriptor)


def forget(pid: int) -> None:
    """Remove the gauges of a worker that has ended from the sums; its counters stay."""
    from prometheus_client import multiprocess

    if _VARIABLE in os.environ:
        multiprocess.mark_process_dead(pid)


def remove() -> None:
    """Delete what `prepare` made, after the last worker has ended or without any.

    Other servers' directories stay, and so do the directories above them.
    """
    if directory := os.environ.pop(_VARIABLE, None):
        shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):  # one is not empty
        for path in _made:
            path.rmdir()
