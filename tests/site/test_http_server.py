"""HTTP/1.1 as clients speak it: framing, reuse, waiting, ends, and what cannot be read."""

import asyncio
import contextlib
import logging
import re
import socket

import pytest
import uvicorn
import uvloop
from structlog.contextvars import bind_contextvars, clear_contextvars
from uvicorn.server import ServerState

from llmring_site.http_server import protocol
from llmring_site.http_server.protocol import HttpProtocol

GET = b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n"
DATE = (b"date", b"Thu, 26 Nov 2026 12:00:00 GMT")
MEGABYTE = 1024 * 1024


class Server:
    """The protocol in front of an ASGI application, and what reached that."""

    def __init__(self, application, *, idle_seconds: float = 60) -> None:
        config = uvicorn.Config(
            application, log_config=None, lifespan="off", timeout_keep_alive=idle_seconds
        )
        self.state = ServerState()
        self.state.default_headers = [DATE]
        self._make = lambda: HttpProtocol(config=config, server_state=self.state, app_state={})

    async def __aenter__(self) -> "Server":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make, "127.0.0.1", 0)
        self._clients: list[asyncio.StreamWriter] = []
        return self

    async def __aexit__(self, *error) -> None:
        self._server.close()
        for client in self._clients:
            client.close()
        while self.state.tasks or self.state.connections:
            await asyncio.sleep(0)

    async def connect(self, *, receive_buffer: int | None = None) -> "Client":
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        address = self._server.sockets[0].getsockname()
        await asyncio.get_running_loop().sock_connect(sock, address)
        reader, writer = await asyncio.open_connection(sock=sock)
        self._clients.append(writer)
        return Client(reader, writer)

    def shut_down(self) -> None:
        for connection in [*self.state.connections]:
            connection.shutdown()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def response(self) -> tuple[bytes, bytes]:
        """The next response: its head, and the body that its length states."""
        head = await self.head()
        length = re.search(rb"content-length: (\d+)", head)
        return head, await self.reader.readexactly(int(length[1])) if length else b""

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        self.write(request)
        return await self.response()

    async def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        with contextlib.suppress(ConnectionResetError):
            return await self.reader.read()
        return b""


