"""The answer to a request, as it arrives: its head first, then the body piece by piece."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, Self

RawHeaders = list[tuple[bytes, bytes]]

_HIGH_WATER = 64 * 1024  # bytes that wait to be read; from there on, their sender waits


class BrokenConnection(ConnectionError):
    """The connection ended before the answer did.

    `is_silent`: not a byte of an answer had come. `idle_seconds` had passed between the request
    and the one that the connection had carried before; None for a new one.
    """

    def __init__(self, reason: str, *, is_silent: bool, idle_seconds: float | None) -> None:
        super().__init__(reason)
        self.is_silent = is_silent
        self.idle_seconds = idle_seconds


class BodyFailed(BrokenConnection):
    """The connection was ended here, because the request's own body did not come whole."""


class MalformedAnswer(BrokenConnection):
    """What came is not HTTP."""


class BodyStalled(TimeoutError):
    """The time was over while the request's own body had still to come."""


class _Source(Protocol):
    @property
    def awaits_body(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def abort(self) -> None: ...


class Answer:
    """Status, headers and body of an answer. `is_whole`: all of it has come."""

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
        self._active_at = 0.0  # when something came or was sent last, or a wait began
        self._silence_timer: asyncio.TimerHandle | None = None
        self._time_limit: asyncio.TimerHandle | None = None

    def header(self, name: bytes) -> str:
        """Return the first header of a name, which is given in lower case; "" without one."""
        for known, value in self.headers:
            if known.lower() == name:
                return value.decode("latin-1")
        return ""

    async def head(self) -> Self:
        """Return the answer when its head has come. Raises what `read` does."""
        while not self.has_head and self._error is None:
            await self._arrival()
        if isinstance(self._error, MalformedAnswer) or not self.has_head:
            raise self._error
        return self

    async def read(self, pass_on: Callable[[bytes], bool] | None = None) -> bytes:
        """Return what has come of the body since the last time; b"" at its end.

        What comes while this waits is offered to `pass_on` at once, and is returned unless that
        takes it: waking who reads takes longer than passing on a piece of a stream.

        Raises BrokenConnection, and what a limit says (TimeoutError, BodyStalled), after all
        that had come before; and what `pass_on` does.
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
        """Take back what was read, to be read once more."""
        self._pieces.appendleft(data)
        self._size += len(data)

    def limit_silence(self, seconds: float) -> None:
        """Have waiting raise TimeoutError when so long no byte has come, and none was sent."""
        self._silence = seconds
        if self._silence_timer is not None:  # of the limit before
            self._silence_timer.cancel()
            self._silence_timer = None

    def limit_time(self, seconds: float, error: Exception | None = None) -> None:
        """Have the answer end with this error, or TimeoutError, unless it is whole by then.

        The limit that ends first counts.
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
        """Want no more of it: the connection ends, unless the answer is whole."""
        self._stop_timers()
        if not self.is_whole:
            self._source.abort()

    def note_progress(self) -> None:
        """Note that something was sent, or came that is not of the body: it ends a silence."""
        self._active_at = self._loop.time()

    def begin(self, status: int, headers: RawHeaders) -> None:
        """Take the head."""
        self.has_head, self.status, self.headers = True, status, headers
        self._wake()

    def feed(self, data: bytes) -> None:
        """Take a piece of the body. When all pieces that came at once are here, `offer` follows."""
        self._pieces.append(data)
        self._size += len(data)

    def offer(self) -> None:
        """Offer what has come to who reads."""
        if not self._pieces:
            return
        self._active_at = self._loop.time()
        if not self._is_passed_on():
            if self._size >= _HIGH_WATER:
                self._source.pause_reading()
            self._wake()

    def end(self, error: Exception | None = None) -> None:
        """Take the end, or what broke it off. Only the first one counts."""
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
        except Exception as error:  # of who reads
            # Were it left to end, it would be free for another request, which `close` would hit.
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
        """End a silence that is too long: one timer, not one for each piece."""
        self._silence_timer = None
        if self._waiter is None:
            return  # nobody waits: the next one who does has all of the time
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
