"""A server that stops finishes what runs."""

import asyncio

import pytest

from llmring_site.http_server import protocol
from tests.http_server.applications import (
    Held,
    after,
    echo,
    relay,
    until_disconnected,
)
from tests.http_server.server import GET, post


def test_a_stopping_server_finishes_what_runs(run):
    going = asyncio.Event()

    async def story(server):
        idle, busy = await server.connect(), await server.connect()
        busy.write(post(b"1") + post(b"2"))
        while not server.state.tasks:
            await asyncio.sleep(0)
        server.shut_down()
        assert await idle.rest() == b""
        going.set()
        head, body = await busy.response()
        assert b"\r\nconnection: close\r\n" in head and body == b"POST /p  1"
        assert await busy.rest() == b""  # the second one was not begun

    run(after(going, echo), story)


def test_one_whose_response_has_begun_ends_after_it(run):
    application = Held(b"end")

    async def story(server):
        client = await server.connect()
        client.write(GET)
        await client.head()
        server.shut_down()
        application.going.set()
        assert await client.rest() == b"3\r\nend\r\n0\r\n\r\n"

    run(application, story)


def test_a_request_may_become_whole_while_the_server_stops(run):
    async def story(server):
        client = await server.connect()
        request = post(b"hello")
        client.write(request[:-1])
        while not server.state.tasks:
            await asyncio.sleep(0)
        server.shut_down()
        head, body = await client.ask(request[-1:])
        assert b"\r\nconnection: close\r\n" in head and body == b"POST /p  hello"

    run(echo, story)


def test_one_that_does_not_keeps_no_server(run, monkeypatch, caplog):
    monkeypatch.setattr(protocol, "_ARRIVAL_SECONDS", 0.02)
    monkeypatch.setattr(protocol, "_LINGER_SECONDS", 0.02)

    async def story(server):
        client = await server.connect()
        client.write(post(b"hello")[:-1])
        while not server.state.tasks:
            await asyncio.sleep(0)
        server.shut_down()
        head, body = await client.response()
        assert head.startswith(b"HTTP/1.1 503 ") and body == b'{"detail":"The server is stopping"}'
        while server.state.tasks or server.state.connections:
            await asyncio.sleep(0.01)
        assert not caplog.records

    run(until_disconnected, story)


@pytest.mark.parametrize("begins", ["before", "meanwhile"])
def test_one_whose_response_has_begun_may_go_on(run, monkeypatch, begins):
    monkeypatch.setattr(protocol, "_ARRIVAL_SECONDS", 0.02)
    going = asyncio.Event()

    async def story(server):
        client = await server.connect()
        request = post(b"hello")
        client.write(request[:-3])
        while not server.state.tasks:
            await asyncio.sleep(0)
        if begins == "meanwhile":
            server.shut_down()
        going.set()
        await client.head()
        if begins == "before":
            server.shut_down()
        await asyncio.sleep(0.05)
        client.write(request[-3:])
        assert await client.rest() == b"3\r\nllo\r\n0\r\n\r\n"

    run(after(going, relay), story)
