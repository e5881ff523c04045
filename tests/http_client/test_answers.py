"""What is sent and read, and when a connection is used again."""

import asyncio

import pytest

from tests.http_client.peer import (
    HELLO,
    OK,
    answered,
    begun,
    body_of,
    ended,
    get,
)


def test_a_request_is_sent_as_it_is_given(run):
    async def story(client, server):
        headers = [("X-Twice", "1"), ("x-twice", "é")]
        asked = asyncio.ensure_future(
            client.send("POST", f"{server.url}/v1/x?y=%20", headers, b"body", connect_seconds=5)
        )
        head, (reader, writer) = await server.request()
        host = server.url.removeprefix("http://")
        assert head.decode() == (
            f"POST /v1/x?y=%20 HTTP/1.1\r\nHost: {host}\r\nX-Twice: 1\r\nx-twice: é\r\n"
            "Content-Length: 4\r\n\r\n"
        )
        assert await reader.readexactly(4) == b"body"
        writer.write(OK + b"X-Own: 1\r\nContent-Length: 5\r\n\r\nhello")
        answer = await asked
        assert (answer.status, answer.headers) == (
            200,
            [(b"X-Own", b"1"), (b"Content-Length", b"5")],
        )
        assert (await body_of(answer), answer.is_whole) == (b"hello", True)

    run(story)


NONE = ["Content-Length: 0"]


@pytest.mark.parametrize(("method", "length"), [("POST", NONE), ("DELETE", NONE), ("GET", [])])
def test_a_request_without_a_body_says_so_where_one_is_expected(run, method, length):
    async def story(client, server):
        asked = asyncio.ensure_future(client.send(method, server.url, [], connect_seconds=5))
        head, (_, writer) = await server.request()
        host = f"Host: {server.url.removeprefix('http://')}"
        assert head.decode() == "\r\n".join([f"{method} / HTTP/1.1", host, *length, "", ""])
        writer.write(HELLO)
        assert (await asked).header(b"x-other") == ""

    run(story)


def test_a_connection_is_used_again_after_a_whole_answer(run):
    async def story(client, server):
        asked = get(client, server)
        _, (reader, writer) = await server.request()
        for data in (HELLO, OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"):
            writer.write(data)
            assert await body_of(await asked) == b"hello"
            asked = get(client, server)
            await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        await asked
        assert server.arrived.empty()

    run(story)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        HELLO + HELLO,
        HELLO + b"more",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["closing", "two answers", "rest", "HTTP/1.0"],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(run, data):
    async def story(client, server):
        answer = await answered(client, server, data)
        assert await body_of(answer) == b"hello"
        assert await body_of(await answered(client, server, HELLO)) == b"hello"  # a new one

    run(story)


def test_an_answer_that_is_not_wanted_ends_its_connection(run):
    async def story(client, server):
        answer, reader, writer = await begun(client, server, OK + b"Content-Length: 9\r\n\r\nhello")
        assert await answer.read() == b"hello"
        answer.close()
        assert await ended(reader)

    run(story)


def test_a_caller_who_is_cancelled_ends_the_connection(run):
    async def story(client, server):
        asked = get(client, server)
        _, (reader, _) = await server.request()
        asked.cancel()
        assert await ended(reader)

    run(story)


def test_interim_answers_are_passed_over(run):
    async def story(client, server):
        data = (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + HELLO
        )
        answer = await answered(client, server, data)
        assert answer.headers == [(b"Content-Length", b"5")]
        assert await body_of(answer) == b"hello"

    run(story)


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_are_whole_at_once(run, status):
    async def story(client, server):
        answer = await answered(client, server, b"HTTP/1.1 %d X\r\n\r\n" % status)
        assert (await answer.read(), answer.is_whole) == (b"", True)

    run(story)


def test_the_answer_to_head_has_no_body(run):
    async def story(client, server):
        asked = asyncio.ensure_future(client.send("HEAD", server.url, [], connect_seconds=5))
        head, (_, writer) = await server.request()
        assert head.startswith(b"HEAD / HTTP/1.1\r\n")
        writer.write(OK + b"Content-Length: 5\r\n\r\n")
        answer = await asked
        assert (answer.header(b"content-length"), await answer.read()) == ("5", b"")

    run(story)


def test_without_a_length_the_body_ends_with_the_connection(run):
    async def story(client, server):
        answer = await answered(client, server, OK + b"\r\nhello", close=True)
        assert (await body_of(answer), answer.is_whole) == (b"hello", True)

    run(story)
