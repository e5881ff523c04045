"""Calls out of the server: addresses, time, size. No test leaves the machine."""

import socket
import time
from itertools import repeat

import pytest
import requests

from core import egress
from core.egress.addresses import is_permitted
from tests.site.loopback import answer, listening, request_of

METADATA = [
    *("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"),
    *("fd20:ce::254", "192.0.0.192"),
    # the same in the clothes of IPv6: mapped, compatible, 6to4, NAT64, Teredo's two ends
    *("::ffff:169.254.169.254", "::169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe"),
    *("2001:0:a9fe:a9fe::1", "2001:0:808:808::5601:5601", "fe80::1%eth0"),
]
NEVER = [*METADATA, "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1"]
PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
    *("::1", "fd12::1", "::ffff:127.0.0.1"),
]


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_group_addresses_are_never_permitted(address):
    assert not is_permitted(address, private=True)
    assert not is_permitted(address, private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_permitted_unless_only_public_ones_are(address):
    assert is_permitted(address, private=True)
    assert not is_permitted(address, private=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"])
def test_public_addresses_are_permitted(address):
    assert is_permitted(address, private=False)


def ok(connection):
    request_of(connection)
    connection.sendall(answer(b"hello"))


def call(url: str, *, seconds: float = 2, limit: int = 1000, **options) -> bytes:
    with (
        egress.time_limit(seconds),
        egress.session() as session,
        session.get(url, timeout=(1, seconds), stream=True, **options) as response,
    ):
        return egress.read(response, limit=limit)


def resolve(monkeypatch, *addresses: str) -> list[str]:
    """Every name has these addresses; the names that were looked up."""
    asked = []

    def look_up(host, port, **options):
        asked.append(host)
        kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [
            (kind, socket.SOCK_STREAM, 6, "", (address, port))
            for kind, address in zip(kinds, addresses, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_server_on_loopback_answers():
    with listening(ok) as port:
        for host in ("127.0.0.1", "localhost", "2130706433"):
            assert call(f"http://{host}:{port}/") == b"hello"


def test_public_policy_closes_loopback(settings):
    settings.EGRESS = "public"
    with listening(ok) as port:
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1"):
            with pytest.raises(egress.ForbiddenAddress, match="does not call"):
                call(f"http://{host}:{port}/")


@pytest.mark.parametrize("scheme", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/"])
def test_other_schemes_are_refused(scheme):
    with pytest.raises(requests.exceptions.InvalidSchema):
        call(scheme)


def test_name_of_a_metadata_address_is_refused(monkeypatch):
    resolve(monkeypatch, "169.254.169.254")
    with pytest.raises(egress.ForbiddenAddress):
        call("http://innocent.example/")


def test_forbidden_addresses_of_a_name_are_passed_over(monkeypatch):
    with listening(ok) as port:
        resolve(monkeypatch, "169.254.169.254", "127.0.0.1")
        assert call(f"http://mixed.example:{port}/") == b"hello"


def test_address_that_refuses_is_passed_over(monkeypatch):
    with listening(ok) as port:
        resolve(monkeypatch, "127.0.0.2", "127.0.0.1")
        assert call(f"http://two.example:{port}/") == b"hello"
        resolve(monkeypatch, "127.0.0.2")
        with pytest.raises(requests.ConnectionError, match="refused"):
            call(f"http://one.example:{port}/")


def unknown_name(*args, **options):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_name_that_is_not_known_is_reported(monkeypatch):
    with pytest.raises(requests.ConnectionError, match="label"):
        call(f"http://{'a' * 64}.example/")
    monkeypatch.setattr(socket, "getaddrinfo", unknown_name)
    with pytest.raises(requests.ConnectionError, match="not known"):
        call("http://unknown.example/")


def test_address_that_was_checked_is_the_one_that_is_called(monkeypatch):
    """A name that changes its address between check and call has nothing to change: one look-up."""
    with listening(ok) as port:
        asked = resolve(monkeypatch, "127.0.0.1")
        assert call(f"http://rebinding.example:{port}/") == b"hello"
        assert asked == ["rebinding.example"]


def test_redirect_is_checked_like_any_other_call():
    def redirect(connection):
        request_of(connection)
        target = "http://169.254.169.254/latest/meta-data/"
        connection.sendall(answer(b"", status="302 Found", Location=target))

    with listening(redirect) as port, pytest.raises(egress.ForbiddenAddress):
        call(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("follows", [True, False])
def test_body_of_a_redirect_is_not_read(follows):
    def redirect(connection):
        request = request_of(connection)
        if request.startswith(b"GET /there "):
            connection.sendall(answer(b"hello"))
            return
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n")
        while True:
            connection.sendall(b" " * 2**20)

    with listening(redirect) as port:
        options = {"allow_redirects": follows, "stream": True, "timeout": 1}
        with egress.time_limit(1), egress.session() as session:
            response = session.get(f"http://127.0.0.1:{port}/", **options)
            assert response.status_code == (200 if follows else 302)
            response.close()


def test_environment_gives_no_proxy_and_no_password(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret-pw\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    requests_seen = []

    def note(connection):
        requests_seen.append(request_of(connection))
        connection.sendall(answer(b"hello", Set_Cookie="a=b; Path=/", Connection="close"))

    with listening(note) as port, egress.session() as session:
        for _ in range(2):
            assert session.get(f"http://127.0.0.1:{port}/", timeout=2).text == "hello"
    assert b"Authorization" not in requests_seen[0]
    assert b"Cookie" not in requests_seen[1]


def drip(connection):
    request_of(connection)
    for byte in repeat(b"X-Slow: 1\r\n"):
        connection.sendall(byte)
        time.sleep(0.05)


def drip_body(connection):
    request_of(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    drip_more(connection)


def drip_more(connection):
    for byte in repeat(b"x"):
        connection.sendall(byte)
        time.sleep(0.05)


def hang(connection):
    connection.recv(65536)
    time.sleep(5)


def drip_headers(connection):
    request_of(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    drip_more(connection)


@pytest.mark.parametrize("behaviour", [hang, drip, drip_headers, drip_body])
def test_slow_server_is_left_when_the_time_is_up(behaviour):
    with listening(behaviour) as port:
        begun = time.monotonic()
        with pytest.raises(requests.RequestException):
            call(f"http://127.0.0.1:{port}/", seconds=0.4)
        assert time.monotonic() - begun < 1


def test_server_that_never_pauses_is_left_when_the_time_is_up():
    def flood(connection):
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x")

    with listening(flood) as port, pytest.raises(requests.Timeout):
        call(f"http://127.0.0.1:{port}/", seconds=0.4, limit=2**30)


def test_read_without_a_time_limit_has_its_own_timeout():
    with (
        listening(hang) as port,
        egress.session() as session,
        pytest.raises(requests.ReadTimeout),
    ):
        session.get(f"http://127.0.0.1:{port}/", timeout=(1, 0.1))


def test_redirects_in_circles_are_given_up():
    paths = []

    def redirect(connection):
        while request := request_of(connection):
            paths.append(request.split()[1])
            connection.sendall(answer(b"", status="302 Found", Location=f"/{len(paths)}"))
            return

    with listening(redirect) as port, pytest.raises(requests.TooManyRedirects):
        call(f"http://127.0.0.1:{port}/")
    assert paths == [b"/", b"/1", b"/2", b"/3"]


def test_slow_look_up_is_left_when_the_time_is_up(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: time.sleep(3))
    begun = time.monotonic()
    with pytest.raises(requests.ConnectTimeout):
        call("http://slow.example/", seconds=0.3)
    assert time.monotonic() - begun < 1


def test_answer_over_the_limit_is_refused():
    def much(connection):
        request_of(connection)
        connection.sendall(answer(b"x" * 200_000))

    with listening(much) as port, pytest.raises(egress.TooLarge):
        call(f"http://127.0.0.1:{port}/", limit=100_000)


def test_connection_is_used_again():
    seen = set()

    def keep(connection):
        seen.add(connection.fileno())
        while request_of(connection):
            connection.sendall(answer(b"hello"))

    with listening(keep) as port, egress.session() as session:
        for _ in range(3):
            with egress.time_limit(1):
                session.get(f"http://127.0.0.1:{port}/", timeout=1)
    assert len(seen) == 1


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "224.0.0.1"])
def test_literal_address_is_refused_before_any_call(host):
    with pytest.raises(egress.ForbiddenAddress):
        egress.check_host(host)


def test_localhost_is_refused_before_any_call_under_the_public_policy(settings):
    egress.check_host("localhost")
    egress.check_host("example.com")
    settings.EGRESS = "public"
    egress.check_host("example.com")
    for host in ("localhost", "a.localhost", "10.0.0.1"):
        with pytest.raises(egress.ForbiddenAddress):
            egress.check_host(host)
