"""Servers of tests; their connections end when they do."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(connected: Connected, **options) -> AsyncIterator[int]:
    """The port of a server that hands the streams of each connection to `connected`.

    At the end that is canceled where it still runs. What a connection holds unsent is dropped:
    a transport that stays open would fail whichever test runs when it is collected.
    """
    tasks: list[asyncio.Future] = []
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not in a task, which may be canceled before it begins and never close its writer.
        if over.is_set():
            writer.transport.abort()
            return
        writers.append(writer)
        tasks.append(asyncio.ensure_future(connected(reader, writer)))

    over = asyncio.Event()
    server = await asyncio.start_server(accept, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        # Closed at once, asyncio would lose a connection that it has accepted and not yet made.
        asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
        for _ in range(3):  # turns, in which the one that was accepted last is made and ended
            await asyncio.sleep(0)
        server.close()
        for task in tasks:
            task.cancel()
        for writer in writers:
            # Of asyncio, where a transport was closed while it had more to send, and has sent it.
            with suppress(AttributeError):
                writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(w.wait_closed() for w in writers), return_exceptions=True)


@contextmanager
def unaccepting() -> Iterator[int]:
    """The port of a host that accepts no connection and refuses none."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):  # more than its backlog takes
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()[1]
