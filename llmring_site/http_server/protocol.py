"""A client's connection: its requests are answered one after the other. Source: RFC 9112."""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections import deque
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from core.asgi import Scope
from llmring_site.http_server.cycle import Cycle
from llmring_site.http_server.own_reply import own_reply
from llmring_site.http_server.request_reader import RequestReader, Unreadable
from llmring_site.http_server.response_head import RawHeaders, response_head

_LINGER_SECONDS = 2  # for a client that still sends to read the last response
_ARRIVAL_SECONDS = 2  # for a request to arrive when the server stops


class HttpProtocol(asyncio.Protocol):
    """A connection. Requests that come before their turn wait for it.

    uvicorn calls it with these arguments, and `shutdown`; it counts its connections, tasks
    and requests in the server's state.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.writable: asyncio.Event | None = None
        self.is_half_closed = False
        self._application = config.loaded_app
        self._idle_limit = config.timeout_keep_alive  # seconds
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = RequestReader(self)
        self._cycle: Cycle | None = None  # the current one, or the last
        self._arriving: Cycle | None = None
        self._waiting: deque[Cycle] = deque()
        self._held: list[bytes] = []  # what is to be written
        # When the last response ended, a request began, or its application awaited more of it.
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._unread = 0  # bytes that the client had not read at the last check
        self._unread_since = 0.0  # when it last read some
        self._is_lingering = False  # ignores what the client sends

    @property
    def default_headers(self) -> RawHeaders:
        return self._state.default_headers

    @property
    def _is_idle(self) -> bool:
        return self._cycle is None or self._cycle.is_complete

    @property
    def _waits_for_reader(self) -> bool:
        return self.writable is not None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._state.connections.add(self)
        self._server = _address(transport.get_extra_info("sockname"))
        self._client = _address(transport.get_extra_info("peername"))
        self._idle_since = self._loop.time()
        self._idle_timer = self._loop.call_later(self._idle_limit, self._check_idle)

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            return
        try:
            self._reader.feed(data)
        except Unreadable as error:
            self._refuse(error.status, error.reason)

    def eof_received(self) -> bool:
        """Close the connection after the responses to the requests that came whole."""
        self.is_half_closed = True
        if self._waiting and not self._waiting[-1].is_whole:
            self._waiting.pop()
        if self._is_idle or not self._cycle.is_whole:
            self._close()
        else:
            last = self._waiting[-1] if self._waiting else self._cycle
            last.keeps_alive = False
            self._cycle.half_close()
        return True

    def pause_writing(self) -> None:
        self.writable = asyncio.Event()
        self._note_unread()

    def resume_writing(self) -> None:
        writable, self.writable = self.writable, None
        if writable is not None:
            writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._state.connections.discard(self)
        self._idle_timer.cancel()
        self._reader.close()
        self._waiting.clear()
        for cycle in filter(None, (self._cycle, self._arriving)):
            cycle.disconnect()
        self._cycle = self._arriving = None
        self.resume_writing()

    def request_begins(self) -> None:
        self._idle_since = self._loop.time()

    def request_arrives(self, scope: Scope, *, keeps_alive: bool, expects_continue: bool) -> Cycle:
        """Begin a request whose head has arrived, or queue it; return its cycle."""
        scope["server"], scope["client"] = self._server, self._client
        cycle = self._arriving = Cycle(
            self, scope, keeps_alive=keeps_alive, expects_continue=expects_continue
        )
        if self._is_idle:
            self._begin(cycle)
        else:
            self._waiting.append(cycle)
            self.pause_reading()
        return cycle

    def _begin(self, cycle: Cycle) -> None:
        self._cycle = cycle
        task = self._loop.create_task(cycle.run(self._application))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def responded(self, *, keeps_alive: bool) -> None:
        """Note that a response is complete."""
        self._state.total_requests += 1
        self.flush()
        if self._transport.is_closing():
            return
        if not keeps_alive:
            self._end()
        elif self._waiting:
            self._begin(self._waiting.popleft())
        else:
            self._idle_since = self._loop.time()
            self.resume_reading()

    def shutdown(self) -> None:
        """Close the connection as soon as it owes no response."""
        if self._is_idle:
            self._close()
            return
        self._cycle.keeps_alive = False
        self._loop.call_later(_ARRIVAL_SECONDS, self._refuse_arriving)

    def _refuse_arriving(self) -> None:
        """Refuse a request that has not arrived in time; a response that has begun goes on."""
        if not self._is_idle and self._cycle.is_arriving:
            self._refuse(503, "The server is stopping")

    def abort(self) -> None:
        """Close the connection, even if a response is incomplete."""
        self.flush()
        self._cycle.disconnect()
        if not self._transport.is_closing():
            self._end()

    def _end(self) -> None:
        """Close the connection; not before a client that still sends may have read the response."""
        has_sent_all = self._arriving.is_whole and self._transport.is_reading()
        if has_sent_all or self.is_half_closed:
            self._close()
        else:
            self._linger()

    def _linger(self) -> None:
        # Closed at once, the connection would be reset, and what the client has not read would
        # be lost (RFC 9112, section 9.6).
        self._is_lingering = True
        self._transport.write_eof()
        self.resume_reading()
        self._loop.call_later(_LINGER_SECONDS, self._close)

    def _close(self) -> None:
        """Close the connection once the client has read everything, or reads no more."""
        if not self._transport.is_closing():
            self._note_unread()
            self._transport.close()

    def _check_idle(self) -> None:
        """End a connection whose client does nothing. One timer covers all reasons."""
        left = self._idle_limit
        if self._waits_for_reader:
            if _unread(self._transport) < self._unread:
                self._note_unread()
            left += self._unread_since - self._loop.time()
        elif self._is_idle or self._cycle.is_awaited:
            left += self._idle_since - self._loop.time()
        if left <= 0:
            left = self._idle_limit
            self._end_idle()
        self._idle_timer = self._loop.call_later(left, self._check_idle)

    def _note_unread(self) -> None:
        self._unread, self._unread_since = _unread(self._transport), self._loop.time()

    def _end_idle(self) -> None:
        if self._waits_for_reader:
            _reset(self._transport)
        elif self._is_idle:
            self._close()
        else:
            self._refuse(408, "The request did not arrive in time")  # RFC 9110, section 15.5.9

    def _refuse(self, status: int, reason: str) -> None:
        """Close the connection with an error, but after the response to a complete request."""
        if self._is_lingering or self._transport.is_closing():
            return
        cycle = None if self._is_idle else self._cycle
        if cycle is not None and cycle.is_whole:
            self._waiting.clear()
            cycle.keeps_alive = False
            self.pause_reading()
            return
        if cycle is None or not cycle.has_begun:
            self.write(self._refusal(cycle and cycle.scope, status, reason))
        if cycle is not None:
            cycle.disconnect()
        self.flush()
        self._linger()

    def _refusal(self, scope: Scope | None, status: int, reason: str) -> bytes:
        headers, body = own_reply(scope, reason)
        head = response_head(
            status,
            [*self.default_headers, *headers],
            may_have_body=True,
            may_be_chunked=False,
            keeps_alive=False,
        )
        return head.data + body

    def write(self, data: bytes, *, is_followed: bool = False) -> None:
        """Write the data, or hold it if more follows at once: both then take one system call."""
        if not (is_followed or self._held):
            if not self._transport.is_closing():
                self._transport.write(data)
            return
        self._held.append(data)
        if not is_followed:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.writelines(held)  # joining 200 kB takes half the time of a reply

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def await_request(self) -> None:
        """Resume reading a request of which the application awaits more."""
        self._idle_since = self._loop.time()
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()


def _address(name: Any) -> tuple[str, int] | None:
    """Return the host and port of a socket's name; None for a Unix socket."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def _unread(transport: asyncio.Transport) -> int:
    """Return how many of the written bytes the client has not read.

    Those in the system's send buffer count: it holds megabytes, and the transport writes again
    when a third of it is free, for which a slow reader may take minutes.
    """
    size = transport.get_write_buffer_size()
    if size:
        with contextlib.suppress(OSError):  # not supported by the system
            number = transport.get_extra_info("socket").fileno()
            size += struct.unpack("i", fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4)))[0]
    return size


def _reset(transport: asyncio.Transport) -> None:
    """Abort the connection, and drop what the client has not read."""
    # Otherwise the system would keep trying to send the rest of its buffer.
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()
