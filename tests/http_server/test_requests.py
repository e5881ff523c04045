"""What reaches the application of a request, and in which order."""

import pytest

from tests.http_server.applications import MEGABYTE, body_of, echo, in_chunks, reply
from tests.http_server.server import GET, post


def test_a_connection_serves_one_request_after_the_other(run):
    async def story(server):
        client = await server.connect()
        head, body = await client.ask(GET)
        assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: Thu, 26 Nov 2026 12:00:00 GMT\r\n")
        assert b"connection" not in head and body == b"GET /a b c=d "
        assert (await client.ask(post(b"hello")))[1] == b"POST /p  hello"
        assert server.state.total_requests == 2

    run(echo, story)


@pytest.mark.parametrize(
    "target", [b"/x%2Fy?q", b"/x%2Fy?q#f", b"http://other/x%2Fy?q", b"HTTP://other/x%2Fy?q#f"]
)
def test_the_scope_says_who_asks_what(run, target):
    host = b"X" if target.startswith(b"/") else b"other"
    seen = []

    async def application(scope, receive, send):
        seen.append(scope)
        await reply(send)

    async def story(server):
        client = await server.connect()
        await client.ask(b"GET " + target + b" HTTP/1.1\r\nHost: X\r\nA: 1\r\na: 2\r\n\r\n")
        [scope] = seen
        assert scope["path"] == "/x/y" and scope["raw_path"] == b"/x%2Fy"
        assert scope["query_string"] == b"q" and scope["http_version"] == "1.1"
        assert scope["headers"] == [(b"host", host), (b"a", b"1"), (b"a", b"2")]
        assert scope["client"] == client.writer.get_extra_info("sockname")
        assert scope["server"] == client.writer.get_extra_info("peername")

    run(application, story)


def test_trailers_are_no_headers(run):
    seen = []

    async def application(scope, receive, send):
        await body_of(receive)
        seen.append(scope["headers"])
        await reply(send)

    async def story(server):
        client = await server.connect()
        begin = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
        await client.ask(begin + b"X-Forwarded-For: 192.0.2.1\r\n\r\n")
        await client.ask(GET)
        assert [[name for name, _ in headers] for headers in seen] == [
            [b"host", b"transfer-encoding"],
            [b"host"],
        ]

    run(application, story)


@pytest.mark.parametrize("size", [0, 1, 5, 70_000, 3 * MEGABYTE])
def test_bodies_arrive_whole(run, size):
    sent = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def story(server):
        client = await server.connect()
        assert (await client.ask(post(sent)))[1] == b"POST /p  " + sent
        client.write(b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, size, 50_000):
            piece = sent[start : start + 50_000]
            client.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        client.write(b"0\r\n\r\n")
        assert (await client.response())[1] == b"POST /p  " + sent

    run(echo, story)


@pytest.mark.parametrize(("application", "packets"), [(echo, 1), (in_chunks, 3)])
def test_what_is_sent_together_arrives_together(run, application, packets):
    """A head with its body; of chunks the last one with the end."""

    async def story(server):
        client = await server.connect()
        client.write(post(b"hello", b"Connection: close"))
        assert b"hello" in await client.rest()
        assert client.received_packets == packets

    run(application, story)
