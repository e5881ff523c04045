"""The client of the upstreams: what it sends and reads, and which connections it keeps."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from core.egress.http_answer import BodyStalled, BrokenConnection, MalformedAnswer
from core.egress.http_client import HttpClient, Unreachable
from tests.connections import serving, unaccepting
from tests.server import free_port

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
MEGABYTE = 1024 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine function with a client and a server, on each of the event loops."""

    def run(
        story: Callable[[HttpClient, "Server"], Awaitable[None]],
        encryption: ssl.SSLContext | None = None,
    ) -> None:
        async def main() -> None:
            client, server = HttpClient(), Server()
            async with serving(server.connected, ssl=encryption) as port:
                server.url = f"{'https' if encryption else 'http'}://127.0.0.1:{port}"
                async with asyncio.timeout(20):
                    await story(client, server)
                client.close()

        request.param(main())

    return run


class Server:
    """A server whose connections the test answers, each as it arrives."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Streams] = asyncio.Queue()

    async def connected(self, *streams) -> None:
        self.arrived.put_nowait(streams)

    async def request(self) -> tuple[bytes, Streams]:
        """The head of the first request of the next connection, and its streams."""
        streams = await self.arrived.get()
        return await streams[0].readuntil(b"\r\n\r\n"), streams


def get(client: HttpClient, server: Server, **options) -> asyncio.Task:
    sent = client.send("GET", f"{server.url}/a?b=c", [], connect_seconds=5, **options)
    return asyncio.ensure_future(sent)


async def begun(client: HttpClient, server: Server, data: bytes):
    """The answer that begins with these bytes, on a new connection, and the server's streams."""
    asked = get(client, server)
    _, (reader, writer) = await server.request()
    writer.write(data)
    return await asked, reader, writer


async def answered(client: HttpClient, server: Server, data: bytes, *, close: bool = False):
    """The answer that the client makes of these bytes, on a new connection."""
    asked = get(client, server)
    _, (_, writer) = await server.request()
    writer.write(data)
    if close:
        writer.close()
    return await asked


