"""Pieces of a body that are passed on as they come, while nobody has to be woken."""

import asyncio

import pytest

from tests.http_client.peer import HELLO, MEGABYTE, OK, begun, body_of, ended, get

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


async def reading(answer, pass_on) -> asyncio.Task:
    """Return a task that waits for what comes next."""
    task = asyncio.ensure_future(answer.read(pass_on))
    await asyncio.sleep(0)
    return task


def fail(data: bytes) -> bool:
    raise LookupError(data)


async def until(is_so) -> None:
    while not is_so():
        await asyncio.sleep(0)


def test_what_comes_is_passed_on_until_the_end(run):
    async def story(client, server):
        answer, _, writer = await begun(client, server, CHUNKED)
        passed: list[bytes] = []
        read = await reading(answer, lambda data: not passed.append(data))
        for number, sent in enumerate([chunks(b"a"), chunks(b"b", b"c")], start=1):
            writer.write(sent)
            await until(lambda n=number: len(passed) == n)
        assert not read.done()
        writer.write(END)
        assert await read == b""
        assert passed == [b"a", b"bc"]

    run(story)


def test_what_came_before_or_with_the_end_is_returned(run):
    async def story(client, server):
        answer, _, writer = await begun(client, server, CHUNKED + chunks(b"a"))
        passed: list[bytes] = []
        assert await answer.read(passed.append) == b"a"
        read = await reading(answer, passed.append)
        writer.write(chunks(b"b") + END)
        assert await read == b"b"
        assert await answer.read(passed.append) == b""
        assert passed == []

    run(story)


def test_what_is_not_taken_is_returned_whole_and_in_order(run):
    """As to a client that is slow: its sender waits."""

    async def story(client, server):
        answer, _, writer = await begun(client, server, CHUNKED)
        offered: list[bytes] = []

        def refuse(data: bytes) -> bool:
            offered.append(data)
            return False

        read = await reading(answer, refuse)
        sent = bytes(range(256)) * 4096 * 8
        writer.write(chunks(*(sent[at : at + 4096] for at in range(0, len(sent), 4096))) + END)
        pieces = [await read]
        await asyncio.sleep(0.05)
        assert writer.transport.get_write_buffer_size() > MEGABYTE  # nobody reads on
        while data := await answer.read():
            pieces.append(data)
        assert b"".join(pieces) == sent
        assert pieces[0].startswith(offered[0])

    run(story)


def test_what_is_raised_is_raised_to_who_reads(run):
    async def story(client, server):
        answer, reader, writer = await begun(client, server, CHUNKED)

        read = await reading(answer, fail)
        writer.write(chunks(b"a"))
        with pytest.raises(LookupError):
            await read
        answer.close()
        assert await ended(reader)

    run(story)


def test_what_is_raised_breaks_no_other_request(run):
    """Whatever else comes of the answer before who reads has closed it."""

    async def story(client, server):
        answer, _, writer = await begun(client, server, CHUNKED)

        read = await reading(answer, fail)
        writer.write(chunks(b"a"))
        with pytest.raises(LookupError):
            await read
        writer.write(chunks(b"b") + END)
        other = get(client, server)
        _, (_, writer) = await server.request()
        answer.close()
        writer.write(HELLO)
        assert await body_of(await other) == b"hello"

    run(story)


def test_a_silence_begins_with_the_last_piece_that_was_passed_on(run):
    async def story(client, server):
        answer, reader, writer = await begun(client, server, CHUNKED)
        answer.limit_silence(0.3)
        passed: list[bytes] = []
        read = await reading(answer, lambda data: not passed.append(data))
        for _ in range(4):
            await asyncio.sleep(0.1)
            writer.write(chunks(b"a"))
        assert not read.done()
        with pytest.raises(TimeoutError):
            await read
        assert passed == [b"a"] * 4
        assert await ended(reader)

    run(story)
