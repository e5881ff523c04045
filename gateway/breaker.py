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
    """Decides whether an upstream may be called, by how its last calls went."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probe: Attempt | None = None

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

    def acquire(self) -> "Attempt | None":
        """Return an attempt if a call may be made now."""
        match self.state:
            case BreakerState.CLOSED:
                return Attempt(self)
            case BreakerState.HALF_OPEN if self._probe is None:
                self._probe = Attempt(self)
                return self._probe
        return None

    def begun(self, attempt: "Attempt") -> None:
        """Let others through once the probe's answer comes, which may take minutes.

        The next failure opens it again.
        """
        if attempt is self._probe:
            self._failures, self._opened_at, self._probe = MAX_FAILURES - 1, None, None

    def succeeded(self) -> None:
        self._failures, self._opened_at, self._probe = 0, None, None

    def failed(self, attempt: "Attempt") -> None:
        self._failures += 1
        if attempt is self._probe or self._failures >= MAX_FAILURES:
            self._opened_at = self._clock()
        self.abandoned(attempt)

    def abandoned(self, attempt: "Attempt") -> None:
        # A call from before the breaker opened may end meanwhile.
        if attempt is self._probe:
            self._probe = None


class Attempt:
    """A call that its breaker has let through, and how it went."""

    __slots__ = ("_breaker",)

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def begun(self) -> None:
        """Note that the answer has begun to come, and goes on."""
        self._breaker.begun(self)

    def succeeded(self) -> None:
        self._breaker.succeeded()

    def failed(self) -> None:
        self._breaker.failed(self)

    def abandoned(self) -> None:
        """Note a call that says nothing about the upstream: its client left, or erred."""
        self._breaker.abandoned(self)
