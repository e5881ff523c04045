"""Answers that break off, never end, or are not HTTP."""

import asyncio
import socket
import struct

import pytest

from core.egress.http_answer import BrokenConnection, MalformedAnswer
from tests.http_client.peer import (
    HELLO,
    OK,
    answered,
    begun,
    body_of,
    ended,
    get,
)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 9\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"]
)
def test_a_body_that_breaks_off_is_read_as_far_as_it_came(run, framing):
    async def story(client, server):
        answer = await answered(client, server, OK + framing, close=True)
        assert await answer.read() == b"hello"
        with pytest.raises(BrokenConnection) as raised:
            await answer.read()
        assert (raised.value.is_silent, answer.is_whole) == (False, False)

    run(story)


def test_a_reset_is_not_the_end_of_a_body_without_a_length(run):
    async def story(client, server):
        answer, _, writer = await begun(client, server, OK + b"\r\nhello")
        assert await answer.read() == b"hello"
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        with pytest.raises(BrokenConnection):
            await answer.read()

    run(story)


@pytest.mark.parametrize("is_reused", [False, True])
def test_a_connection_that_ends_before_any_byte_says_so(run, is_reused):
    async def story(client, server):
        asked = get(client, server)
        _, (reader, writer) = await server.request()
        if is_reused:
            writer.write(HELLO)
            await body_of(await asked)
            asked = get(client, server)
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
        with pytest.raises(BrokenConnection) as raised:
            await asked
        assert raised.value.is_silent
        assert (raised.value.idle_seconds is not None) == is_reused

    run(story)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"X: " + b"a" * 70_000,
        OK + b"X: a\r\n" * 20_000,
        OK + b"X: a\r\n" * 1_000 + b"Content-Length: 0\r\n\r\n",
        OK + b"X: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a" + b"\r\nX: a" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["other", "length", "lengths", "chunk", "header", "headers", "many", "one", "whole"],
)
def test_what_is_no_answer_is_refused(run, data):
    async def story(client, server):
        with pytest.raises(MalformedAnswer):
            await answered(client, server, data)

    run(story)


@pytest.mark.parametrize(
    "endless", [b"0\r\nX-Trailer: ", b"5;note="], ids=["trailer", "chunk extension"]
)
def test_nothing_endless_is_kept(run, endless):
    async def story(client, server):
        answer, reader, writer = await begun(
            client, server, OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + endless
        )
        assert await answer.read() == b"hello"

        async def send() -> None:
            while True:
                writer.write(b"a" * 10_000)
                await writer.drain()

        sending = asyncio.ensure_future(send())
        with pytest.raises(MalformedAnswer):
            await answer.read()
        sending.cancel()

    run(story)


def test_a_connection_with_another_protocol_ends(run):
    async def story(client, server):
        data = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello"
        answer, reader, _ = await begun(client, server, data)
        assert answer.status == 101
        assert await ended(reader)

    run(story)
