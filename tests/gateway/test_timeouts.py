"""Who was too slow: the upstream, the network or the client, and what the row says of it."""

import socket
import time
from contextlib import ExitStack, closing

import pytest

from gateway import upstreams
from tests.connections import unaccepting
from tests.gateway.conftest import counts
from tests.gateway.upstream import chat, in_turn, reply

TRANSCRIPT = {"text": "x", "usage": {"type": "duration", "seconds": 3}}
FORM = (
    b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    + b"x" * 2000
    + b"\r\n--B--\r\n"
)


@pytest.fixture
def with_timeouts(mock, upstreams_file):
    def write(timeouts: str, *, url: str = "", more: str = "") -> None:
        base = f"base_url: {url or mock.url}/v1, api_key: k, timeouts: {{{timeouts}}}{more}"
        upstreams_file(f"apis:\n  openai: {{{base}}}\n")

    return write


def begin_upload(gateway) -> socket.socket:
    """A connection on which a form of FORM's length is announced."""
    host, port = gateway.url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), timeout=20)
    sock.sendall(
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: %d\r\n\r\n"
        % (gateway.token.encode(), len(FORM))
    )
    return sock


def test_b09_an_upload_that_goes_on_is_no_silence(gateway, mock, with_timeouts):
    with_timeouts("response_header: 300ms")
    mock.script = reply(TRANSCRIPT)
    with closing(begin_upload(gateway)) as sock:
        for start in range(0, len(FORM), 400):
            time.sleep(0.1)
            sock.sendall(FORM[start : start + 400])
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert mock.requests[0].body == FORM
    assert counts(gateway.row)[0] == "settled"


@pytest.mark.parametrize("timeouts", ["response_header: 200ms", "request: 200ms"])
def test_b09_stalled_uploads_do_not_count_against_the_upstream(
    gateway, mock, with_timeouts, timeouts
):
    with_timeouts(timeouts)
    with ExitStack() as stack:
        stalled = [stack.enter_context(closing(begin_upload(gateway))) for _ in range(5)]
        for sock in stalled:
            sock.sendall(FORM[:100])
        replies = [sock.recv(65536) for sock in stalled]

    assert {each[:13] for each in replies} == {b"HTTP/1.1 408 "}
    assert all(b'"request_incomplete"' in each for each in replies)
    rows = [(row.usage_status, row.error, row.cost) for row in gateway.rows]
    assert rows == [("failed", "request_incomplete", 0)] * 5
    mock.script = reply(chat())
    assert gateway.chat().status_code == 200


@pytest.mark.parametrize("timeouts", ["response_header: 100ms, connect: 300ms", "request: 300ms"])
def test_b09_a_host_that_does_not_accept_is_unreachable_within_its_time(
    gateway, with_timeouts, timeouts
):
    """Nothing was sent: nothing stays reserved."""
    gateway.use(budget_usd=10)
    with unaccepting() as port:
        with_timeouts(timeouts, url=f"http://127.0.0.1:{port}", more=", retries: 2")
        began = time.monotonic()
        answer = gateway.chat()
        waited = time.monotonic() - began

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert (gateway.row.usage_status, gateway.left) == ("failed", 10)
    assert waited < 1  # one attempt of 0.3 seconds and another, or one alone


def test_b09_the_total_is_of_all_that_is_sent_for_a_call(gateway, mock, with_timeouts):
    """The option that we add is refused late, and the second request has what is left."""
    with_timeouts("request: 600ms")
    refusal = {"error": {"message": "Unknown parameter: 'stream_options'."}}
    mock.script = in_turn(reply(refusal, 400, delay=0.4), reply(chat(), delay=5))
    began = time.monotonic()
    assert gateway.chat(stream=True).status_code == 504
    assert time.monotonic() - began < 0.9
    assert len(mock.requests) == 2


def test_b08_redirects_do_not_count_against_the_upstream(gateway, mock, own_key):
    own_key()
    mock.script = reply(b"", 302, Location="https://files.example.com/x")
    statuses = [gateway.get("/v1/files/file-1/content").status_code for _ in range(6)]
    assert statuses == [502] * 6
    mock.script = reply(chat())
    assert gateway.chat().status_code == 200
    assert upstreams.status()["openai"]["breaker"] == "closed"
