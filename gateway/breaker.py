"""A circuit breaker for each upstream, in each worker.

closed → open after several failures in a row → half open: one call tries again.
Failures are the upstream's own: no connection, silence, 502 to 504, a broken answer.
"""

import time
from collections.abc import Callable
from enum import StrEnum

MAX_FAILURES = 5
OPEN_SECONDS = 30


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Says whether an upstream is asked, and learns from how it answers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._is_probing = False

    @property
    def state(self) -> BreakerState:
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self.seconds_left <= 0 else BreakerState.OPEN

    @property
    def seconds_left(self) -> float:
        """Seconds until the next call is tried; 0 or less when it is time."""
        if self._opened_at is None:
            return 0
        return self._opened_at + OPEN_SECONDS - self._clock()

    def acquire(self) -> bool:
        """Return whether a call may be made now."""
        match self.state:
            case BreakerState.CLOSED:
                return True
            case BreakerState.HALF_OPEN if not self._is_probing:
                self._is_probing = True
                return True
        return False

    def succeeded(self) -> None:
        self._failures, self._opened_at, self._is_probing = 0, None, False

    def failed(self) -> None:
        self._failures += 1
        if self._is_probing or self._failures >= MAX_FAILURES:
            self._opened_at = self._clock()
        self._is_probing = False

    def abandoned(self) -> None:
        """Note a call that says nothing about the upstream: its client left, or erred."""
        self._is_probing = False
