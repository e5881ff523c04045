"""Answers that begin before the request's body has come: servers may answer at any time."""

import asyncio
import socket
from contextlib import closing

import pytest

from gateway import upstreams
from tests.gateway.calls import settled_row, within_a_second
from tests.gateway.conftest import counts
from tests.gateway.test_timeouts import FORM, begin_upload
from tests.gateway.upstream import ScriptedUpstream, chunk, head

BEGUN, DONE = b": waiting\n\n", {"type": "transcript.text.done", "text": "x"}
USAGE = {"input_tokens": 26, "output_tokens": 12, "total_tokens": 38}


class EarlyUpstream(ScriptedUpstream):
    """Begins a stream when it has the head of a request, and ends it when it has the body."""

    received = b""

    async def _connected(self, reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head(200, Content_Type="text/event-stream", Connection="close") + BEGUN)
        try:
            self.received = await reader.readexactly(len(FORM))
            writer.write(chunk({**DONE, "usage": USAGE}))
            await writer.drain()
        except asyncio.IncompleteReadError:
            self.closed.set()
        writer.close()


@pytest.fixture
def early(gateway, settings):
    with EarlyUpstream() as upstream:
        settings.OPENAI_API_URL = upstream.url
        upstreams.forget()
        yield upstream


def read_until(sock: socket.socket, end: bytes) -> bytes:
    got = b""
    while end not in got:
        part = sock.recv(65536)
        assert part, got
        got += part
    return got


def test_the_rest_of_an_upload_reaches_an_upstream_that_answers_already(gateway, early):
    with closing(begin_upload(gateway)) as sock:
        sock.sendall(FORM[:200])
        read_until(sock, BEGUN)
        for start in range(200, len(FORM), 400):
            sock.sendall(FORM[start : start + 400])
        read_until(sock, b"\r\n0\r\n\r\n")
    assert early.received == FORM
    assert counts(settled_row(gateway)) == ("settled", 26, 0, 12, 0)
    assert gateway.row.model == "whisper-1"


def test_a_client_that_leaves_while_it_sends_is_no_fault_of_an_upstream_that_answers(
    gateway, early
):
    for _ in range(5):  # as many failures as open a breaker
        with closing(begin_upload(gateway)) as sock:
            sock.sendall(FORM[:200])
            read_until(sock, BEGUN)
    assert early.closed.wait(5)
    within_a_second(lambda: len(gateway.rows) == 5)
    ends = {(row.usage_status, row.error) for row in gateway.rows}
    assert ends == {("unknown", "request_incomplete")}
    assert upstreams.status()["openai"]["breaker"] == "closed"
