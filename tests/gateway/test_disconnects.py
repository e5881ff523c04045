"""Clients that leave while an answer is read whole: as those that leave a stream.

The head of each answer has come before its client leaves.
"""

import asyncio
import json
import socket
import threading
import time

import pytest

from gateway import upstreams
from tests.gateway.calls import leave, open_call, settled_row
from tests.gateway.conftest import counts
from tests.gateway.upstream import DONE, USAGE_CHUNK, chat, content, head, in_turn, reply, stream

HEAD = head(200, Content_Type="application/json", Transfer_Encoding="chunked")
STREAM_HEAD = head(200, Content_Type="text/event-stream", Transfer_Encoding="chunked")
ANSWER = json.dumps(chat()).encode()


@pytest.fixture
def with_options(mock, upstreams_file):
    def write(options: str) -> None:
        upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k, {options}}}\n")

    return write


def trickle(piece: bytes = b" ", *, start: bytes = HEAD, begun: threading.Event | None = None):
    """An answer that never ends; without a piece it is silent after its start."""

    async def script(request, writer):
        writer.write(start)
        if begun is not None:
            begun.set()
        while True:
            if piece:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.02)

    return script


OPTIONS = {
    "cancel": "on_disconnect: cancel",
    "seconds": "drain: {seconds: 200ms}",
    "megabytes": "drain: {megabytes: 1}",
}


@pytest.mark.parametrize("limit", OPTIONS)
def test_b10_a_plain_answer_is_not_read_for_ever(gateway, mock, with_options, limit):
    with_options(OPTIONS[limit])
    begun = threading.Event()
    mock.script = trickle(b" " * 65536 if limit == "megabytes" else b" ", begun=begun)

    messages = [{"role": "user", "content": "Hello"}]
    leave(gateway, {"messages": messages}, once=begun, after=0.1)

    assert mock.closed.wait(1)
    row = settled_row(gateway)
    assert (row.usage_status, row.error, row.http_status) == ("estimated", "client_gone", 200)
    assert row.input_tokens > 0 and row.cost > 0
    assert gateway.pending == 0
    assert upstreams.status()["openai"]["in_flight"] == 0


@pytest.mark.parametrize("start", [HEAD, STREAM_HEAD], ids=["plain", "stream"])
@pytest.mark.parametrize("limit", ["cancel", "seconds"])
def test_b10_a_silent_answer_is_not_waited_for(gateway, mock, with_options, limit, start):
    with_options(OPTIONS[limit])
    mock.script = trickle(b"", start=start)
    began = time.monotonic()
    leave(gateway, {"stream": start == STREAM_HEAD}, after=0.1)
    assert settled_row(gateway).error == "client_gone"
    assert time.monotonic() - began < 1


def test_b10_what_had_come_is_counted(gateway, mock, with_options):
    with_options(OPTIONS["cancel"])
    body = b'{"model": "gpt-4o-mini", "choices": [{"message": {"content": "' + b"word " * 20
    begun = threading.Event()
    mock.script = trickle(b"", start=HEAD + b"%x\r\n%s\r\n" % (len(body), body), begun=begun)
    leave(gateway, {}, once=begun, after=0.1)
    # 20 words of 4 letters and a space: 100 characters
    assert counts(settled_row(gateway))[3] == 25


def test_b10_a_plain_answer_that_ends_in_time_is_settled(gateway, mock):
    async def script(request, writer):
        writer.write(HEAD)
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(ANSWER), ANSWER))

    mock.script = script
    leave(gateway, {}, after=0.1)
    row = settled_row(gateway)
    assert (counts(row), row.error) == (("settled", 10, 0, 5, 0), None)


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("size", "state"), [(1_350_000, "estimated"), (1_000_000, "settled")])
def test_b10_a_megabyte_is_read_on(gateway, mock, with_options, size, state, is_stream):
    """1,048,576 bytes, of which the client has had none."""
    with_options(OPTIONS["megabytes"])
    end = b"\n\n" + USAGE_CHUNK + DONE
    answer = b":" + end.rjust(size - 1) if is_stream else ANSWER.rjust(size)
    kind = "text/event-stream" if is_stream else "application/json"

    async def script(request, writer):
        writer.write(head(200, Content_Type=kind, Content_Length=str(size)))
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.write(answer)

    mock.script = script
    leave(gateway, {"stream": is_stream}, after=0.05)
    assert settled_row(gateway).usage_status == state


