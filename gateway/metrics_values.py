"""The values of metrics in files whose blocks are written before they are used.

prometheus_client maps files into memory that are larger than what the disk holds of them.
On a full disk the first use of a new part of such a file ends the process (SIGBUS), and
that of each process that replaces it.
"""

import errno
import logging
import mmap
import os

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)

_FIRST_BYTES = 1 << 16
_MEMORY_BYTES = 1 << 26  # of which only what is used is taken


def use_reserved_files() -> None:
    """Have prometheus_client keep the values of this process in such files."""
    values.MmapedDict = ReservedDict


class ReservedDict(MmapedDict):
    """A file of values; without room for it, what is counted stays in memory, shown to nobody."""

    def __init__(self, filename: str) -> None:
        try:
            if not os.path.exists(filename):
                _make(filename)
            super().__init__(filename)
        except OSError as error:
            logger.warning("metrics of process %d are not kept: %s", os.getpid(), error)
            self._f = open(os.devnull, "rb")  # noqa: SIM115
            self._positions = {}
            self._m, self._used, self._capacity = mmap.mmap(-1, _MEMORY_BYTES), 8, _MEMORY_BYTES

    def _init_value(self, key: str) -> None:
        # Entries have at most 32 bytes beside the key.
        while self._used + len(key.encode()) + 32 > self._capacity:
            self._grow()
        super()._init_value(key)

    def _grow(self) -> None:
        """Map twice as much of the file; or go on in memory, where the file stays as it is."""
        try:
            _append_zeros(self._f.fileno(), self._capacity)
            grown = mmap.mmap(self._f.fileno(), 2 * self._capacity)
        except OSError as error:
            logger.warning("metrics of process %d are no longer kept: %s", os.getpid(), error)
            grown = mmap.mmap(-1, _MEMORY_BYTES)
            grown[: self._used] = self._m[: self._used]
        self._m, self._capacity = grown, len(grown)


def _make(filename: str) -> None:
    """Make the file whole or not at all: those who read all files take none without content."""
    draft = f"{filename}.new"
    try:
        with open(draft, "wb", buffering=0) as file:
            _append_zeros(file.fileno(), _FIRST_BYTES)
        os.rename(draft, filename)
    except OSError:
        if os.path.exists(draft):
            os.unlink(draft)
        raise


def _append_zeros(descriptor: int, count: int) -> None:
    if os.write(descriptor, bytes(count)) < count:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