async def body_of(answer) -> bytes:
    pieces = []
    while data := await answer.read():
        pieces.append(data)
    return b"".join(pieces)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Wait until the other side has ended the connection."""
    try:
        return await reader.read() is not None
    except ConnectionResetError:
        return True


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


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 9\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"]
)
def test_a_body_that_breaks_off_is_read_as_far_as_it_came(run, framing):
    async def story(client, server):
        answer = await answered(client, server, OK + framing, close=True)
        assert await answer.read() == b"hello"
        with pytest.raises(BrokenConnection) as raised:
            await answer.read()
        assert (raised.value.is_silent, answer.is_whole) == (False, False)

    run(story)


@pytest.mark.parametrize("is_reused", [False, True])
def test_a_connection_that_ends_before_any_byte_says_so(run, is_reused):
    async def story(client, server):
        asked = get(client, server)
        _, (reader, writer) = await server.request()
        if is_reused:
            writer.write(HELLO)
            await body_of(await asked)
            asked = get(client, server)
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
        with pytest.raises(BrokenConnection) as raised:
            await asked
        assert (raised.value.is_silent, raised.value.was_reused) == (True, is_reused)

    run(story)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"X: " + b"a" * 70_000,
        OK + b"X: a\r\n" * 20_000,
        OK + b"X: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a" + b"\r\nX: a" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["other", "length", "lengths", "chunk", "header", "headers", "one", "whole"],
)
def test_what_is_no_answer_is_refused(run, data):
    async def story(client, server):
        with pytest.raises(MalformedAnswer):
            await answered(client, server, data)

    run(story)


@pytest.mark.parametrize(
    "endless", [b"0\r\nX-Trailer: ", b"5;note="], ids=["trailer", "chunk extension"]
)
def test_nothing_endless_is_kept(run, endless):
    async def story(client, server):
        answer, reader, writer = await begun(
            client, server, OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + endless
        )
        assert await answer.read() == b"hello"

        async def send() -> None:
            while True:
                writer.write(b"a" * 10_000)
                await writer.drain()

        sending = asyncio.ensure_future(send())
        with pytest.raises(MalformedAnswer):
            await answer.read()
        sending.cancel()

    run(story)


def test_a_connection_with_another_protocol_ends(run):
    async def story(client, server):
        data = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello"
        answer, reader, _ = await begun(client, server, data)
        assert answer.status == 101
        assert await ended(reader)

    run(story)


def test_a_silence_ends_the_answer_after_what_had_come(run):
    async def story(client, server):
        answer, reader, writer = await begun(client, server, OK + b"Content-Length: 9\r\n\r\nhello")
        answer.limit_silence(0.05)
        assert await answer.read() == b"hello"
        with pytest.raises(TimeoutError):
            await answer.read()
        assert await ended(reader)

    run(story)


@pytest.mark.parametrize("data", [b"", OK + b"Content-Length: 9\r\n\r\n"], ids=["head", "body"])
def test_the_time_for_all_of_it_ends_the_answer(run, data):
    async def story(client, server):
        asked = get(client, server, seconds=0.2)
        _, (reader, writer) = await server.request()
        writer.write(data)
        with pytest.raises(TimeoutError):
            await body_of(await asked)
        assert await ended(reader)

    run(story)


def test_silence_before_the_head_ends_the_request(run):
    async def story(client, server):
        asked = get(client, server, head_seconds=0.05)
        _, (reader, _) = await server.request()
        with pytest.raises(TimeoutError) as raised:
            await asked
        assert not isinstance(raised.value, BodyStalled)
        assert await ended(reader)

    run(story)


def test_the_wait_for_the_head_is_none_for_the_body(run):
    async def story(client, server):
        asked = get(client, server, head_seconds=0.05)
        _, (_, writer) = await server.request()
        writer.write(OK + b"Content-Length: 5\r\n\r\n")
        answer = await asked
        answer.limit_silence(5)
        await asyncio.sleep(0.1)
        writer.write(b"hello")
        assert await body_of(answer) == b"hello"

    run(story)


@pytest.mark.parametrize("seconds", [(0.05, 9), (9, 0.05)], ids=["own first", "own last"])
def test_of_two_limits_the_first_one_counts(run, seconds):
    async def story(client, server):
        answer, reader, _ = await begun(client, server, OK + b"Content-Length: 9\r\n\r\nhello")
        own, without = seconds
        answer.limit_time(own, LookupError())
        answer.limit_time(without)
        assert await answer.read() == b"hello"
        with pytest.raises(LookupError if own < without else TimeoutError):
            await answer.read()
        assert await ended(reader)

    run(story)


def test_a_limit_does_not_end_the_connection_of_a_whole_answer(run):
    async def story(client, server):
        answer, reader, _ = await begun(client, server, HELLO)
        assert answer.is_whole
        answer.limit_time(0)
        await asyncio.sleep(0.02)
        asked = get(client, server)
        await reader.readuntil(b"\r\n\r\n")  # on the same connection
        asked.cancel()

    run(story)


def upload(client: HttpClient, server: Server, body, **limits) -> asyncio.Task:
    return asyncio.ensure_future(
        client.send("PUT", server.url, [], body, connect_seconds=5, **limits)
    )


def test_an_upload_that_goes_on_is_no_silence(run):
    async def story(client, server):
        async def body():
            for _ in range(5):
                await asyncio.sleep(0.05)
                yield b"hello"

        asked = upload(client, server, body(), head_seconds=0.15)
        _, (reader, writer) = await server.request()
        await reader.readuntil(b"\r\n0\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.write(HELLO)
        assert await body_of(await asked) == b"hello"

    run(story)


def test_a_body_that_is_taken_slowly_is_no_silence(run):
    async def story(client, server):
        asked = upload(client, server, bytes(32 * MEGABYTE), head_seconds=0.3)
        _, (reader, writer) = await server.request()
        for _ in range(32):
            await asyncio.sleep(0.02)
            await reader.readexactly(MEGABYTE)
        writer.write(HELLO)
        assert await body_of(await asked) == b"hello"

    run(story)


@pytest.mark.parametrize("limit", ["head_seconds", "seconds"])
def test_a_body_that_does_not_come_is_not_the_other_sides_silence(run, limit):
    async def story(client, server):
        async def body():
            yield b"hello"
            await asyncio.Event().wait()

        asked = upload(client, server, body(), **{limit: 0.2})
        _, (reader, _) = await server.request()
        with pytest.raises(BodyStalled):
            await asked
        assert await ended(reader)

    run(story)


@pytest.mark.parametrize(
    "limits",
    [
        {"connect_seconds": 0.1, "head_seconds": 0.05},
        {"connect_seconds": 9, "seconds": 0.1},
    ],
    ids=["connecting", "all"],
)
def test_a_host_that_does_not_accept_in_time_is_unreachable(run, limits):
    async def story(client, server):
        with unaccepting() as port, pytest.raises(Unreachable):
            await client.send("GET", f"http://127.0.0.1:{port}/", [], **limits)

    run(story)


def test_who_sends_faster_than_is_read_has_to_wait(run):
    async def story(client, server):
        answer, reader, writer = await begun(
            client, server, OK + b"Content-Length: %d\r\n\r\n" % (64 * MEGABYTE)
        )
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(64):
                writer.write(bytes(MEGABYTE))
                await writer.drain()
                sent += 1

        sending = asyncio.ensure_future(send())
        await asyncio.wait([sending], timeout=0.2)
        assert not sending.done() and sent < 32  # what the kernel's buffers hold
        assert len(await body_of(answer)) == 64 * MEGABYTE
        await sending

    run(story)


@pytest.mark.parametrize("length", [None, "10"], ids=["chunked", "stated"])
def test_a_body_is_sent_as_it_comes(run, length):
    async def story(client, server):
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        has_ended = asyncio.Event()

        async def body():
            while (piece := await pieces.get()) is not None:
                yield piece
            has_ended.set()

        headers = [("Content-Length", length)] if length else []
        asked = asyncio.ensure_future(
            client.send("PUT", server.url, headers, body(), connect_seconds=5)
        )
        head, (reader, writer) = await server.request()
        assert (b"Transfer-Encoding: chunked" in head) is (length is None)
        for piece in (b"hello", b"", b"world"):
            pieces.put_nowait(piece)
            expected = piece if length else b"%x\r\n%b\r\n" % (len(piece), piece)
            if piece:
                assert await reader.readexactly(len(expected)) == expected
        pieces.put_nowait(None)
        await has_ended.wait()
        if length is None:
            assert await reader.readexactly(5) == b"0\r\n\r\n"
        writer.write(HELLO)
        assert await body_of(await asked) == b"hello"
        asked = get(client, server)
        await reader.readuntil(b"\r\n\r\n")  # on the same connection
        asked.cancel()

    run(story)


def test_a_body_that_fails_breaks_the_connection(run):
    async def story(client, server):
        async def body():
            yield b"hello"
            raise LookupError

        asked = asyncio.ensure_future(client.send("PUT", server.url, [], body(), connect_seconds=5))
        _, (reader, _) = await server.request()
        with pytest.raises(BrokenConnection, match="LookupError"):
            await asked
        assert await ended(reader)

    run(story)


def test_an_answer_before_the_end_of_the_body_ends_the_sending(run):
    async def story(client, server):
        closed = asyncio.Event()

        async def body():
            try:
                yield b"hello"
                await asyncio.Event().wait()
            finally:
                closed.set()

        asked = asyncio.ensure_future(client.send("PUT", server.url, [], body(), connect_seconds=5))
        _, (reader, writer) = await server.request()
        writer.write(b"HTTP/1.1 413 X\r\nContent-Length: 5\r\n\r\nhello")
        answer = await asked
        assert (answer.status, await body_of(answer)) == (413, b"hello")
        await closed.wait()
        assert await ended(reader)  # what is left of the body would be taken for a request

    run(story)


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\rb", "a\0b"])
def test_a_header_that_would_be_several_is_not_sent(run, value):
    async def story(client, server):
        with pytest.raises(ValueError, match="line break or a null"):
            await client.send("GET", server.url, [("X", value)], connect_seconds=5)
        assert server.arrived.empty()

    run(story)


def test_a_refused_address_is_not_called(run, settings):
    settings.EGRESS = "public"

    async def story(client, server):
        with pytest.raises(Unreachable, match="does not call"):
            await get(client, server)
        assert server.arrived.empty()

    run(story)


@pytest.mark.parametrize("host", ["127.0.0.1:99999", "a..example.com", f"{'a' * 64}.example.com"])
def test_an_address_that_cannot_be_is_unreachable(run, host):
    async def story(client, server):
        with pytest.raises(Unreachable):
            await client.send("GET", f"http://{host}/v1", [], connect_seconds=5)

    run(story)


def test_a_closed_port_is_unreachable(run):
    async def story(client, server):
        server.url = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(Unreachable):
            await get(client, server)

    run(story)


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody has signed, and the server's side of it."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("there is no openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def test_streams_pass_over_tls(run, certificate, settings):
    settings.CA_BUNDLE = str(certificate[0])

    async def story(client, server):
        answer, reader, writer = await begun(
            client, server, OK + b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for piece in (b"one", b"two", bytes(3 * MEGABYTE)):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            received = b""
            while len(received) < len(piece):
                received += await answer.read()
            assert received == piece
        writer.write(b"0\r\n\r\n")
        assert await answer.read() == b""
        asked = get(client, server)
        await reader.readuntil(b"\r\n\r\n")  # on the same connection
        writer.write(OK + b"\r\nhello")
        writer.close()
        assert await body_of(await asked) == b"hello"

    run(story, certificate[1])


def test_a_certificate_that_is_not_trusted_is_refused(run, certificate):
    async def story(client, server):
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await get(client, server)
        assert server.arrived.empty()

    run(story, certificate[1])


def test_a_server_that_speaks_no_tls_is_unreachable(run):
    async def story(client, server):
        url = server.url.replace("http:", "https:")
        asked = asyncio.ensure_future(client.send("GET", url, [], connect_seconds=5))
        _, writer = await server.arrived.get()
        writer.write(HELLO)
        with pytest.raises(Unreachable):
            await asked

    run(story)


def test_closing_the_client_ends_idle_connections(run):
    async def story(client, server):
        asked = get(client, server)
        _, (reader, writer) = await server.request()
        writer.write(HELLO)
        await body_of(await asked)
        client.close()
        assert await ended(reader)

    run(story)