def test_b10_clients_that_leave_do_not_count_against_the_upstream(gateway, mock, with_options):
    with_options(OPTIONS["cancel"])
    gateway.use(allowed_models=["gpt-4o-mini"])  # lists of models are filtered, so held
    mock.script = trickle()
    for _ in range(5):
        leave(gateway, {}, after=0.05)
        leave(gateway, None, after=0.05, path="/v1/models")
    assert mock.closed.wait(1)
    mock.script = reply(chat())
    assert gateway.chat().status_code == 200
    assert upstreams.status()["openai"]["breaker"] == "closed"


def test_b10_nobody_is_asked_again_for_a_client_that_left(gateway, mock):
    """The upstream refuses the option that we add, and the client leaves meanwhile."""
    refusal = b'{"error": {"message": "Unknown parameter: \'stream_options\'."}}'

    async def script(request, writer):
        writer.write(head(400, Content_Type="application/json", Content_Length=str(len(refusal))))
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.write(refusal)

    mock.script = script
    leave(gateway, {"stream": True}, after=0.1)
    row = settled_row(gateway)
    assert (row.usage_status, row.http_status, row.cost) == ("failed", 400, 0)
    assert len(mock.requests) == 1


def test_b10_a_stream_with_a_gap_has_no_end(gateway, mock):
    """Who sends no more counts as gone, but may read: what came must not look whole."""
    mock.script = stream(content("one"), content("two"), USAGE_CHUNK, DONE, delay=0.2)
    got = b""
    with open_call(gateway, {"stream": True}) as sock:
        while content("one") not in got:
            got += sock.recv(65536)
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):
            got += data

    assert b"two" not in got
    assert not got.endswith(b"0\r\n\r\n")
    assert counts(settled_row(gateway)) == ("settled", 176, 1024, 340, 0)


def test_b02_the_first_byte_of_a_plain_answer_is_its_first(gateway, mock):
    async def script(request, writer):
        writer.write(head(200, Content_Type="application/json", Content_Length=str(len(ANSWER))))
        writer.write(ANSWER[:20])
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.write(ANSWER[20:])

    mock.script = script
    assert gateway.chat().json() == chat()
    assert gateway.row.first_byte_ms < 200 < gateway.row.latency_ms


def test_b02_sound_that_comes_at_once_has_a_first_byte(gateway, mock):
    """The only piece is the last one, which the client gets when the call is settled."""
    mock.script = reply(b"sound", Content_Type="audio/mpeg")
    body = {"model": "gpt-4o-mini-tts", "input": "Hi", "voice": "alloy"}
    assert gateway.post("/v1/audio/speech", body).content == b"sound"
    assert 0 <= gateway.row.first_byte_ms <= gateway.row.latency_ms


def test_b10_who_stays_gets_all_of_a_stream_that_would_be_cancelled(gateway, mock, with_options):
    with_options(OPTIONS["cancel"])
    mock.script = stream(content("Hi"), USAGE_CHUNK, DONE, delay=0.02)
    assert gateway.chat(stream=True).content == content("Hi") + DONE
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)


@pytest.mark.slow
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_nothing_is_sent_again_for_a_client_that_left(gateway, mock, with_options, is_stream):
    with_options("retries: 2")
    mock.script = in_turn(reply({"error": {}}, 429, Retry_After="1"), reply(chat()))
    gateway.use(budget_usd=1)

    leave(gateway, {"stream": is_stream}, after=0.3)

    row = settled_row(gateway)
    assert (row.usage_status, row.http_status, row.error) == ("failed", 429, "http_429")
    assert gateway.left == 1
    time.sleep(1)
    assert len(mock.requests) == 1


def test_no_option_is_taken_back_for_a_client_that_left(gateway, mock):
    refusal = {"error": {"message": "Unknown parameter: 'stream_options'."}}
    mock.script = in_turn(reply(refusal, 400, delay=0.3), stream(content("Hi"), DONE))

    leave(gateway, {"stream": True}, after=0.1)

    assert (settled_row(gateway).usage_status, len(mock.requests)) == ("failed", 1)
