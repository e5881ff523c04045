"""Events as servers really write them: relayed byte by byte, and read all the same."""

import gzip

import pytest
import requests

from gateway.models import Call
from tests.gateway.conftest import counts
from tests.gateway.upstream import DONE, USAGE, USAGE_CHUNK, chunk, content, stop, stream

PIECES = [content("Hel"), content("lo"), stop()]
SETTLED = ("settled", 176, 1024, 340, 0)


def with_ids(piece: bytes, number: int) -> bytes:
    return b"id: %d\nretry: 100\nevent: message\n%s" % (number, piece)


def usage_chunk(before: bytes, after: bytes) -> bytes:
    assert before in USAGE_CHUNK
    return USAGE_CHUNK.replace(before, after)


# What is sent, with the usage chunk in it; the client gets all but that.
SPELLINGS = {
    "byte order mark": [b"\xef\xbb\xbf" + PIECES[0], *PIECES[1:], USAGE_CHUNK, DONE],
    "no space": [each.replace(b"data: ", b"data:") for each in (*PIECES, USAGE_CHUNK, DONE)],
    "a tab": [each.replace(b"data: ", b"data:\t") for each in (*PIECES, USAGE_CHUNK, DONE)],
    "ids": [with_ids(each, n) for n, each in enumerate((*PIECES, USAGE_CHUNK, DONE))],
    "an id behind": [*PIECES, USAGE_CHUNK[:-1] + b"id: 5\n\n", DONE],
    "a comment before": [*PIECES, b": hi\n" + USAGE_CHUNK, DONE],
    "a long comment": [b": " + b"x" * 1_000_000 + b"\n\n", *PIECES, USAGE_CHUNK, DONE],
    "a comment of usage": [b': "usage": {' + b"x" * 1_000_000 + b"\n\n", *PIECES, USAGE_CHUNK],
    "a field without data": [b"data\n\n", *PIECES, USAGE_CHUNK, DONE],
    "blank lines": [b"\n\n", *PIECES, b"\n\n", USAGE_CHUNK, DONE],
    "spaces in JSON": [*PIECES, usage_chunk(b'"choices": []', b'"choices" : [ ]'), DONE],
    "choices are null": [*PIECES, usage_chunk(b'"choices": []', b'"choices": null'), DONE],
    "no choices": [*PIECES, usage_chunk(b'"choices": [], ', b""), DONE],
    "a long chunk": [*PIECES, usage_chunk(b'"usage"', b'"x":"' + b"x" * 50_000 + b'","usage"')],
    "first": [USAGE_CHUNK, *PIECES, DONE],
    "twice": [*PIECES, USAGE_CHUNK, USAGE_CHUNK, DONE],
    "after the end": [*PIECES, DONE, USAGE_CHUNK],
    "text that looks like it": [
        content('"usage": {"prompt_tokens": 1}'),
        content('{"choices":[],"usage":{"prompt_tokens":99}}'),
        *PIECES,
        USAGE_CHUNK,
        DONE,
    ],
    "something that has no usage behind it": [
        *PIECES,
        USAGE_CHUNK,
        chunk({"choices": [{"index": 0}], "timings": {"usage": {"gpu": 1}}}),
        DONE,
    ],
    "not JSON": [*PIECES, b"data: {nope\n\n", USAGE_CHUNK, DONE],
    "not UTF-8": [b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', *PIECES, USAGE_CHUNK],
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_usage_chunk_is_found_and_hidden_however_it_is_written(gateway, mock, name):
    sent = SPELLINGS[name]
    mock.script = stream(*sent)
    answer = gateway.chat(stream=True)
    assert answer.content == b"".join(each for each in sent if b'"prompt_tokens": 12' not in each)
    assert counts(gateway.row) == SETTLED
    assert Call.objects.count() == 0


def test_groqs_own_member_is_read(gateway, mock):
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    pieces = [content("Hi"), stop(x_groq={"id": "req_1", "usage": usage}), DONE]
    mock.script = stream(*pieces)
    assert gateway.chat(stream=True).content == b"".join(pieces)
    assert counts(gateway.row) == ("settled", 7, 0, 3, 0)


def test_usage_with_the_last_choice_is_shown(gateway, mock):
    pieces = [*PIECES[:2], stop(usage=USAGE), DONE]
    mock.script = stream(*pieces)
    assert gateway.chat(stream=True).content == b"".join(pieces)
    assert counts(gateway.row) == SETTLED


@pytest.mark.parametrize("sent", [[], [DONE], [b"\n\n\n\n"], [b": ping\n\n"]], ids=repr)
def test_a_stream_of_nothing_is_estimated(gateway, mock, sent):
    mock.script = stream(*sent)
    assert gateway.chat(stream=True).content == b"".join(sent)
    row = gateway.row
    assert (row.usage_status, row.output_tokens) == ("estimated", 0)


PLAIN = b"".join(PIECES) + USAGE_CHUNK + DONE
MEMBERS = [gzip.compress(each) for each in (*PIECES, USAGE_CHUNK, DONE)]


@pytest.mark.parametrize("sent", [[gzip.compress(PLAIN)], MEMBERS], ids=["one", "members"])
def test_b06_compressed_events_are_read(gateway, mock, sent):
    mock.script = stream(*sent, Content_Encoding="gzip")
    assert gateway.chat(stream=True).content == b"".join(PIECES) + DONE
    assert counts(gateway.row) == SETTLED


@pytest.mark.parametrize("key, coding", [("none", "gzip"), ("sk-key-0123456789", None)])
def test_b06_compressed_events_are_whole_for_who_asked_for_usage(
    gateway, mock, upstreams_file, key, coding
):
    """They are sent plain where the upstream's key may stand in one of them."""
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: {key}}}\n")
    mock.script = stream(*MEMBERS, Content_Encoding="gzip")
    answer = gateway.chat(stream=True, stream_options={"include_usage": True})
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.content == PLAIN  # as the client decodes it
    assert counts(gateway.row) == SETTLED


def broken() -> bytes:
    return gzip.compress(b"".join(PIECES)) + b"garbage"


def bomb() -> bytes:
    return gzip.compress(b"".join(PIECES) + b": " + b"x" * 100_000_000 + b"\n\n" + USAGE_CHUNK)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [broken, bomb])
def test_b06_what_cannot_be_decoded_ends_broken(gateway, mock, sent):
    mock.script = stream(sent(), Content_Encoding="gzip")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        gateway.chat(stream=True)
    row = gateway.row
    assert (row.usage_status, row.error) == ("estimated", "upstream_undecodable")
    assert Call.objects.count() == 0
