"""Commands whose reader closes the pipe early, as in `manage listkeys | head`."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def exit_when_closed() -> Iterator[None]:
    """End with status 1, without a traceback, when the reader of the output is gone."""
    try:
        try:
            yield
        finally:
            if sys.stdout:  # None with `>&-`
                sys.stdout.flush()  # else the interpreter's flush at exit prints an error
    except BrokenPipeError:
        if not _has_no_reader(sys.stdout.fileno()):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _has_no_reader(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
