"""The server replies where the application fails, or breaks off."""

import logging
import re

import pytest
from structlog.contextvars import bind_contextvars

from tests.http_server.applications import MEGABYTE, breaks_off, fails, reply
from tests.http_server.server import GET, LARGE_HEADS, POST


async def _exits(scope, receive, send):
    raise SystemExit(1)


async def _forgets(scope, receive, send):
    pass


async def _splits_the_response(scope, receive, send):
    await reply(send, headers=[(b"x", b"1\r\ninjected: 1")])


async def _names_no_header(scope, receive, send):
    await reply(send, headers=[(b"x y", b"1")])


async def _begins_with_the_body(scope, receive, send):
    await send({"type": "http.response.body"})


FAILING = [
    fails, _exits, _forgets, _splits_the_response, _names_no_header, _begins_with_the_body,
]  # fmt: skip


@pytest.mark.parametrize("application", FAILING)
def test_an_application_that_fails_is_answered_for(run, application, caplog):
    async def story(server):
        client = await server.connect()
        head, body = await client.ask(GET)
        assert head.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert b"injected" not in head and body == b'{"detail":"Internal Server Error"}'
        assert await client.rest() == b""

    with caplog.at_level(logging.ERROR):
        run(application, story)
    assert "a request" in caplog.text


ANSWERED_BY_THE_SERVER = {
    "no request": b"hello\r\n\r\n",
    "a large head": LARGE_HEADS["one header"],
    "a body that breaks": POST + b"zz\r\n",
    "a failure": GET,
}


@pytest.mark.parametrize("request_", ANSWERED_BY_THE_SERVER.values(), ids=ANSWERED_BY_THE_SERVER)
def test_replies_of_the_server_have_the_headers_of_all(run, request_):
    """docs/http-contract.md, section Service."""
    headers = b"Host: x\r\nX-Request-ID: mine\r\nOrigin: https://a.example"

    async def story(server):
        client = await server.connect()
        head, _ = await client.ask(request_.replace(b"Host: x", headers))
        assert b"\r\nx-content-type-options: nosniff\r\n" in head
        assert b"\r\nx-frame-options: DENY\r\n" in head and b"\r\nvary: origin" in head
        [id] = re.findall(rb"\r\nx-request-id: (\S+)\r\n", head)
        assert (id == b"mine") == (b"Host" in request_)
        assert (b"\r\naccess-control-allow-origin: *" in head) == (b"Host" in request_)

    run(fails, story)


def test_a_failed_request_has_the_id_of_its_log_lines(run):
    async def application(scope, receive, send):
        bind_contextvars(request_id="abc")
        raise ValueError

    async def story(server):
        client = await server.connect()
        assert b"\r\nx-request-id: abc\r\n" in (await client.ask(GET))[0]

    run(application, story)


async def _stops(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"begin", "more_body": True})


async def _breaks_off_late(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": bytes(16 * MEGABYTE), "more_body": True})
    raise ValueError


def test_a_failure_after_the_response_is_only_logged(run, caplog):
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        for _ in range(2):
            await send({"type": "http.response.body", "body": b"hi"})

    async def story(server):
        client = await server.connect()
        client.write(GET * 2)
        for _ in range(2):
            await client.head()
            assert await client.reader.readexactly(12) == b"2\r\nhi\r\n0\r\n\r\n"

    with caplog.at_level(logging.ERROR):
        run(application, story)
    assert caplog.text.count("a request failed") == 2


def test_a_response_that_breaks_off_arrives_as_far_as_it_went(run):
    async def story(server):
        client = await server.connect()
        client.write(GET)
        await client.head()
        assert len(await client.rest()) > 16 * MEGABYTE

    run(_breaks_off_late, story)


async def _says_too_much(scope, receive, send):
    await reply(send, b"begin", headers=[(b"content-length", b"9")])


async def _says_too_little(scope, receive, send):
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"begin", "more_body": True})


async def _begins_twice(scope, receive, send):
    for _ in range(2):
        await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


BROKEN = [breaks_off, _stops, _says_too_much, _says_too_little, _begins_twice]


@pytest.mark.parametrize("application", BROKEN)
def test_a_response_that_breaks_off_does_not_look_complete(run, application, caplog):
    async def story(server):
        client = await server.connect()
        client.write(GET)
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert b"chunked" not in head or not body.endswith(b"0\r\n\r\n")
        stated = re.search(rb"content-length: (\d+)", head)
        assert not stated or len(body) < int(stated[1])

    with caplog.at_level(logging.ERROR):
        run(application, story)
    assert bool(caplog.records) == (application is not _stops)  # which does it on purpose
