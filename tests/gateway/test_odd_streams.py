"""Events as servers really write them: relayed byte by byte, and read all the same."""

import gzip

import pytest
import requests

from gateway.answer.event_stream import EventStream
from gateway.models import Call
from gateway.protocols.openai import StreamReader, is_usage_event
from tests.gateway.calls import open_stream, read
from tests.gateway.conftest import counts
from tests.gateway.upstream import (
    DONE,
    USAGE,
    USAGE_CHUNK,
    chunk,
    content,
    event,
    reply,
    stop,
    stream,
)

PIECES = [content("Hel"), content("lo"), stop()]
SETTLED = ("settled", 176, 1024, 340, 0)


def with_ids(piece: bytes, number: int) -> bytes:
    return b"id: %d\nretry: 100\nevent: message\n%s" % (number, piece)


def usage_chunk(before: bytes, after: bytes) -> bytes:
    assert before in USAGE_CHUNK
    return USAGE_CHUNK.replace(before, after)


# Some count nothing in the last chunk, whatever they had counted before.
NOTHING = USAGE_CHUNK.replace(b"1200", b"0").replace(b"1540", b"0")
NOTHING = NOTHING.replace(b"340", b"0").replace(b"1024", b"0")
# What is sent, with the usage chunk in it; the client gets all but that.
SPELLINGS = {
    "byte order mark": [b"\xef\xbb\xbf" + PIECES[0], *PIECES[1:], USAGE_CHUNK, DONE],
    "byte order mark before it": [b"\xef\xbb\xbf" + USAGE_CHUNK, *PIECES, DONE],
    "no space": [each.replace(b"data: ", b"data:") for each in (*PIECES, USAGE_CHUNK, DONE)],
    "a tab": [each.replace(b"data: ", b"data:\t") for each in (*PIECES, USAGE_CHUNK, DONE)],
    "ids": [with_ids(each, n) for n, each in enumerate((*PIECES, USAGE_CHUNK, DONE))],
    "an id behind": [*PIECES, USAGE_CHUNK[:-1] + b"id: 5\n\n", DONE],
    "a long comment": [b": " + b"x" * 1_000_000 + b"\n\n", *PIECES, USAGE_CHUNK, DONE],
    "a comment of usage": [b': "usage": {' + b"x" * 1_000_000 + b"\n\n", *PIECES, USAGE_CHUNK],
    "a field without data": [b"data\n\n", *PIECES, USAGE_CHUNK, DONE],
    "blank lines": [b"\n\n", *PIECES, b"\n\n", USAGE_CHUNK, DONE],
    "spaces in JSON": [*PIECES, usage_chunk(b'"choices": []', b'"choices" : [ ]'), DONE],
    "many lines": [*PIECES, usage_chunk(b" ", b"\ndata: "), DONE],
    "many lines, by another end": [*PIECES, usage_chunk(b" ", b"\rdata:"), DONE],
    "nothing counted behind it": [*PIECES, USAGE_CHUNK, NOTHING, DONE],
    "nothing counted before it": [NOTHING, *PIECES, USAGE_CHUNK, DONE],
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
    assert answer.content == b"".join(each for each in sent if b"prompt_tokens_details" not in each)
    assert counts(gateway.row) == SETTLED
    assert Call.objects.count() == 0


@pytest.mark.parametrize("cut", [1, 2, 7, 10_000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=repr)
def test_b02_a_comment_on_the_line_before_is_shown_and_the_usage_is_not(cut, line_end):
    shown = [b": ping\n" + PIECES[0], b": a\n:\n: b\n", DONE]
    sent = b"".join([*shown[:2], USAGE_CHUNK, DONE]).replace(b"\n", line_end)
    events = EventStream(StreamReader(), hides=is_usage_event)
    pieces = [events.feed(sent[n : n + cut]) for n in range(0, len(sent), cut)]
    assert b"".join(pieces) + events.finish() == b"".join(shown).replace(b"\n", line_end)


def test_b02_a_comment_does_not_wait_for_its_event():
    events = EventStream(StreamReader(), hides=is_usage_event)
    assert events.feed(b": pi") + events.feed(b"ng\n") == b": ping\n"
    assert events.feed(USAGE_CHUNK) + events.finish() == b""


class Seen:
    """A meter that keeps what it is shown."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    @property
    def has_data(self) -> bool:
        return b"data:" in b"".join(self.all)

    def see(self, events: bytes, *, is_part: bool = False) -> None:
        assert events.endswith(b"\n\n") and not is_part
        self.all.append(events)


@pytest.mark.parametrize("hides", [None, is_usage_event])
@pytest.mark.parametrize("cut", [100, 1_000, 40_000])
def test_the_meter_sees_all_events_and_the_first_one_at_once(cut, hides):
    sent = b": hi\n\n" + b"".join(content(f"word {n}") for n in range(1_000)) + DONE
    meter = Seen()
    events = EventStream(meter, hides=hides)
    for start in range(0, len(sent), cut):
        events.feed(sent[start : start + cut])
        if b"\n\n" in sent[7 : start + cut]:
            assert meter.has_data
    assert events.finish() == b""
    assert b"".join(meter.all) == sent


@pytest.mark.parametrize(
    "mark",
    [b"", b"\n", b"\xef\xbb\xbf", b": hi\n\n", b"event: message\n", b"id: 1\n", b"retry: 100\n"],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson; charset=utf-8"])
def test_events_under_the_name_of_json_are_relayed_as_they_come(gateway, mock, kind, mark):
    sent = [mark + PIECES[0], *PIECES[1:], USAGE_CHUNK, DONE]
    mock.script = stream(*sent, pauses={1: 0.2}, Content_Type=kind)
    answer = open_stream(gateway)
    assert read(answer, len(sent[0])) == sent[0]  # while the upstream still pauses
    assert answer.raw.read() == b"".join([*sent[1:3], DONE])
    assert counts(gateway.row) == SETTLED


@pytest.mark.parametrize(
    ("sent", "error"),
    [(b"", "ended_early"), (b" ", "ended_early"), (b'{"error": {"code": "slow"}}', "slow")],
)
def test_json_for_a_stream_is_held(gateway, mock, sent, error):
    mock.script = reply(sent)
    answer = gateway.chat(stream=True)
    assert (answer.content, answer.headers["Content-Length"]) == (sent, str(len(sent)))
    assert gateway.row.error == error


def test_a_stream_that_ends_early_after_its_usage_is_settled(gateway, mock):
    mock.script = stream(content("Hi"), USAGE_CHUNK)
    assert gateway.chat(stream=True).content == content("Hi")
    assert (counts(gateway.row), gateway.row.error) == (SETTLED, "ended_early")


def test_json_for_a_stream_that_breaks_off_ends_broken(gateway, mock):
    mock.script = stream(b"{", ends=False, Content_Type="application/json")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        gateway.chat(stream=True)
    assert gateway.row.error == "upstream_disconnected"


def test_groqs_own_member_is_read(gateway, mock):
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    pieces = [content("Hi"), stop(x_groq={"id": "req_1", "usage": usage}), DONE]
    mock.script = stream(*pieces)
    assert gateway.chat(stream=True).content == b"".join(pieces)
    assert counts(gateway.row) == ("settled", 7, 0, 3, 0)


def test_moonshots_own_place_is_read(gateway, mock):
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    last = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}
    pieces = [content("Hi"), chunk({"id": "c1", "model": "kimi-k2", "choices": [last]}), DONE]
    mock.script = stream(*pieces)
    assert gateway.chat(stream=True).content == b"".join(pieces)
    assert counts(gateway.row) == ("settled", 7, 0, 3, 0)


def response_event(kind: str, **members) -> bytes:
    return event(f"response.{kind}", members)


def test_text_that_later_events_repeat_is_estimated_once(gateway, mock):
    text = "word " * 40  # 200 characters, 50 tokens
    part = {"type": "output_text", "text": text}
    answer = {"id": "r", "model": "gpt-4o", "output": [{"content": [part]}], "usage": None}
    mock.script = stream(
        response_event("created", response={**answer, "instructions": [{"content": text}]}),
        *[response_event("output_text.delta", delta="word ") for _ in range(40)],
        response_event("output_text.done", text=text),
        response_event("content_part.done", part=part),
        response_event("completed", response=answer),
    )
    gateway.post("/v1/responses", {"model": "gpt-4o", "input": "x", "stream": True})
    assert (gateway.row.usage_status, gateway.row.output_tokens) == ("estimated", 50)


def test_text_that_no_delta_brought_is_estimated(gateway, mock):
    text = "word " * 40
    part = {"type": "output_text", "text": text}
    answer = {"id": "r", "model": "gpt-4o", "output": [{"content": [part]}]}
    mock.script = stream(
        response_event("output_text.done", text=text), response_event("completed", response=answer)
    )
    gateway.post("/v1/responses", {"model": "gpt-4o", "input": "x", "stream": True})
    assert (gateway.row.usage_status, gateway.row.output_tokens) == ("estimated", 50)


@pytest.mark.parametrize(
    "choice",
    [
        {"text": "word ", "delta": {"content": "word "}},  # Together
        {"delta": {"reasoning": "word ", "reasoning_content": "word "}},  # vLLM
        {"delta": {"reasoning": "word ", "reasoning_details": [{"text": "word "}]}},  # OpenRouter
    ],
    ids=["text", "reasoning", "details"],
)
def test_text_under_two_names_is_estimated_once(gateway, mock, choice):
    mock.script = stream(*[chunk({"choices": [choice]})] * 40, stop(), DONE)
    gateway.chat(stream=True)
    assert (gateway.row.usage_status, gateway.row.output_tokens) == ("estimated", 50)


@pytest.mark.parametrize(
    "choice",
    [
        {"text": "word "},
        {"delta": {"content": "word "}},
        {"delta": {"refusal": "word "}},
        {"delta": {"reasoning": "word "}},
        {"delta": {"reasoning_content": "word "}},
        {"delta": {"thinking": "word "}},
        {"delta": {"tool_calls": [{"function": {"arguments": "word "}}]}},
        {"delta": {"tool_calls": [{"custom": {"input": "word "}}]}},
    ],
    ids=str,
)
def test_text_is_estimated_whatever_its_name(gateway, mock, choice):
    mock.script = stream(*[chunk({"choices": [choice]})] * 40, stop(), DONE)
    gateway.chat(stream=True)
    assert (gateway.row.usage_status, gateway.row.output_tokens) == ("estimated", 50)


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_text_that_is_spoken_is_estimated(gateway, mock, is_stream):
    """Chats that answer by sound have its text beside the sound, and no `content` (B04)."""
    audio = {"id": "audio_1", "data": "UklGRg" * 100, "transcript": "word " * 40}
    mock.script = reply({"model": "gpt-4o-mini", "choices": [{"message": {"audio": audio}}]})
    if is_stream:
        mock.script = stream(chunk({"choices": [{"delta": {"audio": audio}}]}), stop(), DONE)
    gateway.chat(stream=is_stream)
    assert (gateway.row.usage_status, gateway.row.output_tokens) == ("estimated", 50)


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


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_b06_events_without_the_last_line_end_are_whole(gateway, mock, coding):
    sent = PLAIN.rstrip()
    mock.script = stream(gzip.compress(sent) if coding else sent, Content_Encoding=coding)
    assert gateway.chat(stream=True).content == b"".join(PIECES) + DONE.rstrip()
    assert counts(gateway.row) == SETTLED


@pytest.mark.parametrize("key", ["none", "sk-key-0123456789"])
def test_b06_compressed_events_are_whole_for_who_asked_for_usage(
    gateway, mock, upstreams_file, key
):
    """Nothing is hidden from it, and it is sent plain bytes all the same."""
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: {key}}}\n")
    mock.script = stream(*MEMBERS, Content_Encoding="gzip")
    answer = gateway.chat(stream=True, stream_options={"include_usage": True})
    assert "Content-Encoding" not in answer.headers
    assert answer.content == PLAIN
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
