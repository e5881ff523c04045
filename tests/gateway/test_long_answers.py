"""Usage in what is too long to be held: wherever it stands, it is found while the rest passes."""

import gzip
import json

import pytest
import requests

from gateway import relay
from gateway.answer import decoding, event_stream
from tests.gateway.conftest import counts
from tests.gateway.test_usage_cases import IMAGE_USAGE, assert_image_row
from tests.gateway.upstream import DONE, content, event, exactly, head, reply, stop, stream

MEGABYTE = 1024 * 1024
USAGE = {"prompt_tokens": 9, "total_tokens": 9}
MODEL = "text-embedding-3-small"
REQUEST = {"model": MODEL, "input": ["text"] * 900}


def embeddings(before: int, after: int, usage: object = USAGE) -> dict:
    """Embeddings of which so many stand before the usage, and so many after it."""
    vector = {"object": "embedding", "embedding": [0.012345678] * 300}
    return {
        "object": "list",
        "data": [vector] * before,
        "usage": usage,
        "model": MODEL,
        "more": [vector] * after,
    }


@pytest.fixture
def short_limits(monkeypatch):
    """Have 300 KB be too long: for an answer, and for an event."""
    monkeypatch.setattr(relay, "MAX_HELD", 300_000)
    monkeypatch.setattr(event_stream, "_MAX_EVENT", 300_000)
    monkeypatch.setattr(event_stream, "_MAX_PART", 100_000)


@pytest.mark.slow
@pytest.mark.parametrize("is_last", [True, False], ids=["last", "first"])
def test_a10_usage_of_36_megabytes_of_embeddings_is_read(gateway, mock, is_last):
    count = 36 * MEGABYTE // 3_900
    data = json.dumps(embeddings(count, 0) if is_last else embeddings(0, count)).encode()
    assert len(data) > 35 * MEGABYTE
    mock.script = reply(data)

    answer = gateway.post("/v1/embeddings", REQUEST)

    assert answer.content == data
    row = gateway.row
    assert (counts(row), row.error, row.model) == (("settled", 9, 0, 0, 0), None, MODEL)


@pytest.mark.slow
def test_a11_usage_of_an_image_of_17_megabytes_is_read(gateway, mock):
    """One event: its type stands at the beginning, its usage at the end."""
    image = event(
        "image_generation.completed", {"b64_json": "A" * 17 * MEGABYTE, "usage": IMAGE_USAGE}
    )
    mock.script = stream(*[image[n : n + MEGABYTE] for n in range(0, len(image), MEGABYTE)])
    body = {"model": "gpt-image-1", "prompt": "a cat", "stream": True}
    assert gateway.post("/v1/images/generations", body).content == image
    assert_image_row(gateway)
    assert gateway.row.error is None


@pytest.mark.parametrize("has_length", [True, False])
def test_b06_usage_is_found_in_what_is_too_long_once_it_is_decoded(
    gateway, mock, monkeypatch, has_length
):
    monkeypatch.setattr(decoding, "_MAX_PIECE", 100_000)
    monkeypatch.setattr(relay, "_SKIMMED", 100)
    data = json.dumps(answer := embeddings(400, 0)).encode()
    packed = gzip.compress(data)
    assert len(data) > 15 * 100_000 and len(packed) > 1_000
    sent = {"Content_Encoding": "gzip", "Content_Type": "application/json"}
    mock.script = reply(packed, **sent) if has_length else stream(packed, **sent)
    assert gateway.post("/v1/embeddings", REQUEST).json() == answer
    assert counts(gateway.row) == ("settled", 9, 0, 0, 0)


@pytest.mark.parametrize("written", ["compact", "indented", "gzip", "chunked"])
@pytest.mark.parametrize(("before", "after"), [(0, 400), (200, 200), (400, 0), (76, 400)])
def test_a10_usage_is_found_in_any_place(gateway, mock, short_limits, before, after, written):
    """The last place is where the answer becomes too long."""
    answer = embeddings(before, after)
    data = json.dumps(answer, indent=2 if written == "indented" else None).encode()
    mock.script = reply(data)
    if written == "gzip":
        mock.script = reply(gzip.compress(data), Content_Encoding="gzip")
    if written == "chunked":
        pieces = [data[n : n + 10_001] for n in range(0, len(data), 10_001)]
        mock.script = stream(*pieces, Content_Type="application/json")

    got = gateway.post("/v1/embeddings", REQUEST)

    assert got.json() == answer
    assert counts(gateway.row) == ("settled", 9, 0, 0, 0)
    assert gateway.row.error is None