@pytest.fixture(autouse=True)
def _no_request():
    """The edge binds the id of a request to the context, here that of all tests."""
    clear_contextvars()


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Run `story(server)` before an application, on each of the event loops."""

    def run(application, story, **options) -> None:
        async def main() -> None:
            async with Server(application, **options) as server, asyncio.timeout(20):
                await story(server)

        request.param(main())

    return run


async def body_of(receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


async def reply(send, body: bytes = b"", *, status: int = 200, headers=None) -> None:
    headers = headers or [(b"Content-Length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(scope, receive, send) -> None:
    """Reply with what was asked."""
    line = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} "
    await reply(send, line.encode() + await body_of(receive))


async def in_chunks(scope, receive, send) -> None:
    """Reply with what was asked, in two pieces without a length."""
    body = await body_of(receive)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


async def in_many_pieces(scope, receive, send) -> None:
    """Reply with more than buffers hold, as fast as it is read."""
    await send({"type": "http.response.start", "status": 200})
    for _ in range(160):
        await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
    await send({"type": "http.response.body"})


async def in_one_piece(scope, receive, send) -> None:
    await reply(send, bytes(16 * MEGABYTE))


class Held:
    """An application whose response has begun, and ends when `going` is set."""

    def __init__(self, body: bytes) -> None:
        self.going = asyncio.Event()
        self._body = body

    async def __call__(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await self.going.wait()
        await send({"type": "http.response.body", "body": self._body})


def post(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /p HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


# --- Requests and responses -----------------------------------------------------


def test_a_connection_serves_one_request_after_the_other(run):
    async def story(server):
        client = await server.connect()
        head, body = await client.ask(GET)
        assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: Thu, 26 Nov 2026 12:00:00 GMT\r\n")
        assert b"connection" not in head and body == b"GET /a b c=d "
        assert (await client.ask(post(b"hello")))[1] == b"POST /p  hello"
        assert server.state.total_requests == 2

    run(echo, story)


def test_the_scope_says_who_asks_what(run):
    seen = []

    async def application(scope, receive, send):
        seen.append(scope)
        await reply(send)

    async def story(server):
        client = await server.connect()
        await client.ask(b"GET http://other/x%2Fy?q#f HTTP/1.1\r\nHost: X\r\nA: 1\r\na: 2\r\n\r\n")
        [scope] = seen
        assert scope["path"] == "/x/y" and scope["raw_path"] == b"/x%2Fy"
        assert scope["query_string"] == b"q" and scope["http_version"] == "1.1"
        assert scope["headers"] == [(b"host", b"X"), (b"a", b"1"), (b"a", b"2")]
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


@pytest.mark.parametrize("application", [echo, in_chunks])
def test_what_is_sent_together_arrives_together(run, application):
    async def story(server):
        client = await server.connect()
        client.write(post(b"hello"))
        received = await client.reader.read(65536)
        assert received.startswith(b"HTTP/1.1 200 ") and b"hello" in received

    run(application, story)


def test_a_stream_begins_before_its_first_piece(run):
    application = Held(b"")

    async def story(server):
        client = await server.connect()
        client.write(GET)
        await client.head()
        application.going.set()
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"

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


# --- Slow and absent clients -----------------------------------------------------


def test_a_body_comes_as_fast_as_it_is_read(run):
    wanted = asyncio.Event()

    async def application(scope, receive, send):
        await wanted.wait()
        await echo(scope, receive, send)

    async def story(server):
        client = await server.connect()
        client.write(post(bytes(16 * MEGABYTE)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.writer.drain(), 0.2)
        wanted.set()
        await client.writer.drain()
        assert len((await client.response())[1]) == 16 * MEGABYTE + len("POST /p  ")

    run(application, story)


def test_a_response_goes_as_fast_as_it_is_read(run):
    sent = []

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        for _ in range(640):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            sent.append(100_000)
        await send({"type": "http.response.body"})

    async def story(server):
        client = await server.connect()
        client.write(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        await client.head()
        [connection] = server.state.connections
        while connection.writable is None:
            await asyncio.sleep(0)
        assert sum(sent) < 20 * MEGABYTE  # what the system's buffers take
        assert len(await client.rest()) > 64_000_000 and len(sent) == 640

    run(application, story)


@pytest.mark.parametrize("application", [in_many_pieces, in_one_piece])
def test_a_client_that_does_not_read_is_ended(run, application):
    async def story(server):
        client = await server.connect(receive_buffer=4096)
        client.write(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        await client.head()
        while server.state.connections or server.state.tasks:
            await asyncio.sleep(0.01)

    run(application, story, idle_seconds=0.1)


@pytest.mark.parametrize("application", [in_many_pieces, in_one_piece])
def test_one_that_reads_slowly_is_not(run, application):
    """Long before the system's buffer has room again."""

    async def story(server):
        client = await server.connect(receive_buffer=4096)
        client.write(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        await client.head()
        for _ in range(60):
            await client.reader.readexactly(4096)
            await asyncio.sleep(0.01)
        assert server.state.connections
        client.writer.transport.abort()

    run(application, story, idle_seconds=0.2)


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
    async def application(scope, receive, send):
        await asyncio.sleep(0.2)
        await echo(scope, receive, send)

    async def story(server):
        client = await server.connect()
        assert (await client.ask(post(b"hello")))[1] == b"POST /p  hello"
        assert await client.rest() == b""

    run(application, story, idle_seconds=0.05)


async def until_disconnected(scope, receive, send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def relay(scope, receive, send) -> None:
    """Respond to the first piece of a request, and go on reading it."""
    await receive()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": await body_of(receive)})


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
    """The application has not asked for its body, or has responded already."""

    async def application(scope, receive, send):
        await asyncio.sleep(0.15)
        await relay(scope, receive, send)

    async def story(server):
        client = await server.connect()
        client.write(post(b"hello", b"Expect: 100-continue")[:-5])
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.write(b"he")
        await client.head()
        await asyncio.sleep(0.15)
        client.write(b"llo")
        assert await client.reader.readexactly(13) == b"3\r\nllo\r\n0\r\n\r\n"

    run(application, story, idle_seconds=0.05)


# --- The end of the server --------------------------------------------------------


def test_a_stopping_server_finishes_what_runs(run):
    going = asyncio.Event()

    async def application(scope, receive, send):
        await going.wait()
        await echo(scope, receive, send)

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

    run(application, story)


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


def test_one_whose_response_has_begun_may_go_on(run, monkeypatch):
    monkeypatch.setattr(protocol, "_ARRIVAL_SECONDS", 0.02)

    async def story(server):
        client = await server.connect()
        request = post(b"hello")
        client.write(request[:-3])
        await client.head()
        server.shut_down()
        await asyncio.sleep(0.05)
        client.write(request[-3:])
        assert await client.rest() == b"3\r\nllo\r\n0\r\n\r\n"

    run(relay, story)


# --- What cannot be read, and what fails -------------------------------------------


MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
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


POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE_HEADS = {
    "target": b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    "headers": b"GET / HTTP/1.1\r\n" + b"A: bcdefg\r\n" * 7000 + b"\r\n",
    "one header": b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
}
ENDLESS = LARGE_HEADS | {
    "trailers": POST + b"0\r\n" + b"A: bcdefg\r\n" * 7000,
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


def test_a_response_that_has_begun_is_not_followed_by_a_refusal(run):
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await receive()
        assert await receive() == {"type": "http.disconnect"}

    async def story(server):
        client = await server.connect()
        client.write(POST + b"1\r\na\r\n")
        await client.head()
        client.write(b"zz\r\n")
        assert await client.rest() == b""

    run(application, story)


async def _raises(scope, receive, send):
    raise ValueError("secret")


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
    _raises, _exits, _forgets, _splits_the_response, _names_no_header, _begins_with_the_body,
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

    run(_raises, story)


def test_a_failed_request_has_the_id_of_its_log_lines(run):
    async def application(scope, receive, send):
        bind_contextvars(request_id="abc")
        raise ValueError

    async def story(server):
        client = await server.connect()
        assert b"\r\nx-request-id: abc\r\n" in (await client.ask(GET))[0]

    run(application, story)


async def _breaks_off(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"begin", "more_body": True})
    raise ValueError


async def _stops(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"begin", "more_body": True})


async def _breaks_off_late(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": bytes(16 * MEGABYTE), "more_body": True})
    raise ValueError


def test_a_response_that_breaks_off_arrives_as_far_as_it_went(run):
    async def story(server):
        client = await server.connect()
        client.write(GET)
        await client.head()
        assert len(await client.rest()) > 16 * MEGABYTE

    run(_breaks_off_late, story)


async def _says_too_little(scope, receive, send):
    await reply(send, b"begin", headers=[(b"content-length", b"9")])


@pytest.mark.parametrize("application", [_breaks_off, _stops, _says_too_little])
def test_a_response_that_breaks_off_does_not_look_complete(run, application, caplog):
    async def story(server):
        client = await server.connect()
        client.write(GET)
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert b"chunked" not in head or not body.endswith(b"0\r\n\r\n")
        assert b"content-length" not in head or len(body) < 9

    run(application, story)
