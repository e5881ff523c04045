"""Bodies that are sent as they come."""

import asyncio

import pytest

from core.egress.http_answer import BodyStalled, BrokenConnection
from core.egress.http_client import Unreachable
from tests.connections import unaccepting
from tests.http_client.peer import (
    HELLO,
    MEGABYTE,
    OK,
    begun,
    body_of,
    ended,
    get,
    upload,
)


def test_an_upload_that_goes_on_is_no_silence(run):
    async def story(client, server):
        async def body():
            for _ in range(5):
                await asyncio.sleep(0.05)
                yield b"hello"

        asked = upload(client, server, body(), head_seconds=0.15)
        _, (reader, writer) = await server.request()
        await reader.readuntil(b"\r\n0\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.write(HELLO)
        assert await body_of(await asked) == b"hello"

    run(story)


def test_a_body_that_is_taken_slowly_is_no_silence(run):
    async def story(client, server):
        asked = upload(client, server, bytes(32 * MEGABYTE), head_seconds=0.3)
        _, (reader, writer) = await server.request()
        for _ in range(32):
            await asyncio.sleep(0.02)
            await reader.readexactly(MEGABYTE)
        writer.write(HELLO)
        assert await body_of(await asked) == b"hello"

    run(story)


def test_a_server_that_takes_no_body_is_silent_itself(run):
    async def story(client, server):
        asked = upload(client, server, bytes(32 * MEGABYTE), head_seconds=0.2)
        await server.request()
        with pytest.raises(TimeoutError) as raised:
            await asked
        assert not isinstance(raised.value, BodyStalled)

    run(story)


@pytest.mark.parametrize("limit", ["head_seconds", "seconds"])
def test_a_body_that_does_not_come_is_not_the_other_sides_silence(run, limit):
    async def story(client, server):
        async def body():
            yield b"hello"
            await asyncio.Event().wait()

        asked = upload(client, server, body(), **{limit: 0.2})
        _, (reader, _) = await server.request()
        with pytest.raises(BodyStalled):
            await asked
        assert await ended(reader)

    run(story)


@pytest.mark.parametrize(
    "limits",
    [
        {"connect_seconds": 0.1, "head_seconds": 0.05},
        {"connect_seconds": 9, "seconds": 0.1},
    ],
    ids=["connecting", "all"],
)
def test_a_host_that_does_not_accept_in_time_is_unreachable(run, limits):
    async def story(client, server):
        with unaccepting() as port, pytest.raises(Unreachable):
            await client.send("GET", f"http://127.0.0.1:{port}/", [], **limits)

    run(story)


def test_who_sends_faster_than_is_read_has_to_wait(run):
    async def story(client, server):
        answer, reader, writer = await begun(
            client, server, OK + b"Content-Length: %d\r\n\r\n" % (64 * MEGABYTE)
        )
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(64):
                writer.write(bytes(MEGABYTE))
                await writer.drain()
                sent += 1

        sending = asyncio.ensure_future(send())
        await asyncio.wait([sending], timeout=0.2)
        assert not sending.done() and sent < 32  # what the kernel's buffers hold
        assert len(await body_of(answer)) == 64 * MEGABYTE
        await sending

    run(story)


@pytest.mark.parametrize("length", [None, "10"], ids=["chunked", "stated"])
def test_a_body_is_sent_as_it_comes(run, length):
    async def story(client, server):
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        has_ended = asyncio.Event()

        async def body():
            while (piece := await pieces.get()) is not None:
                yield piece
            has_ended.set()

        headers = [("Content-Length", length)] if length else []
        asked = asyncio.ensure_future(
            client.send("PUT", server.url, headers, body(), connect_seconds=5)
        )
        head, (reader, writer) = await server.request()
        assert (b"Transfer-Encoding: chunked" in head) is (length is None)
        for piece in (b"hello", b"", b"world"):
            pieces.put_nowait(piece)
            expected = piece if length else b"%x\r\n%b\r\n" % (len(piece), piece)
            if piece:
                assert await reader.readexactly(len(expected)) == expected
        pieces.put_nowait(None)
        await has_ended.wait()
        if length is None:
            assert await reader.readexactly(5) == b"0\r\n\r\n"
        writer.write(HELLO)
        assert await body_of(await asked) == b"hello"
        asked = get(client, server)
        head = await reader.readuntil(b"\r\n\r\n")  # on the same connection
        assert head.startswith(b"GET ")
        asked.cancel()

    run(story)


def test_a_body_that_fails_breaks_the_connection(run):
    async def story(client, server):
        async def body():
            yield b"hello"
            raise LookupError

        asked = asyncio.ensure_future(client.send("PUT", server.url, [], body(), connect_seconds=5))
        _, (reader, _) = await server.request()
        with pytest.raises(BrokenConnection, match="LookupError"):
            await asked
        assert await ended(reader)

    run(story)


def test_an_answer_before_the_end_of_the_body_ends_the_sending(run):
    async def story(client, server):
        closed = asyncio.Event()

        async def body():
            try:
                yield b"hello"
                await asyncio.Event().wait()
            finally:
                closed.set()

        asked = asyncio.ensure_future(client.send("PUT", server.url, [], body(), connect_seconds=5))
        _, (reader, writer) = await server.request()
        writer.write(b"HTTP/1.1 413 X\r\nContent-Length: 5\r\n\r\nhello")
        answer = await asked
        assert (answer.status, await body_of(answer)) == (413, b"hello")
        await closed.wait()
        assert await ended(reader)  # what is left of the body would be taken for a request

    run(story)


def test_others_have_their_turn_while_a_body_is_there_at_once(run):
    """Such as a file, to a server that takes it as fast as it comes."""

    async def story(client, server):
        turns, seen = 0, []

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def body():
            for _ in range(100):
                seen.append(turns)
                yield b"hello"

        waiting = asyncio.ensure_future(others())
        asked = upload(client, server, body())
        _, (reader, writer) = await server.request()
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(HELLO)
        assert await body_of(await asked) == b"hello"
        waiting.cancel()
        assert len(set(seen)) == 100

    run(story)
