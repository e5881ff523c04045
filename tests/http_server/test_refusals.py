"""Requests that cannot be read, or are not served."""

import asyncio

import pytest

from tests.http_server.applications import (
    MEGABYTE,
    echo,
)
from tests.http_server.server import GET, LARGE_HEADS, POST, post

MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0 in the form of HTTP/1.1": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/0.9 with a version": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "a header with a space": b"GET / HTTP/1.1\r\nA B: c\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
    "no target": b"GET  HTTP/1.1\r\n\r\n",
    "a target of another method": b"GET x:443 HTTP/1.1\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks of chunks": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    "a bad chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_request_gets_a_reason(run, request_):
    async def story(server):
        client = await server.connect()
        client.write(request_)
        head, body = await client.response()
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"\r\ncontent-type: application/json\r\n" in head
        assert b"\r\nconnection: close\r\n" in head
        assert body == b'{"detail":"The request is not HTTP/1.1"}'
        assert await client.rest() == b""

    run(echo, story)


INVALID_HOSTS = {
    "none": b"",
    "two": b"Host: x\r\nHost: x\r\n",
    "with a space": b"Host: x y\r\n",
    "with a path": b"Host: x/y\r\n",
    "with a user": b"Host: a@x\r\n",
    "not ASCII": b"Host: \xe9\r\n",
    "an open bracket": b"Host: [::1\r\n",
    "a port that is no number": b"Host: x:y\r\n",
}


@pytest.mark.parametrize("headers", INVALID_HOSTS.values(), ids=INVALID_HOSTS)
def test_a_request_needs_one_valid_host(run, headers):
    """RFC 9112, section 3.2."""

    async def story(server):
        client = await server.connect()
        await client.ask(GET)
        head, body = await client.ask(b"GET / HTTP/1.1\r\n" + headers + b"\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and b"Host" in body
        assert await client.rest() == b""

    run(echo, story)


@pytest.mark.parametrize("host", [b"", b"a@x", b"x:y", b"[::1"])
def test_the_host_of_an_absolute_target_is_checked_too(run, host):
    """RFC 9112, section 3.2.2."""

    async def story(server):
        client = await server.connect()
        head, _ = await client.ask(b"GET http://" + host + b"/p HTTP/1.1\r\nHost: x\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert await client.rest() == b""

    run(echo, story)


def test_valid_hosts_are_served(run):
    async def story(server):
        client = await server.connect()
        for host in (b"", b"x:", b"a_b:80 \t", b"192.0.2.1:8000", b"[::1]:80", b"[2001:db8::1]"):
            request = GET.replace(b"Host: x", b"Host: " + host)
            assert (await client.ask(request))[0].startswith(b"HTTP/1.1 200 ")
        assert (await client.ask(b"GET / HTTP/1.0\r\n\r\n"))[0].startswith(b"HTTP/1.1 200 ")

    run(echo, story)


UNSUPPORTED = {
    "another method": b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in small letters": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a longer method": b"GETX / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel": b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
    "another coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a coding below": b"POST / HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_", UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_is_not_supported_is_501(run, request_):
    """RFC 9110, section 9.1; RFC 9112, section 6.1."""

    async def story(server):
        client = await server.connect()
        head, body = await client.ask(request_)
        assert head.startswith(b"HTTP/1.1 501 Not Implemented\r\n") and b"upported" in body
        assert await client.rest() == b""

    run(echo, story)


ENDLESS = LARGE_HEADS | {
    "trailers": POST + b"0\r\n" + (b"A: " + b"x" * 95 + b"\r\n") * 700,
    "an extension": POST + b"1;" + b"x" * 70_000,
}


@pytest.mark.parametrize("sent", LARGE_HEADS.values(), ids=LARGE_HEADS)
def test_large_heads_are_refused(run, sent):
    async def story(server):
        client = await server.connect()
        head, body = await client.ask(sent)
        assert head.startswith(b"HTTP/1.1 431 ") and b"65536 bytes" in body
        assert await client.rest() == b""

    run(echo, story)


@pytest.mark.parametrize("sent", ENDLESS.values(), ids=ENDLESS)
def test_headers_without_end_are_refused(run, sent):
    async def story(server):
        client = await server.connect()
        for start in range(0, 68_000, 1000):
            client.write(sent[start : start + 1000])
            await asyncio.sleep(0)
        head, body = await client.response()
        assert head.startswith(b"HTTP/1.1 431 ") and b"65536 bytes" in body
        client.write(bytes(MEGABYTE))  # not read by us as a request
        client.writer.write_eof()
        assert await client.rest() == b""

    run(echo, story)


def of_target(length: int) -> bytes:
    return b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * (length - 1))


def of_headers(count: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * (count - 1) + b"\r\n"


@pytest.mark.parametrize(
    ("make", "most", "status", "reason"),
    [(of_target, 32_768, 414, b"32768 bytes"), (of_headers, 1_000, 431, b"1000 headers")],
)
def test_heads_that_take_long_to_read_are_refused(run, make, most, status, reason):
    async def story(server):
        client = await server.connect()
        assert (await client.ask(make(most)))[0].startswith(b"HTTP/1.1 200 ")
        head, body = await client.ask(make(most + 1))
        assert head.startswith(b"HTTP/1.1 %d " % status) and reason in body
        assert await client.rest() == b""

    run(echo, story)


def test_large_headers_are_taken(run):
    async def story(server):
        client = await server.connect()
        header = b"Cookie: " + b"x" * 30_000
        for _ in range(3):
            assert (await client.ask(post(bytes(200_000), header)))[0].startswith(b"HTTP/1.1 200 ")

    run(echo, story)


def test_a_request_before_what_cannot_be_read_is_answered(run):
    async def story(server):
        client = await server.connect()
        client.write(post(b"hello") + b"and more\r\n\r\n")
        head, body = await client.response()
        assert b"\r\nconnection: close\r\n" in head and body == b"POST /p  hello"
        assert await client.rest() == b""

    run(echo, story)


async def _break_within_the_response(server) -> None:
    """Send what is no chunk once the head has come: nothing follows it."""
    client = await server.connect()
    client.write(POST + b"1\r\na\r\n")
    await client.head()
    client.write(b"zz\r\n")
    assert await client.rest() == b""


def test_a_response_that_has_begun_is_not_followed_by_a_refusal(run):
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await receive()
        assert await receive() == {"type": "http.disconnect"}

    run(application, _break_within_the_response)


def test_what_an_application_sends_after_a_broken_request_is_dropped(run, caplog):
    broken = asyncio.Event()

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await broken.wait()
        await send({"type": "http.response.body", "body": b"late"})

    async def story(server):
        await _break_within_the_response(server)
        broken.set()
        while server.state.tasks:
            await asyncio.sleep(0)
        assert not caplog.records

    run(application, story)
