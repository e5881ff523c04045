"""What of a stream is large is looked at in a thread, and what is small is not."""

import asyncio
import gzip
import zlib

import pytest

from gateway.protocols.openai_answers import StreamReader
from tests.gateway.conftest import counts
from tests.gateway.upstream import DONE, content, event, stop, stream
from tests.zstd import zstd

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
WORDS = content("some words")
LAST = stop(usage=USAGE) + DONE
LONG = content("word " * 200_000)
COMPLETED = event(
    "response.completed",
    {"response": {"output": ["word"] * 200_000, "usage": {"input_tokens": 10, "output_tokens": 5}}},
)
MAX_ON_LOOP = 32 * 1024  # bytes: a piece, and the whole events before it


@pytest.fixture
def seen(monkeypatch):
    """The lengths of what was read: in the event loop (True), and in threads (False)."""
    lengths = {True: [], False: []}
    see = StreamReader.see

    def watched(reader, events, **options):
        lengths[asyncio._get_running_loop() is not None].append(len(events))
        see(reader, events, **options)

    monkeypatch.setattr(StreamReader, "see", watched)
    return lengths


def pieces(data: bytes, size: int = 64 * 1024) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


LARGE = {
    "many events at once": WORDS * 10_000,
    "a long event": LONG,
    "long events": LONG[:200_000] + b'"}}]}\n\n' + LONG,
    "an event without end": LONG[:-2],
    "the answer of Responses": COMPLETED,
    "carriage returns": b"\r" * 500_000 + b"\n\n",
    "lines of a comment": b": on\r\n" * 80_000 + b"\r\n",
}


@pytest.mark.parametrize("coding", [None, "gzip", "zstd"])
@pytest.mark.parametrize("is_shown", [True, False])
@pytest.mark.parametrize("name", LARGE)
def test_large_pieces_are_read_in_a_thread(gateway, mock, seen, name, is_shown, coding):
    plain = LARGE[name] + (b"" if name == "an event without end" else LAST)
    packed = {None: bytes, "gzip": gzip.compress, "zstd": zstd.compress}[coding](plain)
    mock.script = stream(*pieces(packed), **({"Content_Encoding": coding} if coding else {}))
    options = {"stream_options": {"include_usage": True}} if is_shown else {}

    answer = gateway.chat(stream=True, **options)

    assert answer.content == plain
    assert max(seen[True], default=0) <= MAX_ON_LOOP < max(seen[False])
    if plain.endswith(DONE):
        assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


@pytest.mark.parametrize("is_coded", [False, True])
def test_small_pieces_are_read_in_the_event_loop(gateway, mock, seen, is_coded):
    sent = [WORDS] * 50 + [stop(usage=USAGE), DONE]
    packed, headers = sent, {}
    if is_coded:
        coder = zlib.compressobj(wbits=31)
        packed = [coder.compress(each) + coder.flush(zlib.Z_SYNC_FLUSH) for each in sent]
        headers = {"Content_Encoding": "gzip"}
    mock.script = stream(*packed, **headers)
    assert gateway.chat(stream=True).content == b"".join(sent)
    assert seen[True] and not seen[False]
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


def test_a_long_event_in_small_pieces_is_read_once(gateway, mock, seen):
    long = content("word " * 8_000)
    mock.script = stream(*pieces(long, 500), LAST)
    assert gateway.chat(stream=True).content == long + LAST
    assert len(seen[False]) == 1


def delivered(*events: bytes) -> int:
    reader = StreamReader()
    for each in events:
        reader.see(each)
    return reader.output_tokens


@pytest.mark.parametrize(
    "written",
    [
        b"some word",
        rb"a \"quote\"",
        rb"a \\",
        rb"\u65e5\u672c",
        "日本".encode(),
        b"",
        rb"\n" * 3_000,
    ],
)
@pytest.mark.parametrize("after", [b'"}}]}\n\n', b'", "text": "abcd"}}]}\n\n', b""])
def test_long_events_have_the_text_of_short_ones(written, after):
    """They are searched in pieces."""
    short = b'data: {"choices":[{"delta":{"content": "%b%b' % (written, after)
    blanks = b"data: %b\n\n" % (b" " * 70_000)
    assert delivered(blanks + short) == delivered(short)
    assert delivered(blanks + short * 3) == delivered(short * 3)
    long = content("abcd" * 20_000)
    assert delivered(long) == 20_000 and delivered(long[:-20]) > 19_990
