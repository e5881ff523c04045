"""A limit to all the waiting that a thread does for others' servers.

The timeouts of sockets bound each wait, not their sum: a server that sends a
byte now and then keeps its caller for ever. Here every read looks at the clock.
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
    """All that this thread waits for in the block ends within so many seconds.

    What is late raises requests.Timeout. Of nested limits the tightest holds.
    """
    token = _deadline.set(min(_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining(at_most: float = float("inf")) -> float:
    """Seconds until the tightest limit, `at_most` that many. Raises requests.Timeout after it."""
    left = min(at_most, _deadline.get() - time.monotonic())
    if left <= 0:
        raise requests.Timeout("the time is up")
    return left


class LimitedResponse(HTTPResponse):
    """An HTTP response of which headers and body are read within the limit."""

    def __init__(self, sock, *args, **kwargs) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_LimitedReads(self.fp.detach(), sock))


class _LimitedReads(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._patience = sock.gettimeout() or float("inf")  # granted to a single wait

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int | None:
        left = min(self._patience, _deadline.get() - time.monotonic())
        if left <= 0:
            raise TimeoutError("the time is up")
        self._sock.settimeout(None if left == float("inf") else left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
