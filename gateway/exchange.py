"""The client's side of a relayed call: what is sent to it, and whether it still listens."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from core.asgi import DirectWriter, Send
from core.edge_request import Request
from core.reply_headers import RawHeaders, add_common, noted
from gateway.protocols.protocol import ProtocolModule

T = TypeVar("T")


class ClientGone(Exception):
    """The client has gone, and the upstream's work is to be cancelled."""


class Exchange:
    """One request and its reply, which may be a stream.

    Nothing is sent to a client that has gone; `is_gone` says so. A page whose origin is not
    allowed (`is_origin_allowed`) cannot read the reply.
    """

    def __init__(self, request: Request, protocol: ProtocolModule, send: Send) -> None:
        self.request = request
        self.protocol = protocol
        self.status: int | None = None
        # What it was about, as far as that is known.
        self.upstream = self.route = "none"
        self.is_origin_allowed = True
        self._send = send
        # Our own server's `send` can write a piece of a body without being awaited.
        self._writer: DirectWriter | None = send if hasattr(send, "write_now") else None
        self._watch: asyncio.Task | None = None
        self._lacks_pieces = False  # some were not sent

    @property
    def is_started(self) -> bool:
        return self.status is not None

    @property
    def is_gone(self) -> bool:
        return self._watch is not None and self._watch.done()

    def watch(self) -> None:
        """Notice from now on when the client goes, once the request's body has been read."""
        if self._watch is None:
            self._watch = asyncio.ensure_future(self.request.disconnected())

    def when_gone(self, act: Callable[[], None]) -> None:
        """Watch the client, and call `act` when it has gone."""
        self.watch()
        self._watch.add_done_callback(lambda watch: None if watch.cancelled() else act())

    def unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    async def gone(self) -> None:
        """Return when the client has gone."""
        self.watch()
        await asyncio.shield(self._watch)

    async def has_gone_within(self, seconds: float) -> bool:
        """Wait so long, or until the client has gone; return whether it has."""
        self.watch()
        await asyncio.wait({self._watch}, timeout=max(seconds, 0))
        return self.is_gone

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """Return what the work returns. Raises ClientGone, and cancels it, if the client goes."""
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(self.gone())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientGone
            return task.result()
        finally:
            task.cancel()
            gone.cancel()

    async def start(
        self, status: int, headers: list[tuple[str, str]], *, length: int | None = None
    ) -> None:
        """Send status and headers. The upstream's own request id stays readable.

        Its limits do, too, except those under the names of the project's.
        """
        own = _raw(noted(self.request).items())
        names = {name for name, _ in own}
        raw = [pair for pair in _raw(headers) if pair[0] not in names]
        id = self.request.id.encode()
        raw.append((b"x-llmring-request-id", id))
        raw += own
        if not any(name == b"x-request-id" for name, _ in raw):
            raw.append((b"x-request-id", id))
        if length is not None:
            raw.append((b"content-length", b"%d" % length))
        add_common(raw, self.common_headers)
        await self.start_raw(status, _exposed(raw))

    @property
    def common_headers(self) -> RawHeaders:
        """The headers of every reply; those for browsers only where the origin is allowed."""
        common = self.request.common_headers
        if self.is_origin_allowed:
            return common
        return [pair for pair in common if not pair[0].startswith(b"access-control-")]

    async def start_raw(self, status: int, headers: RawHeaders) -> None:
        """Send status and headers as they are."""
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        if self.is_gone:
            self._lacks_pieces = self._lacks_pieces or bool(data)
        elif data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    @property
    def can_write_now(self) -> bool:
        """Whether `write_now` reaches a client that has room for more."""
        return self._writer is not None and self._writer.can_write_now and not self.is_gone

    def write_now(self, data: bytes) -> None:
        if data:
            self._writer.write_now(data)

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece. Without this call the connection ends as a broken transfer.

        So it does where pieces are missing: a client that has ended its side may still read,
        and would take what has arrived for the whole.
        """
        if not self._lacks_pieces:
            await self._send({"type": "http.response.body", "body": data})


def _raw(headers: Iterable[tuple[str, str]]) -> RawHeaders:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _exposed(raw: RawHeaders) -> RawHeaders:
    """Return the headers, all of them exposed to a browser that may read any."""
    if not any(name == b"access-control-allow-origin" for name, _ in raw):
        return raw
    kept = [pair for pair in raw if pair[0] != b"access-control-expose-headers"]
    names = sorted({name for name, _ in kept if not name.startswith(b"access-control-")})
    return [*kept, (b"access-control-expose-headers", b", ".join(names))]
