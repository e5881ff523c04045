"""The file of LOG_FILE, which all processes write to and one of them rotates."""

import sys
import time
from contextlib import suppress
from logging import LogRecord

from concurrent_log_handler import ConcurrentRotatingFileHandler

from llmring_site.log_config import CALLS_LOGGER

_SILENT_SECONDS = 60


class RotatedFile(ConcurrentRotatingFileHandler):
    """Reports once a minute that the file cannot be written, and retries at each line.

    Meanwhile the server's log goes to standard error; the lines of calls, of which there may be
    thousands a second, are dropped.
    """

    _silent_until = float("-inf")  # for all handlers of this process

    def handleError(self, record: LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not isinstance(error, OSError | RuntimeError):  # the latter: no lock
            return super().handleError(record)
        with suppress(OSError, ValueError, AttributeError):  # standard error may be gone too
            if time.monotonic() >= RotatedFile._silent_until:
                RotatedFile._silent_until = time.monotonic() + _SILENT_SECONDS
                sys.stderr.write(
                    f"error: LOG_FILE cannot be written ({error}): the log goes on here, "
                    "lines of calls are lost\n"
                )
            if record.name != CALLS_LOGGER:
                sys.stderr.write(f"{self.format(record)}\n")
