"""Connections that do nothing, and requests that stop arriving."""

import asyncio

import pytest

from tests.http_server.applications import (
    body_of,
    echo,
    relay,
    reply,
    until_disconnected,
)
from tests.http_server.server import GET, post


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", GET], ids=repr)
def test_a_connection_that_asks_for_nothing_is_closed(run, sent):
    async def story(server):
        client = await server.connect()
        client.write(sent)
        if sent == GET:
            await client.response()
        assert await client.rest() == b"" and not server.state.connections

    run(echo, story, idle_seconds=0.05)


def test_one_that_waits_for_its_response_is_not(run):
    """Also while the application watches whether its client goes, as the gateway does."""

    async def application(scope, receive, send):
        body = await body_of(receive)
        watching = asyncio.ensure_future(receive())
        await asyncio.sleep(0.2)
        assert not watching.done()
        await reply(send, body)

    async def story(server):
        client = await server.connect()
        for _ in range(2):
            assert (await client.ask(post(b"hello")))[1] == b"hello"
        assert await client.rest() == b""

    run(application, story, idle_seconds=0.05)


def test_after_a_response_the_connection_is_open_for_as_long_as_before(run):
    async def application(scope, receive, send):
        if scope["method"] == "POST":
            await asyncio.sleep(0.45)
        await echo(scope, receive, send)

    async def story(server):
        client = await server.connect()
        await client.ask(post(b"hello"))
        await asyncio.sleep(0.2)
        await client.ask(GET)
        await asyncio.sleep(0.2)
        client.write(GET[:9])
        await asyncio.sleep(0.2)  # from its beginning on, a request has as long, too
        assert (await client.ask(GET[9:]))[1] == b"GET /a b c=d "

    run(application, story, idle_seconds=0.3)


def test_a_request_that_stops_arriving_is_ended(run):
    """RFC 9110, section 15.5.9."""

    async def story(server):
        client = await server.connect()
        head, body = await client.ask(post(b"hello")[:-1])
        assert head.startswith(b"HTTP/1.1 408 ") and b"\r\nconnection: close\r\n" in head
        assert body == b'{"detail":"The request did not arrive in time"}'
        client.writer.close()
        while server.state.tasks:
            await asyncio.sleep(0)

    run(until_disconnected, story, idle_seconds=0.05)


def test_one_that_goes_on_arriving_is_not(run):
    async def story(server):
        client = await server.connect()
        request = post(bytes(8))
        client.write(request[:-8])
        for byte in request[-8:]:
            await asyncio.sleep(0.03)
            client.write(bytes([byte]))
        assert (await client.response())[1] == b"POST /p  " + bytes(8)

    run(echo, story, idle_seconds=0.2)


def test_one_that_nobody_waits_for_is_not(run):
    """The application does not ask for more of its body, or has responded already."""

    async def application(scope, receive, send):
        await asyncio.sleep(0.15)
        assert (await receive())["body"] == b"h"
        await asyncio.sleep(0.15)
        await relay(scope, receive, send)

    async def story(server):
        client = await server.connect()
        client.write(post(b"hello", b"Expect: 100-continue")[:-5])
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.write(b"h")
        await asyncio.sleep(0.15)
        client.write(b"e")
        await client.head()
        await asyncio.sleep(0.15)
        client.write(b"llo")
        assert await client.reader.readexactly(13) == b"3\r\nllo\r\n0\r\n\r\n"

    run(application, story, idle_seconds=0.05)
