"""Neither side holds more than the other takes."""

import asyncio

import pytest

from tests.http_server.applications import (
    MEGABYTE,
    after,
    echo,
    in_many_pieces,
    in_one_piece,
)
from tests.http_server.server import GET, post


def test_a_body_comes_as_fast_as_it_is_read(run):
    wanted = asyncio.Event()

    async def story(server):
        client = await server.connect()
        client.write(post(bytes(16 * MEGABYTE)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.writer.drain(), 0.2)
        wanted.set()
        await client.writer.drain()
        assert len((await client.response())[1]) == 16 * MEGABYTE + len("POST /p  ")

    run(after(wanted, echo), story)


def test_requests_sent_ahead_wait_with_their_client(run):
    wanted = asyncio.Event()

    async def story(server):
        client = await server.connect()
        client.write(post(bytes(50_000)) * 320)
        for _ in range(1_000):
            await asyncio.sleep(0)
        unsent = client.writer.transport.get_write_buffer_size()
        wanted.set()
        assert unsent > MEGABYTE
        for _ in range(320):
            assert len((await client.response())[1]) == 50_000 + len("POST /p  ")

    run(after(wanted, echo), story)


@pytest.mark.parametrize("writes_now", [False, True], ids=["awaited", "at once"])
def test_a_response_goes_as_fast_as_it_is_read(run, writes_now):
    sent = []

    async def application(scope, receive, send):
        assert not send.can_write_now
        await send({"type": "http.response.start", "status": 200})
        for _ in range(640):
            if writes_now and send.can_write_now:
                send.write_now(bytes(100_000))
                await asyncio.sleep(0)
            else:
                piece = {"type": "http.response.body", "body": bytes(100_000), "more_body": True}
                await send(piece)
            sent.append(100_000)
        await send({"type": "http.response.body"})
        assert not send.can_write_now

    async def story(server):
        client = await server.connect()
        client.write(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        await client.head()
        [connection] = server.state.connections
        while connection.writable is None:
            await asyncio.sleep(0)
        assert sum(sent) < 20 * MEGABYTE  # what the system's buffers take
        frame = len(b"186a0\r\n" + b"\r\n")
        assert len(await client.rest()) == 640 * (100_000 + frame) + len(b"0\r\n\r\n")

    run(application, story)


def test_writing_at_once_ends_when_the_client_goes(run):
    ended = asyncio.Event()

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        while send.can_write_now:
            send.write_now(b"a piece")
            await asyncio.sleep(0)
        ended.set()

    async def story(server):
        client = await server.connect()
        client.write(GET)
        await client.reader.readuntil(b"a piece")
        client.writer.transport.abort()
        await ended.wait()

    run(application, story)


@pytest.mark.parametrize("application", [in_many_pieces, in_one_piece])
def test_a_client_that_does_not_read_is_ended(run, application):
    async def story(server):
        client = await server.connect(receive_buffer=4096)
        client.write(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        await client.head()
        while server.state.connections or server.state.tasks:
            await asyncio.sleep(0.01)

    run(application, story, idle_seconds=0.1)


@pytest.mark.parametrize("application", [in_many_pieces, in_one_piece])
def test_one_that_reads_slowly_is_not(run, application):
    """Long before the system's buffer has room again."""

    async def story(server):
        client = await server.connect(receive_buffer=4096)
        client.write(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        await client.head()
        for _ in range(60):
            await client.reader.readexactly(4096)
            await asyncio.sleep(0.01)
        assert server.state.connections
        client.writer.transport.abort()

    run(application, story, idle_seconds=0.2)
