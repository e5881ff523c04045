"""A server that ends without having read everything, as a crash leaves it.

The system then reports an error of the socket beside what can still be read, and an event
loop upon libuv watches the socket no more. A server by hand, which reads as little as told.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
import uvloop

from core.database import raw_connection
from core.database.loop_connection import LoopConnection

LOOPS = [uvloop.run, asyncio.run]
SECONDS = 10


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


READY = message(b"Z", b"I")
WELCOME = message(b"R", struct.pack("!i", 0)) + READY
NOTICE = message(b"N", b"SWARNING\0VWARNING\0C57P02\0Mterminating\0\0")
DONE = message(b"1", b"") + message(b"2", b"") + message(b"n", b"")
ANSWER = DONE + message(b"C", b"SELECT 0\0") + READY


@contextmanager
def server(tmp_path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Greet one client, and leave it to `serve`."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / ".s.PGSQL.5432"))
    listener.listen()

    def run() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65_536)  # its name and options
            client.sendall(WELCOME)
            serve(client)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(SECONDS)
    listener.close()


@pytest.fixture(autouse=True)
def _connects_to_the_server(tmp_path, monkeypatch) -> None:
    parameters = {"host": str(tmp_path), "user": "someone", "dbname": "any", "autocommit": True}
    monkeypatch.setattr(raw_connection, "_parameters", parameters.copy)


async def execute(own: LoopConnection) -> list[tuple]:
    return await asyncio.wait_for(own.execute(b"SELECT", [b"x"], prepares=False), SECONDS)


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("last_words", [b"", NOTICE, NOTICE + DONE])
def test_statement_is_not_waited_for(tmp_path, run, last_words):
    def serve(client):
        client.recv(1)
        client.sendall(last_words)

    async def story():
        own = await LoopConnection.open()
        with pytest.raises(psycopg.OperationalError):
            await execute(own)
        assert own.is_broken
        await own.close()

    with server(tmp_path, serve):
        run(story())


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("last_words", [ANSWER, ANSWER + NOTICE])
def test_statement_after_one_that_was_answered_is_not_waited_for(tmp_path, run, last_words):
    def serve(client):
        client.recv(1)
        client.sendall(last_words)

    async def story():
        own = await LoopConnection.open()
        assert await execute(own) == []
        with pytest.raises(psycopg.OperationalError):
            await execute(own)
        await own.close()

    with server(tmp_path, serve):
        run(story())
