"""Moving an answer from the upstream to the client. No protocol is known here.

    ended = await stream(response, exchange, view, upstream)

An answer is read on when its client has gone, up to a limit, where it is paid for anyway.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.egress.http_answer import Answer, BrokenConnection
from gateway.decoding import Decoder, Undecodable
from gateway.event_stream import EventStream
from gateway.exchange import ClientGone, Exchange
from gateway.protocols.protocol import StreamReader
from gateway.upstream_config import UpstreamConfig

MAX_HELD = 32 * 1024 * 1024  # bytes of an answer that is read whole before it is sent


@dataclass(slots=True)
class Ended:
    """How the transfer of an answer ended. `error` is None for one that came whole."""

    error: str | None = None
    first_byte_at: float | None = None
    rest: bytes = b""


class View:
    """What of a stream the client sees, and what its reader does; without one, all is sent.

    `hides` says which events the client did not ask for. A compressed stream with such
    events is decoded for the client as well (`is_decoded`).
    """

    def __init__(
        self,
        reader: StreamReader | None,
        *,
        hides: Callable[[bytes], bool] | None,
        coding: str | None,
    ) -> None:
        self._reader = reader
        self._stream = EventStream(reader, hides=hides)
        self.is_readable = reader is not None
        self._decoder: Decoder | None = None
        if coding and coding.lower() != "identity":
            try:
                self._decoder = Decoder(coding)
            except Undecodable:
                self.is_readable = False
        self.is_decoded = self._decoder is not None and hides is not None

    @property
    def has_data(self) -> bool:
        return not self.is_readable or self._reader.has_data

    def feed(self, data: bytes) -> bytes:
        """Return what the client gets. Raises Undecodable where it should get it decoded."""
        if not self.is_readable:
            return data
        if self._decoder is None:
            return self._stream.feed(data)
        try:
            forward = self._stream.feed(self._decoder.feed(data))
        except Undecodable:
            self.is_readable = False
            if self.is_decoded:
                raise
            return data
        return forward if self.is_decoded else data

    def finish(self) -> bytes:
        rest = self._stream.finish() if self.is_readable else b""
        return rest if self._decoder is None or self.is_decoded else b""


async def stream(
    response: Answer,
    exchange: Exchange,
    view: View,
    upstream: UpstreamConfig,
    *,
    length: int | None = None,
) -> Ended:
    """Relay an answer piece by piece. Its end, and `rest`, are the caller's to send.

    Of an answer of known `length` the last piece is kept: with it the client has all.
    """
    ended = Ended()
    received = 0
    exchange.watch()
    deadline, left = None, int(upstream.drain.megabytes * 2**20)
    try:
        while True:
            data = await _next(response, exchange, upstream, deadline)
            if not data:
                return ended
            forward = view.feed(data)
            received += len(data)
            if received == length:
                ended.rest = forward
                continue
            if ended.first_byte_at is None and view.has_data:
                ended.first_byte_at = time.perf_counter()
            if not exchange.is_gone:
                await exchange.write(forward)
                continue
            left -= len(data)
            deadline = deadline or time.monotonic() + upstream.drain.seconds
            if upstream.on_disconnect == "cancel" or left < 0:
                ended.error = "client_gone"
                return ended
    except ClientGone:
        ended.error = "client_gone"
    except TimeoutError:
        ended.error = "upstream_silent"
        if exchange.is_gone and deadline and time.monotonic() >= deadline:
            ended.error = "client_gone"
    except Undecodable:
        ended.error = "upstream_undecodable"
    except BrokenConnection:
        ended.error = "upstream_disconnected"
    return ended


def _next(
    response: Answer, exchange: Exchange, upstream: UpstreamConfig, deadline: float | None
) -> Awaitable[bytes]:
    """Return the next piece; b"" at the end. Raises TimeoutError, ClientGone, BrokenConnection.

    A silence ends by itself (upstream_call.py).
    """
    if upstream.on_disconnect == "cancel":
        return exchange.unless_gone(response.read())
    if deadline is None:
        return response.read()
    return _until(deadline, response)


async def _until(deadline: float, response: Answer) -> bytes:
    async with asyncio.timeout(deadline - time.monotonic()):
        return await response.read()


@dataclass(slots=True)
class Held:
    """An answer that is read whole before it is sent. `is_whole` is false for a longer one."""

    data: bytes
    is_whole: bool = True
    error: str | None = None


async def hold(response: Answer) -> Held:
    """Return the answer's body, up to the limit, and how its transfer ended.

    Where the caller is cancelled, the answer is closed.
    """
    parts: list[bytes] = []
    size = 0
    error = None
    try:
        while True:
            data = await response.read()
            if not data:
                break
            parts.append(data)
            size += len(data)
            if size > MAX_HELD:
                return Held(b"".join(parts), is_whole=False)
    except TimeoutError:
        error = "upstream_silent"
    except BrokenConnection:
        error = "upstream_disconnected"
    except BaseException:
        response.close()
        raise
    return Held(parts[0] if len(parts) == 1 else b"".join(parts), error=error)
