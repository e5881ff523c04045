"""The files in which the workers of one server keep the values of gateway/metrics.py.

A server without workers of its own (runserver, an embedded application) has none: then
the values are in its memory.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when it is imported
_made: list[Path] = []  # directories, innermost first


def prepare(data_dir: Path, port: int) -> None:
    """Give the server on this port an empty directory, before anything imports metrics.

    It is below the data directory, else (where that cannot be written) temporary.
    """
    directory = data_dir / "metrics" / str(port)
    shutil.rmtree(directory, ignore_errors=True)
    _made[:] = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True)
    except OSError:
        directory = Path(tempfile.mkdtemp(prefix="llmring-metrics-"))
        _made[:] = [directory]
    os.environ[_VARIABLE] = str(directory)


def forget(pid: int) -> None:
    """Take the gauges of a worker that has ended out of the sums; what it counted stays."""
    from prometheus_client import multiprocess

    if _VARIABLE in os.environ:
        multiprocess.mark_process_dead(pid)


def remove() -> None:
    """Delete what `prepare` made, after the last worker has ended or if there is none."""
    if directory := os.environ.pop(_VARIABLE, None):
        shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):  # as soon as one holds something else
        for path in _made[1:]:
            path.rmdir()
