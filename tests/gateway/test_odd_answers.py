"""Answers that are at the edge of HTTP, or beyond it: relayed, or a 502; never a 500."""

import asyncio
import gzip
import json
import zlib
from decimal import Decimal
from types import SimpleNamespace

import pytest

from gateway.models import Call
from gateway.relay import hold
from gateway.upstream_config import UpstreamConfig
from tests.gateway.calls import raw_post, read
from tests.gateway.conftest import counts
from tests.gateway.upstream import (
    DONE,
    USAGE_CHUNK,
    chat,
    chunk,
    content,
    exactly,
    in_turn,
    reply,
    stop,
    stream,
)
from tests.zstd import zstd

BODY = json.dumps(chat()).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EVENTS = content("Hi") + stop() + USAGE_CHUNK + DONE
SENT = {"model": "gpt-4o-mini", "messages": []}


def body_of(got: bytes) -> bytes:
    return got.partition(b"\r\n\r\n")[2]


UNDERSTOOD = {
    "HTTP/1.0 without a length": OK.replace(b"1.1", b"1.0") + b"\r\n" + BODY,
    "without a length": OK + b"\r\n" + BODY,
    "100 before it": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY,
    "103 before it": b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
    + OK
    + LENGTH
    + b"\r\n"
    + BODY,
    "trailers": OK
    + b"Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n%x\r\n%s\r\n0\r\nX-T: 1\r\n\r\n"
    % (len(BODY), BODY),
    "another answer behind it": OK + LENGTH + b"\r\n" + BODY + OK + b"Content-Length: 1\r\n\r\nX",
    "no reason": OK.replace(b" OK", b"") + LENGTH + b"\r\n" + BODY,
    "a folded header": OK + b"X-Name: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY,
    "a long header": OK + b"X-Policy: " + b"a" * 20_000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "a header with control characters": OK + b"X-Name: a\x01b\r\n" + LENGTH + b"\r\n" + BODY,
    "capitals": OK.replace(b"application/json", b"Application/JSON") + LENGTH + b"\r\n" + BODY,
    "text/plain": OK.replace(b"application/json", b"text/plain") + LENGTH + b"\r\n" + BODY,
    "no type": b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "a byte order mark": OK + b"\r\n\xef\xbb\xbf" + BODY,
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_an_answer_that_can_be_understood_is_relayed_and_metered(gateway, mock, name):
    mock.script = exactly(UNDERSTOOD[name])
    got = raw_post(gateway, SENT)
    assert got.startswith(b"HTTP/1.1 200 ")
    assert body_of(got).removeprefix(b"\xef\xbb\xbf") == BODY
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)
    assert Call.objects.count() == 0


@pytest.mark.parametrize("value", [b"Gr\xfc\xdfe", "Grüße 你".encode()], ids=["latin-1", "utf-8"])
def test_headers_cross_as_they_are(gateway, mock, value):
    mock.script = exactly(OK + b"X-Name: " + value + b"\r\n" + LENGTH + b"\r\n" + BODY)
    assert b"x-name: " + value + b"\r\n" in raw_post(gateway, SENT)
    answer = gateway.chat(headers={"X-Name": "Grüße 你".encode()})
    assert answer.status_code == 200
    assert mock.requests[-1].header("X-Name").encode("latin-1") == "Grüße 你".encode()


