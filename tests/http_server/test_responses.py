"""How responses are framed, and when the connection is kept."""

import asyncio

import pytest

from tests.http_server.applications import (
    Held,
    echo,
    in_chunks,
    reply,
)
from tests.http_server.server import GET, post


def test_a_stream_begins_before_its_first_piece(run):
    application = Held(b"")

    async def story(server):
        client = await server.connect()
        client.write(GET)
        await client.head()
        application.going.set()
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"

    run(application, story)


def test_a_body_of_stated_length_may_come_in_pieces(run):
    going = asyncio.Event()

    async def application(scope, receive, send):
        headers = [(b"content-length", b"6")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await going.wait()
        await send({"type": "http.response.body", "body": b"two"})

    async def story(server):
        client = await server.connect()
        for _ in range(2):
            going.clear()
            client.write(GET)
            assert (await client.head()).startswith(b"HTTP/1.1 200 ")
            assert await client.reader.readexactly(3) == b"one"
            going.set()
            assert await client.reader.readexactly(3) == b"two"

    run(application, story)


def test_a_request_may_come_byte_by_byte(run):
    async def story(server):
        client = await server.connect()
        for byte in post(b"hello"):
            client.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.response())[1] == b"POST /p  hello"

    run(echo, story)


def test_a_response_without_a_length_comes_in_chunks(run):
    async def story(server):
        client = await server.connect()
        for _ in range(2):
            client.write(post(b"hello"))
            assert b"\r\ntransfer-encoding: chunked\r\n" in await client.head()
            assert await client.reader.readexactly(23) == b"5\r\nhello\r\n3\r\nend\r\n0\r\n\r\n"

    run(in_chunks, story)


def test_to_http_1_0_it_lasts_to_the_end_of_the_connection(run):
    async def story(server):
        client = await server.connect()
        client.write(b"POST /p HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")
        head, body = (await client.rest()).split(b"\r\n\r\n")
        assert b"transfer-encoding" not in head and b"\r\nconnection: close" in head
        assert body == b"hiend"

    run(in_chunks, story)


@pytest.mark.parametrize("method, status", [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_some_responses_have_no_body(run, method, status):
    async def application(scope, receive, send):
        await reply(send, b"12345", status=status)

    async def story(server):
        client = await server.connect()
        for _ in range(2):
            client.write(method + GET[3:])
            assert b"HTTP/1.1 %d " % status in await client.head()
        client.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await client.head()
        assert await client.rest() == (b"12345" if (method, status) == (b"HEAD", 200) else b"")

    run(application, story)


def test_a_client_that_says_close_is_closed(run):
    async def story(server):
        client = await server.connect()
        head, body = await client.ask(post(b"hi", b"Connection: close"))
        assert b"\r\nconnection: close\r\n" in head and body == b"POST /p  hi"
        assert await client.rest() == b""

    run(echo, story)


def test_an_application_that_says_close_is_obeyed(run):
    async def application(scope, receive, send):
        await reply(send, headers=[(b"content-length", b"0"), (b"connection", b"close")])

    async def story(server):
        client = await server.connect()
        head, _ = await client.ask(GET)
        assert head.count(b"connection: close") == 1 and await client.rest() == b""

    run(application, story)
