"""A deadline for everything that a thread waits for in a block.

Timeouts of sockets bound each wait, not their sum: a server that sends a byte now
and then holds its caller for ever. Here every read checks the deadline.
"""

import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPResponse

import requests

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Bound the block's network waits by so many seconds in all.

    A read beyond it raises requests.Timeout. The earliest of nested deadlines holds.
    """
    token = _deadline.set(min(_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining(at_most: float = float("inf")) -> float:
    """Return the seconds left, `at_most` so many. Raises requests.Timeout after the deadline."""
    left = min(at_most, _deadline.get() - time.monotonic())
    if left <= 0:
        raise requests.Timeout("the time is up")
    return left


class LimitedResponse(HTTPResponse):
    """An HTTP response whose headers and body are read before the deadline."""

    def __init__(self, sock, *args, **kwargs) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_LimitedReads(self.fp.detach(), sock))


class _LimitedReads(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._timeout = sock.gettimeout() or float("inf")  # of a single read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int | None:
        left = min(self._timeout, _deadline.get() - time.monotonic())
        if left <= 0:
            raise TimeoutError("the time is up")
        self._sock.settimeout(None if left == float("inf") else left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
