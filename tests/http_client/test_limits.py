"""How long an answer may take, and each silence in it."""

import asyncio

import pytest

from core.egress.http_answer import BodyStalled
from tests.http_client.peer import (
    HELLO,
    OK,
    begun,
    body_of,
    ended,
    get,
)


def test_a_silence_ends_the_answer_after_what_had_come(run):
    async def story(client, server):
        answer, reader, writer = await begun(client, server, OK + b"Content-Length: 9\r\n\r\nhello")
        answer.limit_silence(0.05)
        assert await answer.read() == b"hello"
        with pytest.raises(TimeoutError):
            await answer.read()
        assert await ended(reader)

    run(story)


@pytest.mark.parametrize("data", [b"", OK + b"Content-Length: 9\r\n\r\n"], ids=["head", "body"])
def test_the_time_for_all_of_it_ends_the_answer(run, data):
    async def story(client, server):
        asked = get(client, server, seconds=0.2)
        _, (reader, writer) = await server.request()
        writer.write(data)
        with pytest.raises(TimeoutError):
            await body_of(await asked)
        assert await ended(reader)

    run(story)


def test_silence_before_the_head_ends_the_request(run):
    async def story(client, server):
        asked = get(client, server, head_seconds=0.05)
        _, (reader, _) = await server.request()
        with pytest.raises(TimeoutError) as raised:
            await asked
        assert not isinstance(raised.value, BodyStalled)
        assert await ended(reader)

    run(story)


@pytest.mark.parametrize(
    "pieces",
    [[b"HTTP/1.1 102 Processing\r\n\r\n"] * 4, [b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 3]],
    ids=["interim answers", "parts of the head"],
)
def test_whatever_comes_before_the_head_is_no_silence(run, pieces):
    async def story(client, server):
        asked = get(client, server, head_seconds=0.3)
        _, (_, writer) = await server.request()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.1)
        is_interim = b"102" in pieces[0]
        writer.write(HELLO if is_interim else HELLO.removeprefix(OK))
        assert await body_of(await asked) == b"hello"

    run(story)


def test_the_wait_for_the_head_is_none_for_the_body(run):
    async def story(client, server):
        asked = get(client, server, head_seconds=0.05)
        _, (reader, writer) = await server.request()
        writer.write(OK + b"Content-Length: 5\r\n\r\n")
        answer = await asked
        answer.limit_silence(5)
        await asyncio.sleep(0.1)
        writer.write(b"hello")
        assert await body_of(answer) == b"hello"
        asked = get(client, server, head_seconds=9)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 5\r\n\r\n")
        answer = await asked
        answer.limit_silence(0.05)
        with pytest.raises(TimeoutError):
            await answer.read()

    run(story)


@pytest.mark.parametrize("seconds", [(0.05, 9), (9, 0.05)], ids=["own first", "own last"])
def test_of_two_limits_the_first_one_counts(run, seconds):
    async def story(client, server):
        answer, reader, _ = await begun(client, server, OK + b"Content-Length: 9\r\n\r\nhello")
        own, without = seconds
        answer.limit_time(own, LookupError())
        answer.limit_time(without)
        assert await answer.read() == b"hello"
        with pytest.raises(LookupError if own < without else TimeoutError):
            await answer.read()
        assert await ended(reader)

    run(story)


def test_a_reader_who_takes_its_time_is_no_silence(run):
    async def story(client, server):
        answer, _, writer = await begun(client, server, OK + b"Content-Length: 11\r\n\r\nhello")
        answer.limit_silence(0.05)
        assert await answer.read() == b"hello"
        reading = asyncio.ensure_future(answer.read())
        writer.write(b"hel")
        assert await reading == b"hel"
        await asyncio.sleep(0.1)
        writer.write(b"lo")
        assert await answer.read() == b"lo"
        with pytest.raises(TimeoutError):
            await answer.read()

    run(story)


def test_a_limit_that_is_reached_while_nobody_reads_is_the_error_of_the_answer(run):
    async def story(client, server):
        answer, reader, _ = await begun(client, server, OK + b"Content-Length: 9\r\n\r\nhello")
        answer.limit_time(0.02, LookupError())
        assert await ended(reader)
        assert await answer.read() == b"hello"
        with pytest.raises(LookupError):
            await answer.read()

    run(story)


@pytest.mark.parametrize("limits", [[0.02], [0.02, 9], [9, 0.02]], ids=str)
def test_limits_do_not_end_the_connection_of_an_answer_that_came_in_time(run, limits):
    async def story(client, server):
        answer, reader, writer = await begun(client, server, OK + b"Content-Length: 5\r\n\r\n")
        for seconds in limits:
            answer.limit_time(seconds)
        writer.write(b"hello")
        assert await body_of(answer) == b"hello"
        asked = get(client, server)
        await reader.readuntil(b"\r\n\r\n")  # on the same connection
        await asyncio.sleep(0.05)
        writer.write(HELLO)
        assert await body_of(await asked) == b"hello"

    run(story)


def test_a_limit_does_not_end_the_connection_of_a_whole_answer(run):
    async def story(client, server):
        answer, reader, _ = await begun(client, server, HELLO)
        assert answer.is_whole
        answer.limit_time(0)
        await asyncio.sleep(0.02)
        asked = get(client, server)
        await reader.readuntil(b"\r\n\r\n")  # on the same connection
        asked.cancel()

    run(story)