def test_a10_usage_is_found_wherever_a_part_ends(gateway, mock, short_limits):
    """Parts of 300,000 bytes are cut at each byte of the usage, and once more within it."""
    for cut in range(0, 60, 7):
        start = b'{"data": "%s", ' % (b"A" * (300_000 - 16 - cut))
        data = start + b'"usage": %s, "model": "%s"}' % (
            json.dumps(USAGE).encode(),
            MODEL.encode(),
        )
        pieces = [data[:299_999], data[299_999:300_001], data[300_001:], b" " * 200_000]
        mock.script = stream(*pieces, Content_Type="application/json")
        assert gateway.post("/v1/embeddings", REQUEST).status_code == 200
        assert counts(gateway.rows[-1]) == ("settled", 9, 0, 0, 0)


@pytest.mark.parametrize("hides_usage", [True, False])
def test_a01_usage_of_a_long_chunk_is_read(gateway, mock, short_limits, hides_usage):
    """It stands in the chunk with the last choice, which the client sees."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    tier = {"service_tier": "default"}
    long = content("word " * 100_000, usage=usage, **tier)
    pieces = [long[n : n + 65536] for n in range(0, len(long), 65536)]
    mock.script = stream(*pieces, stop(), DONE)
    options = {} if hides_usage else {"stream_options": {"include_usage": True}}

    answer = gateway.chat(stream=True, **options)

    assert answer.content == long + stop() + DONE
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


def test_a10_what_only_looks_like_usage_is_not_taken(gateway, mock, short_limits):
    """Texts, a tool with a parameter of that name, and usage that is nested too deep."""
    text = 'He said "usage": {"prompt_tokens": 1}'
    tool = {"properties": {"usage": {"type": "string"}}}
    answer = {"text": text, "tools": [tool], **embeddings(400, 0)}
    mock.script = reply(answer)
    assert gateway.post("/v1/embeddings", REQUEST).json() == answer
    assert counts(gateway.row) == ("settled", 9, 0, 0, 0)

    deep = json.dumps(embeddings(400, 0, usage=None)).encode()
    deep = deep.replace(b'"usage": null', b'"usage": {"a": ' + b"[" * 20_000)
    mock.script = reply(deep)
    assert gateway.post("/v1/embeddings", REQUEST).content == deep
    assert counts(gateway.rows[-1])[0] == "estimated"


def test_a10_a_long_answer_without_usage_is_estimated(gateway, mock, short_limits):
    mock.script = reply(embeddings(400, 0, usage=None))
    gateway.post("/v1/embeddings", {**REQUEST, "input": "a" * 40})
    # 40 characters
    assert counts(gateway.row) == ("estimated", 10, 0, 0, 0)
    assert gateway.row.error is None


def test_b04_what_a_broken_answer_repeats_of_the_request_is_no_usage(gateway, mock):
    """It is not long: what it states stands where it can be read, or it is not read."""
    start = b'{"tools": [{"usage": {"prompt_tokens": 0, "total_tokens": 0}}], "data": ['
    mock.script = exactly(head(200, Content_Type="application/json", Content_Length="9999") + start)
    with pytest.raises(requests.RequestException):
        gateway.post("/v1/embeddings", {**REQUEST, "input": "a" * 40})
    assert counts(gateway.row) == ("estimated", 10, 0, 0, 0)


def test_b04_a_long_answer_that_breaks_off_ends_broken(gateway, mock, short_limits):
    data = json.dumps(embeddings(400, 0)).encode()

    async def script(request, writer):
        length = str(len(data))
        writer.write(head(200, Content_Type="application/json", Content_Length=length))
        writer.write(data[:500_000])
        await writer.drain()
        writer.close()

    mock.script = script
    with pytest.raises(requests.RequestException):
        gateway.post("/v1/embeddings", REQUEST)
    row = gateway.row
    assert (row.usage_status, row.error) == ("estimated", "upstream_disconnected")


def test_a10_the_first_byte_of_a_long_answer_is_its_first(gateway, mock, short_limits):
    data = json.dumps(embeddings(400, 0)).encode()
    pieces = [data[:1000], data[1000:]]
    mock.script = stream(*pieces, pauses={1: 0.3}, Content_Type="application/json")
    assert gateway.post("/v1/embeddings", REQUEST).content == data
    assert gateway.row.first_byte_ms < 200 < gateway.row.latency_ms
