"""Hosts that cannot be reached, refused addresses, TLS, and the end of all connections."""

import asyncio
import gc
import shutil
import socket
import ssl
import subprocess

import pytest
import uvloop

from core.egress import http_client
from core.egress.http_client import Unreachable
from tests.http_client.peer import (
    HELLO,
    MEGABYTE,
    OK,
    answered,
    begun,
    body_of,
    ended,
    get,
)
from tests.server import free_port


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


@pytest.fixture
def look_up(monkeypatch):
    """A function: have names looked up by this one, on either loop."""

    def look_up(found) -> None:
        for loop in (asyncio.BaseEventLoop, uvloop.Loop):
            monkeypatch.setattr(loop, "getaddrinfo", found, raising=False)

    return look_up


def test_a_name_that_was_unknown_is_looked_up_again_and_one_that_is_known_is_not(run, look_up):
    looked_up = []

    async def found(loop, host, port, **options):
        if host == "name.example":
            looked_up.append(host)
            if len(looked_up) == 1:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def story(client, server):
        look_up(found)
        server.url = server.url.replace("127.0.0.1", "name.example")
        with pytest.raises(Unreachable, match="Temporary failure"):
            await get(client, server)
        for _ in range(2):
            data = HELLO.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")
            assert await body_of(await answered(client, server, data)) == b"hello"
        assert len(looked_up) == 2

    run(story)


def test_a_look_up_that_fails_after_its_caller_has_gone_is_no_error_of_the_loop(run, look_up):
    async def story(client, server):
        errors, has_left = [], asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

        async def found(loop, host, port, **options):
            await has_left.wait()
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        look_up(found)
        with pytest.raises(Unreachable):
            await client.send("GET", "http://name.example/", [], connect_seconds=0.01)
        has_left.set()
        for _ in range(5):
            await asyncio.sleep(0)
        client._lookups.clear()
        gc.collect()
        assert errors == []

    run(story)


def test_an_ipv6_address_is_called_by_its_literal(run):
    async def story(client, server):
        peer = await asyncio.start_server(server.connected, "::1", 0)
        port = peer.sockets[0].getsockname()[1]
        server.url = f"http://[::1]:{port}"
        asked = get(client, server)
        head, (_, writer) = await server.request()
        assert f"\r\nHost: [::1]:{port}\r\n".encode() in head
        writer.write(HELLO)
        assert await body_of(await asked) == b"hello"
        writer.close()
        peer.close()

    if not socket.has_ipv6:
        pytest.skip("there is no IPv6")
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


def test_certificates_may_be_in_a_directory(run, certificate, settings, tmp_path):
    """As OpenSSL has them: files that are named by the hash of the subject."""
    command = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificate[0])]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    directory = tmp_path / "certificates"
    directory.mkdir()
    shutil.copy(certificate[0], directory / f"{name}.0")
    settings.CA_BUNDLE = str(directory)

    async def story(client, server):
        assert await body_of(await answered(client, server, HELLO)) == b"hello"

    run(story, certificate[1])


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


def test_an_idle_connection_is_closed_before_its_server_would_close_it(run, monkeypatch):
    monkeypatch.setattr(http_client, "KEEP_ALIVE_SECONDS", 0.1)

    async def story(client, server):
        asked = get(client, server)
        _, (reader, writer) = await server.request()
        for delay in (0.06, 0):  # the time begins with the last request
            writer.write(HELLO)
            assert await body_of(await asked) == b"hello"
            if delay:
                await asyncio.sleep(delay)
                asked = get(client, server)
                await reader.readuntil(b"\r\n\r\n")
        assert await ended(reader)
        assert await body_of(await answered(client, server, HELLO)) == b"hello"  # a new one

    run(story)


def test_a_connection_on_which_its_server_speaks_unasked_is_closed(run):
    async def story(client, server):
        answer, reader, writer = await begun(client, server, HELLO)
        assert await body_of(answer) == b"hello"
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        assert await ended(reader)
        assert await body_of(await answered(client, server, HELLO)) == b"hello"  # a new one

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
