"""Moving an answer from the upstream to the client. No protocol is known here.

    ended = await stream(response, exchange, view, upstream)

An answer is read on when its client has gone, up to a limit, where it is paid for anyway.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from core import bridge, joined_parts
from core.codings import Undecodable
from core.egress.http_answer import Answer, BodyFailed, BodyStalled, BrokenConnection
from gateway import errors
from gateway.answer.decoding import Decoder, decoder_of
from gateway.answer.event_stream import EventStream
from gateway.answer.secret_masking import StreamMask
from gateway.exchange import ClientGone, Exchange
from gateway.protocols.protocol import StreamReader
from gateway.upstream_config import UpstreamConfig

MAX_HELD = 32 * 1024 * 1024  # bytes of an answer that is read whole before it is sent
_MAX_READ = 1024 * 1024  # bytes that are read at once
_SKIMMED = 16 * 1024  # coded bytes; deflate makes a thousand of one, at the most
_MAX_FED_ON_LOOP = 16 * 1024  # bytes; whatever they are, they take a few milliseconds
# What ends a transfer early.
_ENDINGS = (ClientGone, TimeoutError, Undecodable, BrokenConnection)


@dataclass(slots=True)
class Ended:
    """How the transfer of an answer ended. `error` is None for one that came whole."""

    error: str | None = None
    first_byte_at: float | None = None
    rest: bytes = b""


class View:
    """What of a stream the client sees, and what its reader does; without one, all is sent.

    `hides` says which events the client did not ask for; `mask` replaces the upstream's key.
    `answer` says how the stream is coded; it is decoded for the client as well with `decodes`.
    """

    def __init__(
        self,
        reader: StreamReader | None,
        *,
        hides: Callable[[bytes], bool] | None = None,
        answer: Answer | None = None,
        decodes: bool = False,
        mask: StreamMask | None = None,
    ) -> None:
        self._reader = reader
        self._stream = EventStream(reader, hides=hides)
        self.is_readable = reader is not None
        self._decoder: Decoder | None = None
        if answer is not None:
            try:
                self._decoder = decoder_of(answer)
            except Undecodable:
                self.is_readable = False
        self.is_decoded = self._decoder is not None and decodes
        self.unread = 0  # bytes that nobody here could read
        self._mask = mask if self.is_readable else None

    @property
    def has_data(self) -> bool:
        return not self.is_readable or self._reader.has_data

    def is_quick(self, data: bytes) -> bool:
        """Return whether a piece is to be fed at once, as nearly all are."""
        if not self.is_readable:
            return True
        return self._decoder is None and self._work(data) <= _MAX_FED_ON_LOOP

    def feed(self, data: bytes) -> bytes:
        """Return what the client gets of a plain piece."""
        if not self.is_readable:
            self.unread += len(data)
            return data
        forward = self._stream.feed(data)
        return forward if self._mask is None else self._mask.feed(forward)

    async def fed(self, data: bytes) -> AsyncIterator[bytes]:
        """Yield what the client gets of any piece, without holding up the event loop.

        Raises Undecodable where the client should get it decoded.
        """
        if self._decoder is None or not self.is_readable:
            yield await self._by_size(self._work(data), self.feed, data)
            return
        try:
            for number, plain in enumerate(self._decoder.short_parts(data)):
                if number:
                    await asyncio.sleep(0)
                forward = await self._by_size(self._work(plain), self.feed, plain)
                if self.is_decoded:
                    yield forward
        except Undecodable:
            self.is_readable = False
            self.unread += len(data)
            if self.is_decoded:
                raise
        if not self.is_decoded:
            yield data

    async def skim(self, data: bytes) -> None:
        """Read what the client gets as it is, in pieces that no coding makes too long."""
        size = _MAX_READ if self._decoder is None else _SKIMMED
        for start in range(0, len(data), size):
            async for _ in self.fed(data[start : start + size]):
                pass

    async def finish(self) -> bytes:
        """Return what the client of a stream has not been sent."""
        return await self._by_size(self._work(), self._finish)

    def _finish(self) -> bytes:
        rest = self._stream.finish() if self.is_readable else b""
        return rest if self._mask is None else self._mask.feed(rest) + self._mask.finish()

    def _work(self, data: bytes = b"") -> int:
        return self._stream.work(data) + (self._mask.waiting if self._mask else 0)

    async def _by_size(self, size: int, function: Callable[..., bytes], *data: bytes) -> bytes:
        if size <= _MAX_FED_ON_LOOP or not self.is_readable:
            return function(*data)
        call = asyncio.ensure_future(bridge.in_thread(function, *data))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await asyncio.wait({call})  # or the end would be read while it still reads
            raise


async def stream(
    response: Answer,
    exchange: Exchange,
    view: View,
    upstream: UpstreamConfig,
    *,
    length: int | None = None,
    on_first_data: Callable[[int], None] | None = None,
) -> Ended:
    """Relay an answer piece by piece. Its end, and `rest`, are the caller's to send.

    Of an answer of known `length` the last piece is kept: with it the client has all.
    `on_first_data` gets the status once data has come.
    """
    ended = Ended()
    received = 0
    left = _limit_draining(response, exchange, upstream)

    def noted(data: bytes, forward: bytes) -> bytes:
        nonlocal received
        received += len(data)
        if ended.first_byte_at is None and view.has_data:
            ended.first_byte_at = time.perf_counter()
            if on_first_data is not None:
                on_first_data(response.status)
        if received == length:
            ended.rest = forward
            return b""
        return forward

    def pass_on(data: bytes) -> bool:
        if can_write := exchange.can_write_now and view.is_quick(data):
            exchange.write_now(noted(data, view.feed(data)))
        return can_write

    try:
        while data := await response.read(pass_on):
            if view.is_quick(data):
                await exchange.write(noted(data, view.feed(data)))
            else:
                async with aclosing(view.fed(data)) as pieces:
                    async for forward in pieces:
                        await exchange.write(noted(data, forward))
            left -= len(data) if exchange.is_gone else 0
            if left < 0:
                raise ClientGone
    except _ENDINGS as error:
        ended.error = _reason(error)
    except asyncio.CancelledError:
        # The server ends, and leaves us time for what had come.
        ended.error = errors.ServerStopped.code
    return ended


async def beginning(response: Answer, exchange: Exchange, upstream: UpstreamConfig) -> bytes:
    """Return the first bytes of the body, which are still to be read; b"" where none came."""
    _limit_draining(response, exchange, upstream)
    try:
        data = await response.read()
    except _ENDINGS:
        return b""  # it ends so again when it is read
    if data:
        response.unread(data)
    return data


def _limit_draining(response: Answer, exchange: Exchange, upstream: UpstreamConfig) -> int:
    """Have reading raise ClientGone at the end of the time to drain, once the client has gone.

    Returns how many bytes may be read on. A silence ends by itself (upstream_call.py).
    """
    seconds = 0 if upstream.on_disconnect == "cancel" else upstream.drain.seconds
    exchange.when_gone(lambda: response.limit_time(seconds, ClientGone()))
    return int(upstream.drain.megabytes * 2**20)


def _reason(error: Exception) -> str:
    """Return what the row says of a transfer that ended so."""
    match error:
        case ClientGone():
            return "client_gone"
        case BodyStalled() | BodyFailed():
            return errors.RequestIncomplete.code
        case TimeoutError():
            return "upstream_silent"
        case Undecodable():
            return "upstream_undecodable"
    return "upstream_disconnected"


@dataclass(slots=True)
class Held:
    """An answer that is read whole before it is sent. `is_whole` is false for a longer one.

    `is_replaced`: the data are other bytes than the upstream has sent, and of this `kind` if it
    is another one.
    """

    data: bytes = b""
    is_whole: bool = True
    is_replaced: bool = False
    kind: str | None = None
    error: str | None = None
    first_byte_at: float | None = None

    def replace(self, data: bytes, *, kind: str | None = None) -> None:
        if data != self.data:
            self.data, self.is_replaced, self.kind = data, True, kind


async def hold(response: Answer, exchange: Exchange, upstream: UpstreamConfig) -> Held:
    """Return the answer's body, up to the limit, and how its transfer ended.

    Where the caller is cancelled, the answer is closed.
    """
    parts: list[bytes] = []
    size = 0
    held = Held()
    # Most have come whole with their heads: for those nobody has to be watched.
    left = MAX_HELD if response.is_whole else _limit_draining(response, exchange, upstream)
    try:
        try:
            while held.is_whole and (data := await response.read()):
                if not parts:
                    held.first_byte_at = time.perf_counter()
                parts.append(data)
                size += len(data)
                held.is_whole = size <= MAX_HELD
                left -= len(data) if exchange.is_gone else 0
                if left < 0:
                    raise ClientGone
        except _ENDINGS as error:
            held.error = _reason(error)
        held.data = await joined_parts.join(parts)
    except BaseException:
        response.close()
        raise
    return held
