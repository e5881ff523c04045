"""Clients that end their side, or are gone."""

import asyncio

import pytest

from tests.http_server.applications import (
    MEGABYTE,
    body_of,
    breaks_off,
    echo,
    fails,
    reply,
    until_disconnected,
)
from tests.http_server.server import GET, POST, post


@pytest.mark.parametrize("count", [1, 3])
def test_a_client_may_end_its_side_after_its_requests(run, count):
    async def application(scope, receive, send):
        await asyncio.sleep(0.01)
        await echo(scope, receive, send)

    async def story(server):
        client = await server.connect()
        client.write(post(b"hello") * count)
        client.writer.write_eof()
        for _ in range(count):
            assert (await client.response())[1] == b"POST /p  hello"
        assert await client.rest() == b""

    run(application, story)


def test_what_waits_then_is_answered_if_it_is_whole(run):
    async def application(scope, receive, send):
        await asyncio.sleep(0.01)
        if scope["method"] == "GET":
            await until_disconnected(scope, receive, send)  # so it reads on
        await reply(send, scope["method"].encode())

    async def story(server):
        client = await server.connect()
        client.write(GET + post(b"hello") + post(b"cut off")[:-1])
        client.writer.write_eof()
        assert (await client.response())[1] == b"GET"
        head, body = await client.response()
        assert b"\r\nconnection: close\r\n" in head and body == b"POST"
        assert await client.rest() == b""

    run(application, story)


def test_an_end_in_the_middle_of_a_request_drops_it(run):
    async def story(server):
        client = await server.connect()
        client.write(post(b"hello")[:-1])
        client.writer.write_eof()
        assert await client.rest() == b""
        while server.state.tasks:
            await asyncio.sleep(0)

    run(until_disconnected, story)


def test_an_application_that_waits_takes_an_end_for_the_clients(run, caplog):
    """As streams and the gateway do: whoever has gone has ended its side, too."""

    async def story(server):
        client = await server.connect()
        client.write(GET)
        client.writer.write_eof()
        assert await client.rest() == b"" and not caplog.records

    run(until_disconnected, story)


def test_an_application_hears_that_its_client_has_gone(run):
    heard = asyncio.Event()

    async def application(scope, receive, send):
        await body_of(receive)
        await send({"type": "http.response.start", "status": 200})
        assert await receive() == {"type": "http.disconnect"}
        assert await receive() == {"type": "http.disconnect"}
        await send({"type": "http.response.body", "body": b"late"})  # nobody minds
        heard.set()

    async def story(server):
        client = await server.connect()
        client.write(GET)
        await client.head()
        client.writer.close()
        await heard.wait()

    run(application, story)


def test_one_that_waits_to_send_hears_it_too(run):
    ended = asyncio.Event()

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        while (await asyncio.wait_for(send_more(send), 5)) and not ended.is_set():
            if not server_of[0].state.connections:
                ended.set()

    async def send_more(send) -> bool:
        await send({"type": "http.response.body", "body": bytes(MEGABYTE), "more_body": True})
        return True

    server_of = []

    async def story(server):
        server_of.append(server)
        client = await server.connect()
        client.write(GET)
        await client.head()
        client.writer.transport.abort()
        await ended.wait()

    run(application, story)


def test_two_may_wait_for_the_end(run):
    """As the gateway does, which watches the client while it reads the upstream."""
    heard = []

    async def application(scope, receive, send):
        await body_of(receive)
        first, second = (asyncio.ensure_future(receive()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await reply(send)
        heard.append(await second)

    async def story(server):
        client = await server.connect()
        await client.ask(GET)
        while server.state.tasks:
            await asyncio.sleep(0)
        assert heard == [{"type": "http.disconnect"}]

    run(application, story)


async def _refuses(scope, receive, send):
    await reply(send, b"too large", status=413)


LARGE = b"POST / HTTP/1.%d\r\nHost: x\r\nContent-Length: 6000000\r\n%b\r\n"
CLOSING = {
    "HTTP/1.0": (LARGE % (0, b""), _refuses, b"too large"),
    "close": (LARGE % (1, b"Connection: close\r\n"), _refuses, b"too large"),
    "failure": (LARGE % (1, b""), fails, b'{"detail":"Internal Server Error"}'),
    "break": (LARGE % (1, b""), breaks_off, b"5\r\nbegin\r\n"),
    "no request afterwards": (POST + b"0\r\n\r\n\0", _refuses, b"too large"),
}


@pytest.mark.parametrize(("begin", "application", "body"), CLOSING.values(), ids=CLOSING)
def test_the_last_response_reaches_a_client_that_still_sends(run, begin, application, body):
    """RFC 9112, section 9.6: closed at once, the connection would be reset."""

    async def story(server):
        client = await server.connect()
        client.write(begin)
        for _ in range(60):
            client.write(bytes(100_000))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.reader.read()).partition(b"\r\n\r\n")[2] == body
        client.writer.close()
        while server.state.connections:
            await asyncio.sleep(0)

    run(application, story)
