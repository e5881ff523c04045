"""A server that ends without having read everything, as a crash leaves it.

The system then reports an error of the socket beside what can still be read, and an event
loop upon libuv watches the socket no more. A server by hand, which reads as little as told.
"""

import asyncio
import select
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from threading import Event

import psycopg
import pytest
import uvloop

from core.database import loop_connection, raw_connection
from core.database.loop_connection import LoopConnection
from core.database.lost_connections import is_lost
from core.database.prepared_cursor import PreparedCursor

with_each_loop = pytest.mark.parametrize(
    "run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"]
)
SECONDS = 10


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


READY = message(b"Z", b"I")
WELCOME = message(b"R", struct.pack("!i", 0)) + READY
NOTICE = message(b"N", b"SWARNING\0VWARNING\0C57P02\0Mterminating\0\0")
DONE = message(b"1", b"") + message(b"2", b"") + message(b"n", b"")
ANSWER = DONE + message(b"C", b"SELECT 0\0") + READY


@pytest.fixture
def directory(monkeypatch) -> Iterator[str]:
    """Where clients look for the server's socket: its path has to be short."""
    with tempfile.TemporaryDirectory() as directory:
        parameters = {"host": directory, "user": "someone", "dbname": "any", "autocommit": True}
        monkeypatch.setattr(raw_connection, "_parameters", parameters.copy)
        yield directory


@contextmanager
def server(
    directory: str, last_words: bytes, *, at_once: bool = False, sent: Event | None = None
) -> Iterator[None]:
    """Greet one client; answer this when it has sent something, of which a byte is read.

    Or unasked, `at_once`; or once `sent` is set.
    """

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65_536)  # its name and options
            client.sendall(WELCOME)
            if not at_once:
                client.recv(1)
            if sent is not None:
                sent.wait(SECONDS)
            if last_words:
                client.sendall(last_words)

    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor() as pool:
        listener.bind(f"{directory}/.s.PGSQL.5432")
        listener.listen()
        serving = pool.submit(serve)
        yield
        serving.result(SECONDS)


@asynccontextmanager
async def connection() -> AsyncIterator[LoopConnection]:
    own = await LoopConnection.open()
    try:
        yield own
    finally:
        await own.close()


async def execute(
    own: LoopConnection, parameter: bytes = b"x", sent: Event | None = None
) -> list[tuple]:
    """Run a statement; set `sent` when as much of it is sent as the other side takes."""
    if sent is not None:
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, sent.set)  # wait_for may begin a task in between
    return await asyncio.wait_for(own.execute(b"SELECT", [parameter], prepares=False), SECONDS)


@with_each_loop
@pytest.mark.parametrize("last_words", [b"", NOTICE, NOTICE + DONE], ids=["none", "notice", "part"])
@pytest.mark.parametrize("size", [1, 3_000_000], ids=["sent", "being sent"])
def test_statement_is_not_waited_for(directory, run, last_words, size):
    sent = Event()

    async def story():
        async with connection() as own:
            with pytest.raises(psycopg.OperationalError):
                await execute(own, b"x" * size, sent)
            assert own.is_broken

    with server(directory, last_words, sent=sent):
        run(story())


@with_each_loop
def test_statement_that_is_never_answered_is_lost(directory, run, monkeypatch, settings):
    """The other side lives on, as where its process was stopped."""
    settings.STATEMENT_TIMEOUT_SECONDS = 0
    monkeypatch.setattr(loop_connection, "_SILENCE_SECONDS", 0.05)
    given_up = Event()

    async def story():
        async with connection() as own:
            with pytest.raises(psycopg.OperationalError, match="no answer"):
                await execute(own)
            assert own.is_broken
            given_up.set()

    with server(directory, b"", sent=given_up):
        run(story())


def wait_until_closed(socket: int) -> None:
    """Returns when the other side has closed."""
    closing = select.poll()
    closing.register(socket, 0)
    assert closing.poll(SECONDS * 1000) == [(socket, select.POLLHUP)]


@pytest.mark.parametrize("last_words", [b"", NOTICE], ids=["none", "notice"])
def test_statement_of_a_thread_is_lost_though_a_notice_can_be_read(directory, last_words):
    """libpq takes the connection for a good one until it has read the notice."""
    with server(directory, last_words, at_once=True), raw_connection.connect() as own:
        wait_until_closed(own.fileno())
        with pytest.raises(psycopg.OperationalError) as raised:
            PreparedCursor(own).execute("SELECT 1")
    assert is_lost(raised.value)


@with_each_loop
def test_statement_on_the_loop_is_lost_though_a_notice_can_be_read(directory, run):
    async def story():
        async with connection() as own:
            wait_until_closed(own._socket)
            with pytest.raises(psycopg.OperationalError):
                await execute(own)
            assert own.is_broken

    with server(directory, NOTICE, at_once=True):
        run(story())


@with_each_loop
@pytest.mark.parametrize("last_words", [ANSWER, ANSWER + NOTICE], ids=["answer", "notice"])
def test_statement_after_one_that_was_answered_is_not_waited_for(directory, run, last_words):
    async def story():
        async with connection() as own:
            assert await execute(own) == []
            with pytest.raises(psycopg.OperationalError):
                await execute(own)

    with server(directory, last_words):
        run(story())
