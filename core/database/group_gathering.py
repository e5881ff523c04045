"""When to write a group: at once, or when the callers of the last one have come back."""

import asyncio
from collections.abc import Sized

_MAX_WAIT_SECONDS = 0.002  # after the last group
_WRITTEN_AT_ONCE = 63  # groups, after one to which fewer than three quarters came back


class Gathering:
    """Delays the next group until the callers of the last one have come back.

    Clients that got their replies together often send their next requests together. If the
    first of these were written at once, the others would wait for that statement, and would
    form a second group from then on: twice the statements. A single caller never waits.
    """

    def __init__(self, pending: Sized, loop: asyncio.AbstractEventLoop) -> None:
        self._pending = pending
        self._loop = loop
        # Callers that were waiting when the last group was answered, and those in that group.
        self._waiting = self._answered = 0
        self._deadline = 0.0
        self._written_at_once = 0
        self._complete: asyncio.Future | None = None

    def answered(self, size: int) -> None:
        """Note that a group of this size was written, and has been answered."""
        if self._written_at_once:
            self._written_at_once -= 1
            size = 0
        self._waiting, self._answered = len(self._pending), size
        self._deadline = self._loop.time() + _MAX_WAIT_SECONDS

    def joined(self) -> None:
        """Note that another caller waits."""
        if self._complete is not None and self._is_complete:
            self._end()

    async def complete(self) -> None:
        """Return when it is time to write."""
        if self._is_complete or (seconds := self._deadline - self._loop.time()) <= 0:
            return
        self._complete = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._end)
        try:
            await self._complete
        finally:
            timer.cancel()
            self._complete = None
        if 4 * (len(self._pending) - self._waiting) < 3 * self._answered:
            self._written_at_once = _WRITTEN_AT_ONCE

    @property
    def _is_complete(self) -> bool:
        return len(self._pending) >= self._waiting + self._answered

    def _end(self) -> None:
        if not self._complete.done():
            self._complete.set_result(None)
