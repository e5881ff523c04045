"""Requests sent ahead, `Expect`, and offers of other protocols."""

import asyncio

import pytest

from tests.http_server.applications import (
    MEGABYTE,
    body_of,
    echo,
    reply,
)
from tests.http_server.server import GET, post


def test_requests_sent_at_once_are_answered_in_turn(run):
    running = []

    async def application(scope, receive, send):
        running.append(scope["path"])
        await asyncio.sleep(0)
        assert len(running) == 1
        await echo(scope, receive, send)
        running.clear()

    async def story(server):
        client = await server.connect()
        client.write(b"".join(post(b"%d" % number) for number in range(50)))
        for number in range(50):
            assert (await client.response())[1] == b"POST /p  %d" % number

    run(application, story)


def test_a_client_that_asks_first_is_told_to_go_on(run):
    async def story(server):
        client = await server.connect()
        request = post(b"hello", b"Expect: 100-continue")
        client.write(request[:-5])
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.write(b"hello")
        assert (await client.response())[1] == b"POST /p  hello"
        # Who does not wait for it needs none.
        assert (await client.ask(request))[1] == b"POST /p  hello"

    run(echo, story)


def test_http_1_0_is_not_told_to_go_on(run):
    """RFC 9110, section 10.1.1: it would take that for the response."""

    async def story(server):
        client = await server.connect()
        request = post(b"hello", b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
        client.write(request[:-5])
        while not server.state.tasks:
            await asyncio.sleep(0)
        client.write(b"hello")
        head, body = await client.response()
        assert head.startswith(b"HTTP/1.1 200 ") and body == b"POST /p  hello"

    run(echo, story)


def test_a_body_that_nobody_wants_is_not_asked_for(run):
    async def refuse(scope, receive, send):
        await reply(send, b"no", status=413)

    async def story(server):
        client = await server.connect()
        head, _ = await client.ask(post(b"hello", b"Expect: 100-continue")[:-5])
        assert head.startswith(b"HTTP/1.1 413 ")
        client.write(b"hello")  # sent all the same
        assert (await client.ask(post(bytes(3 * MEGABYTE))))[0].startswith(b"HTTP/1.1 413 ")
        assert (await client.ask(GET))[0].startswith(b"HTTP/1.1 413 ")

    run(refuse, story)


def test_nobody_is_told_to_go_on_within_a_response(run):
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": await body_of(receive)})

    async def story(server):
        client = await server.connect()
        request = post(b"hello", b"Expect: 100-continue")
        client.write(request[:-5])
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        client.write(b"hello")
        assert await client.reader.readuntil(b"0\r\n\r\n") == b"5\r\nhello\r\n0\r\n\r\n"

    run(application, story)


@pytest.mark.parametrize("body", [b"", b"hello"])
@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
def test_an_offered_protocol_is_passed_over(run, protocol, body):
    """Java's client offers HTTP/2 with its first request, and goes on in HTTP/1.1."""
    offer = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, b"HTTP2-Settings: A"]

    async def story(server):
        client = await server.connect()
        for _ in range(3):
            assert (await client.ask(post(body, *offer)))[1] == b"POST /p  " + body
        client.write(post(body, *offer) * 2000)
        for _ in range(2000):
            assert (await client.response())[1] == b"POST /p  " + body

    run(echo, story)
