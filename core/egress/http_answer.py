"""The answer to a request, as it arrives: its head first, then the body piece by piece."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, Self

RawHeaders = list[tuple[bytes, bytes]]

_HIGH_WATER = 64 * 1024  # bytes of unread data at which reading from the socket pauses


class BrokenConnection(ConnectionError):
    """The connection ended before the answer did.

    `is_silent`: no byte of it had arrived. `idle_seconds` is how long the connection had been
    idle before the request; None for a new connection.
    """

    def __init__(self, reason: str, *, is_silent: bool, idle_seconds: float | None) -> None:
        super().__init__(reason)
        self.is_silent = is_silent
        self.idle_seconds = idle_seconds


class BodyFailed(BrokenConnection):
    """The client closed the connection, because the request's own body was incomplete."""


class MalformedAnswer(BrokenConnection):
    """The data received is not HTTP."""


class BodyStalled(TimeoutError):
    """The time limit was reached while the request's own body was incomplete."""


class _Source(Protocol):
    @property
    def awaits_body(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def abort(self) -> None: ...


class Answer:
    """Status, headers and body of an answer. `is_whole`: all of it has arrived."""

    def __init__(self, source: _Source, loop: asyncio.AbstractEventLoop) -> None:
        self.has_head = False
        self.status = 0
        self.headers: RawHeaders = []
        self.is_whole = False
        self._source = source
        self._loop = loop
        self._pieces: deque[bytes] = deque()
        self._size = 0  # of the pieces
        self._error: Exception | None = None
        self._waiter: asyncio.Future | None = None
        self._pass_on: Callable[[bytes], bool] | None = None
        self._silence: float | None = None
        self._active_at = 0.0  # when data was last received or sent, or a wait began
        self._silence_timer: asyncio.TimerHandle | None = None
        self._time_limit: asyncio.TimerHandle | None = None

    def header(self, name: bytes) -> str:
        """Return the first header with this name, in lower case; "" if there is none."""
        for known, value in self.headers:
            if known.lower() == name:
                return value.decode("latin-1")
        return ""

    async def head(self) -> Self:
        """Return the answer when its head has arrived. Raises the same as `read`."""
        while not self.has_head and self._error is None:
            await self._arrival()
        if isinstance(self._error, MalformedAnswer) or not self.has_head:
            raise self._error
        return self

    async def read(self, pass_on: Callable[[bytes], bool] | None = None) -> bytes:
        """Return the data received since the last call; b"" at the end of the body.

        Data that arrives during the call is offered to `pass_on` at once, and returned only if
        that returns False: waking the reader takes longer than passing on a piece of a stream.

        After all data that was received before, raises BrokenConnection, or the error of a
        limit (TimeoutError, BodyStalled). Also raises what `pass_on` raises.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.is_whole:
                return b""
            self._pass_on = pass_on
            try:
                await self._arrival()
            finally:
                self._pass_on = None
        if self._size >= _HIGH_WATER and not self.is_whole:
            self._source.resume_reading()
        return self._taken()

    def unread(self, data: bytes) -> None:
        """Put data back that was read; the next `read` returns it."""
        self._pieces.appendleft(data)
        self._size += len(data)

    def limit_silence(self, seconds: float) -> None:
        """Make waits raise TimeoutError after so many seconds in which no byte came or was sent."""
        self._silence = seconds
        if self._silence_timer is not None:  # of an earlier limit
            self._silence_timer.cancel()
            self._silence_timer = None

    def limit_time(self, seconds: float, error: Exception | None = None) -> None:
        """End the answer with the error, by default TimeoutError, unless it is whole by then.

        The earliest of several limits applies.
        """
        if self.is_whole or self._error is not None:
            return
        ends_at = self._loop.time() + seconds
        if self._time_limit is not None:
            if self._time_limit.when() <= ends_at:
                return
            self._time_limit.cancel()
        self._time_limit = self._loop.call_at(ends_at, self._time_out, error)

    def close(self) -> None:
        """Discard the rest: unless the answer is whole, close the connection."""
        if not self.is_whole:
            self._source.abort()

    def note_progress(self) -> None:
        """Restart the silence limit: data was sent, or received that is not part of the body."""
        self._active_at = self._loop.time()

    def begin(self, status: int, headers: RawHeaders) -> None:
        """Set status and headers."""
        self.has_head, self.status, self.headers = True, status, headers
        self._wake()

    def feed(self, data: bytes) -> None:
        """Add a piece of the body. `offer` follows, once for all pieces that came together."""
        self._pieces.append(data)
        self._size += len(data)

    def offer(self) -> None:
        """Pass the pieces on, or wake the reader."""
        if not self._pieces:
            return
        self._active_at = self._loop.time()
        if not self._is_passed_on():
            if self._size >= _HIGH_WATER:
                self._source.pause_reading()
            self._wake()

    def end(self, error: Exception | None = None) -> None:
        """End the answer, with an error if it is incomplete. Only the first call counts."""
        if self.is_whole or self._error is not None:
            return
        self._error, self.is_whole = error, error is None
        self._stop_timers()
        self._wake()

    def _taken(self) -> bytes:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return data

    def _is_passed_on(self) -> bool:
        if self._pass_on is None or self._error is not None:
            return False
        data = self._taken()
        try:
            if self._pass_on(data):
                return True
        except Exception as error:  # of the reader
            # Kept open, it could carry another request, which the reader's `close` would abort.
            self.end(error)
            self._source.abort()
            return True
        self.unread(data)
        return False

    async def _arrival(self) -> None:
        self._waiter = self._loop.create_future()
        self._active_at = self._loop.time()
        if self._silence is not None and self._silence_timer is None:
            self._silence_timer = self._loop.call_later(self._silence, self._check_silence)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _check_silence(self) -> None:
        """End the answer after too long a silence. One timer serves all pieces."""
        self._silence_timer = None
        if self._waiter is None:
            return  # nobody waits; the next wait starts a timer
        left = self._active_at + self._silence - self._loop.time()
        if left > 0:
            self._silence_timer = self._loop.call_later(left, self._check_silence)
        else:
            self._time_out()

    def _time_out(self, error: Exception | None = None) -> None:
        if error is None and self._source.awaits_body:
            error = BodyStalled("the request's body did not come in time")
        self.end(error or TimeoutError("the answer did not come in time"))
        self._source.abort()

    def _stop_timers(self) -> None:
        for timer in (self._silence_timer, self._time_limit):
            if timer is not None:
                timer.cancel()
        self._silence_timer = self._time_limit = None
