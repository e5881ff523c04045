"""A deadline for all network waits of a block of code.

Socket timeouts bound each wait, not their sum: a server that sends a byte now and then
would keep its caller forever. Here every read checks the deadline.
"""

import io
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from http.client import HTTPResponse

import requests

from core.egress.cancellation import interruptible, is_cancelled


class _Deadline:
    """When a time limit ends. `outer` is the enclosing one, which applies too."""

    def __init__(self, seconds: float, max_seconds: float, outer: "_Deadline | None") -> None:
        now = time.monotonic()
        self._seconds, self._outer = seconds, outer
        self._at, self._latest = now + seconds, now + max(seconds, max_seconds)
        self.renewed_at = float("-inf")

    @property
    def at(self) -> float:
        return min(self._at, self._outer.at) if self._outer else self._at

    def renew(self) -> None:
        self.renewed_at = time.monotonic()
        self._at = min(self.renewed_at + self._seconds, self._latest)


_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def time_limit(seconds: float, *, max_seconds: float = 0) -> Iterator[None]:
    """Bound the sum of the block's network waits.

    `time_limit_renewal` restarts them, up to `max_seconds`. A read beyond the deadline
    raises requests.Timeout. The earliest of nested deadlines applies.
    """
    token = _deadline.set(_Deadline(seconds, max_seconds, _deadline.get()))
    try:
        yield
    finally:
        _deadline.reset(token)


def time_limit_renewal() -> Callable[[], None]:
    """Return a function that restarts the innermost limit, from any thread, upon progress."""
    deadline = _deadline.get()
    return (lambda: None) if deadline is None else deadline.renew


def remaining(at_most: float = float("inf")) -> float:
    """Return the seconds that are left, but not more than `at_most`.

    Raises requests.Timeout after the deadline, or when the caller is cancelled.
    """
    left = min(at_most, _seconds_left())
    if left <= 0:
        raise requests.Timeout("the time is up")
    return left


def _seconds_left() -> float:
    if is_cancelled():
        return 0
    deadline = _deadline.get()
    return float("inf") if deadline is None else deadline.at - time.monotonic()


def _was_renewed(*, since: float) -> bool:
    deadline = _deadline.get()
    return deadline is not None and deadline.renewed_at >= since


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
        while True:
            begun = time.monotonic()
            left = min(self._timeout, _seconds_left())
            if left <= 0:
                raise TimeoutError("the time is up")
            self._sock.settimeout(None if left == float("inf") else left)
            try:
                with interruptible(self._interrupt):
                    # Not by `_raw`, which refuses to read again after a timeout.
                    return self._sock.recv_into(buffer)
            except TimeoutError:
                if not _was_renewed(since=begun):
                    raise

    def _interrupt(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        self._raw.close()
        super().close()