CODINGS = {
    "gzip": gzip.compress(BODY),
    "GZIP": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    "gzip, identity": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "zstd": zstd.compress(BODY),
    **dict.fromkeys(["", "identity", "none", "utf-8", "UTF8"], BODY),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_b06_an_answer_comes_plain_however_it_is_coded(gateway, mock, coding):
    """The last ones are no codings at all, though servers state them."""
    data = CODINGS[coding]
    mock.script = reply(data, Content_Encoding=coding, ETag='"x"')
    answer = gateway.post("/v1/chat/completions", SENT, stream=True)
    assert answer.raw.read(decode_content=False) == BODY
    is_plain = data == BODY
    assert answer.headers["Content-Length"] == str(len(BODY))
    assert answer.headers.get("Content-Encoding") == (coding if is_plain else None)
    assert ("ETag" in answer.headers) is is_plain
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


def test_b06_an_answer_without_the_end_of_its_coding_is_whole(gateway, mock):
    mock.script = reply(gzip.compress(BODY)[:-8], Content_Encoding="gzip")
    assert gateway.chat().content == BODY
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


def test_b06_an_answer_that_was_cut_within_its_coding_does_not_look_whole(gateway, mock):
    cut = gzip.compress(BODY)[:-20]
    mock.script = reply(cut, Content_Encoding="gzip", Cache_Control="public, max-age=60")
    asking = {"Cache-Control": "public, max-age=60"}
    for _ in range(2):  # nor is it kept
        answer = gateway.post("/v1/chat/completions", SENT, headers=asking, stream=True)
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.raw.read(decode_content=False) == cut
    assert [row.usage_status for row in gateway.rows] == ["estimated"] * 2


def test_b06_an_answer_that_is_coded_twice_is_relayed(gateway, mock):
    twice = gzip.compress(gzip.compress(BODY))
    mock.script = exactly(OK + b"Content-Encoding: gzip\r\n" * 2 + b"\r\n" + twice)
    assert body_of(raw_post(gateway, SENT)) == twice
    assert gateway.row.usage_status == "estimated"


LENIENT = {
    "half of a character": BODY.replace(b"Hello", rb"Hel\ud83d"),
    "half of a character in names": BODY.replace(b"chatcmpl-1", rb"x\ud83d"),
    "NaN": BODY.replace(b'"index": 0', b'"index": NaN'),
    "a number beyond 64 bits": BODY.replace(b'"index": 0', b'"index": %d' % 10**30),
    "bytes that are not UTF-8": BODY.replace(b"Hello", b"Gr\xfc\xdfe"),
    "UTF-16": json.dumps(chat()).encode("utf-16"),
    "a line end within a text": BODY.replace(b'"usage"', b'"a": 1,\n"usage"'),
}


@pytest.mark.parametrize("is_stated", [True, False])
@pytest.mark.parametrize("name", LENIENT)
def test_json_is_read_as_upstreams_write_it(gateway, mock, name, is_stated):
    """They state usage, or their text is estimated."""
    sent = LENIENT[name]
    encoding = "utf-16-le" if name == "UTF-16" else "utf-8"
    if not is_stated:
        sent = sent.replace('"usage"'.encode(encoding), '"other"'.encode(encoding))
    mock.script = reply(sent)
    assert gateway.chat().content == sent
    row = gateway.row
    if is_stated:
        assert counts(row) == ("settled", 10, 0, 5, 0)
    else:
        assert row.usage_status == "estimated" and row.output_tokens > 0
    assert row.model == "gpt-4o-mini-2024-07-18" and row.error is None


NOT_UNDERSTOOD = {
    "a transfer coding that nobody offered": OK
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    **{
        f"status {status}": f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        for status in ("000", "42", "600", "999", "abc")
    },
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "half a head": OK,
    "two lengths": OK + LENGTH + b"Content-Length: 3\r\n\r\n" + BODY,
    "a negative length": OK + b"Content-Length: -3\r\n\r\n" + BODY,
    "no name of a header": OK + b"X Name: a\r\n" + LENGTH + b"\r\n" + BODY,
    "endless headers": OK + b"X-Name: " + b"a" * 100_000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "no chunks": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY,
}


@pytest.mark.parametrize("name", NOT_UNDERSTOOD)
def test_what_is_no_answer_is_502_and_unknown(gateway, mock, name):
    """Even on a connection that has idled: it is not sent again (B09)."""
    mock.script = in_turn(reply({"object": "list", "data": []}), exactly(NOT_UNDERSTOOD[name]))
    gateway.get("/v1/models")
    mock.requests.clear()
    answer = gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_disconnected")
    assert answer.headers["x-should-retry"] == "false"
    assert (gateway.row.usage_status, len(mock.requests)) == ("unknown", 1)


@pytest.mark.parametrize(
    ("status", "usage_status"), [(204, "estimated"), (205, "estimated"), (304, "failed")]
)
def test_an_answer_without_a_body(gateway, mock, status, usage_status):
    mock.script = exactly(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
    answer = gateway.chat()
    assert (answer.status_code, answer.content) == (status, b"")
    assert (gateway.row.http_status, gateway.row.usage_status) == (status, usage_status)
    assert Call.objects.count() == 0


@pytest.mark.parametrize(
    "kind",
    [
        *("text/event-stream; charset=utf-8", "Text/Event-Stream", "text/plain", None),
        *("application/octet-stream", "text/x-event-stream", "text/html"),
    ],
)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_stream_is_known_by_what_was_asked_for(gateway, mock, kind, version):
    head = b"HTTP/%s 200 OK\r\n" % version
    head += f"Content-Type: {kind}\r\n".encode() if kind else b""
    mock.script = exactly(head + b"\r\n" + EVENTS)
    assert gateway.chat(stream=True).content == content("Hi") + stop() + DONE
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
@pytest.mark.parametrize("kind", ["application/octet-stream", "text/event-stream", "text/plain"])
def test_a_bare_answer_is_read_whatever_its_type(gateway, mock, kind, mark, is_stream):
    mock.script = reply(mark + BODY, Content_Type=kind)
    assert gateway.chat(stream=is_stream).content == mark + BODY
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


def test_speech_of_no_type_is_not_read_as_text(gateway, mock):
    sound = bytes(range(256)) * 1000
    mock.script = reply(sound, Content_Type="application/octet-stream")
    body = {"model": "tts-1", "input": "Hello", "voice": "alloy", "stream": True}
    assert gateway.post("/v1/audio/speech", body).content == sound
    assert gateway.row.usage_status == "unknown"


@pytest.mark.parametrize("kind", ["audio/mpeg", "application/octet-stream"])
def test_speech_is_relayed_as_it_comes(gateway, mock, kind):
    mock.script = stream(b"ID3", b"sound", pauses={1: 0.2}, Content_Type=kind)
    body = {"model": "tts-1", "input": "Hello", "voice": "alloy"}
    answer = gateway.post("/v1/audio/speech", body, stream=True)
    assert read(answer, 3) == b"ID3"  # while the upstream still pauses
    assert answer.raw.read() == b"sound"
    assert gateway.row.usage_status == "unknown"


ODD_USAGES = {
    "a list": [1],
    "half a token": {"prompt_tokens": 10.0, "completion_tokens": 5.5, "total_tokens": 15.5},
    "negative": {"prompt_tokens": -10, "completion_tokens": 5},
    "huge": {"prompt_tokens": 10**30, "completion_tokens": 5},
    "texts": {"prompt_tokens": "10", "completion_tokens": "5"},
    "no counts": {"prompt_tokens": None, "completion_tokens": None},
    "odd details": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": [1]},
    "empty": {},
}
WORDS = "word " * 40  # 200 characters


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", ODD_USAGES)
def test_usage_that_is_not_understood_is_estimated(gateway, mock, name, is_stream):
    usage = ODD_USAGES[name]
    message = {"role": "assistant", "content": WORDS}
    answer = chat(choices=[{"index": 0, "message": message}], usage=usage)
    last = chunk({"id": "c", "choices": [], "usage": usage})
    mock.script = stream(content(WORDS), stop(), last, DONE) if is_stream else reply(answer)
    gateway.use(budget_usd=1)
    assert gateway.chat(stream=is_stream).status_code == 200
    row = gateway.row
    assert (row.usage_status, row.output_tokens) == ("estimated", 50)
    # gpt-4o-mini: 50 * 0.60 per million, and the prompt
    assert 0 < row.cost < Decimal("0.00004")
    assert gateway.left == 1 - row.cost


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("total", "counted"),
    [(60, (10, 50)), (50, (0, 50)), (30, (0, 30))],
    ids=["more", "all", "less"],
)
def test_a_total_alone_does_not_say_what_was_the_answer(gateway, mock, total, counted, is_stream):
    """As MiniMax's older answers; it is kept, and divided by the text."""
    usage = {"total_tokens": total, "total_characters": 0}
    answer = chat(choices=[{"index": 0, "message": {"content": WORDS}}], usage=usage)
    mock.script = reply(answer)
    if is_stream:
        mock.script = stream(content(WORDS), stop(usage=usage), DONE)
    gateway.chat(stream=is_stream)
    row = gateway.row
    assert (row.usage_status, row.error) == ("estimated", None)
    assert (row.input_tokens, row.output_tokens) == counted
    # gpt-4o-mini: 0.15 and 0.60 per million
    assert row.cost == (counted[0] * Decimal("0.15") + counted[1] * Decimal("0.60")) / 1_000_000


def test_a_total_alone_of_embeddings_is_their_prompt(gateway, mock):
    mock.script = reply(
        {"model": "text-embedding-3-small", "data": [], "usage": {"total_tokens": 9}}
    )
    gateway.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello"})
    assert counts(gateway.row) == ("settled", 9, 0, 0, 0)


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_details_that_php_writes_as_a_list_are_none(gateway, mock, is_stream):
    details = {"prompt_tokens_details": [], "completion_tokens_details": []}
    usage = chat()["usage"] | details
    last = chunk({"id": "c", "choices": [], "usage": usage})
    events = stream(content("Hi"), stop(), last, DONE)
    mock.script = events if is_stream else reply(chat(usage=usage))
    gateway.chat(stream=is_stream)
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


def test_whole_numbers_with_a_fraction_of_zero_are_whole(gateway, mock):
    mock.script = reply(chat(usage={"prompt_tokens": 10.0, "completion_tokens": 5.0}))
    gateway.chat()
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


def test_images_with_odd_usage_are_unknown(gateway, mock):
    """What a picture costs cannot be told from the prompt."""
    mock.script = reply({"created": 1, "data": [], "usage": {"input_tokens": "x"}})
    gateway.post("/v1/images/generations", {"model": "gpt-image-1", "prompt": "a cat"})
    assert gateway.row.usage_status == "unknown"


def test_an_answer_that_nobody_waits_for_any_more_is_closed():
    class Endless:
        is_whole = is_closed = False

        async def read(self) -> bytes:
            return await asyncio.Event().wait()

        def close(self) -> None:
            self.is_closed = True

    async def story() -> None:
        answer = Endless()
        exchange = SimpleNamespace(when_gone=lambda act: None)
        upstream = UpstreamConfig(name="openai", base_url="https://api.example.com")
        holding = asyncio.ensure_future(hold(answer, exchange, upstream))
        await asyncio.wait([holding], timeout=0)
        holding.cancel()
        await asyncio.wait([holding])
        assert holding.cancelled() and answer.is_closed

    asyncio.run(story())
