"""Streams and the wire: every byte as the upstream sent it, and a row however it ends."""

import gzip
import json
import re
import time
import zlib
from decimal import Decimal

import pytest
import requests

from core.egress.http_client import Unreachable
from gateway import upstream_call
from tests.gateway.calls import leave, open_stream, raw_post, read, settled_row
from tests.gateway.conftest import counts
from tests.gateway.upstream import (
    DONE,
    USAGE_CHUNK,
    chat,
    chunk,
    content,
    exactly,
    hang_up,
    head,
    in_turn,
    reply,
    stop,
    stream,
)

TEXT = content("Grüße 你好 🌍")
WHOLE = TEXT + stop() + USAGE_CHUNK + DONE
_IN_GLOBE = WHOLE.index("🌍".encode()) + 2
ENDS = {
    "bytes": [WHOLE[n : n + 1] for n in range(len(WHOLE))],
    "characters": [WHOLE[:_IN_GLOBE], WHOLE[_IN_GLOBE:]],
    "words": [
        WHOLE[: WHOLE.index(b'"usage"') + 3],
        WHOLE[WHOLE.index(b'"usage"') + 3 : WHOLE.index(b"DONE") + 2],
        WHOLE[WHOLE.index(b"DONE") + 2 :],
    ],
    "at once": [WHOLE],
    "carriage returns": [part.replace(b"\n", b"\r") for part in (TEXT, stop(), USAGE_CHUNK, DONE)],
    "both": [part.replace(b"\n", b"\r\n") for part in (TEXT, stop(), USAGE_CHUNK, DONE)],
    "two lines": [TEXT, USAGE_CHUNK.replace(b', "usage"', b',\ndata:  "usage"'), DONE],
}


@pytest.mark.parametrize("shows_usage", [True, False])
@pytest.mark.parametrize("name", ENDS)
def test_b01_bytes_arrive_as_they_were_sent_however_cut(gateway, mock, name, shows_usage):
    pieces = ENDS[name]
    mock.script = stream(*pieces)
    options = {"stream_options": {"include_usage": True}} if shows_usage else {}

    answer = gateway.chat(stream=True, **options)

    whole = b"".join(pieces)
    if not shows_usage:
        ending = (
            b"\r\n\r\n" if name == "both" else b"\r\r" if name == "carriage returns" else b"\n\n"
        )
        events = [each + ending for each in whole.split(ending) if each]
        whole = b"".join(each for each in events if b'"usage"' not in each)
    assert answer.content == whole
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)


def test_b01_nothing_is_held_back_but_what_may_be_hidden(gateway, mock):
    begun, rest = TEXT[:-30], TEXT[-30:]
    mock.script = stream(begun, rest, USAGE_CHUNK, DONE, pauses={1: 0.5})
    answer = open_stream(gateway)
    assert read(answer, len(begun)) == begun


def test_b02_comments_pass_and_keep_the_stream_alive(gateway, mock, upstreams_file):
    options = "timeouts: {idle: 300ms}"
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k, {options}}}\n")
    comment = b": OPENROUTER PROCESSING\n\n"
    pieces = [*[comment] * 5, content("Hi"), stop()]
    mock.script = stream(*pieces, USAGE_CHUNK, DONE, delay=0.1, pauses={0: 0.2})

    began = time.monotonic()
    answer = open_stream(gateway)
    waited = time.monotonic() - began
    first = read(answer, len(comment))

    assert waited < 0.15  # the status does not wait for the first event
    assert first == comment
    assert first + answer.raw.read() == b"".join(pieces) + DONE
    row = gateway.row
    assert row.usage_status == "settled"
    assert row.first_byte_ms > 600  # of data, not of a comment


def test_b02_silence_ends_a_stream(gateway, mock, upstreams_file):
    options = "timeouts: {idle: 200ms}"
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k, {options}}}\n")
    mock.script = stream(content("Hi " * 10), content("late"), pauses={1: 3})
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        gateway.chat(stream=True)
    assert gateway.row.usage_status == "estimated"
    assert gateway.row.error == "upstream_silent"


def test_b03_a_last_event_without_its_end_is_read(gateway, mock):
    mock.script = stream(content("Hi"), stop(), USAGE_CHUNK[:-1])
    answer = gateway.chat(stream=True, stream_options={"include_usage": True})
    assert answer.content == content("Hi") + stop() + USAGE_CHUNK[:-1]
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)
    assert gateway.row.error is None


WORDS = [content(" ".join(f"word{n}{k}" for k in range(10))) for n in range(3)]


def test_b04_a_broken_stream_ends_broken(gateway, mock):
    mock.script = stream(*WORDS, ends=False)
    got = raw_post(gateway, {"model": "gpt-4o-mini", "messages": [], "stream": True})
    assert all(words in got for words in WORDS)
    assert b'"upstream_disconnected"' in got
    assert not got.endswith(b"0\r\n\r\n")
    row = gateway.row
    # 30 words of 6 letters, with 27 spaces: 207 characters
    assert (row.usage_status, row.output_tokens) == ("estimated", 52)
    assert row.error == "upstream_disconnected"


def test_b04_a_broken_stream_of_responses_ends_in_an_event_of_its_kind(gateway, mock):
    begun = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta"}\n\n'
    mock.script = stream(begun, ends=False)
    body = {"model": "gpt-4o-mini", "input": "hi", "stream": True}
    got = raw_post(gateway, body, "/v1/responses")
    [last] = re.findall(rb"event: error\ndata: (.*)\n\n", got)
    event = json.loads(last)
    assert (event["type"], event["sequence_number"]) == ("error", 0)
    assert event["error"]["code"] == "upstream_disconnected"


def test_b04_a_stream_that_ends_early_is_estimated(gateway, mock):
    mock.script = stream(*WORDS)
    assert gateway.chat(stream=True).content == b"".join(WORDS)
    row = gateway.row
    assert (row.usage_status, row.output_tokens, row.error) == ("estimated", 52, "ended_early")
    assert row.input_tokens > 0


def test_b04_a_broken_plain_answer_ends_broken(gateway, mock):
    start = json.dumps(chat())[:100].encode() + b'"content": "' + b"word " * 24

    async def script(request, writer):
        writer.write(head(200, Content_Type="application/json", Content_Length="100000") + start)
        await writer.drain()
        writer.close()

    mock.script = script
    got = raw_post(gateway, {"model": "gpt-4o-mini", "messages": []})
    assert got.endswith(start)
    assert b"content-length: 100000" in got.lower()
    row = gateway.row
    assert (row.usage_status, row.error) == ("estimated", "upstream_disconnected")
    assert 21 <= row.output_tokens <= 39


def test_b05_an_error_inside_a_stream(gateway, mock):
    error = chunk({"id": "g", "choices": [], "error": {"code": 502, "message": "disconnected"}})
    mock.script = stream(content("Hello there"), error)
    assert gateway.chat(stream=True).content == content("Hello there") + error
    row = gateway.row
    assert (row.usage_status, row.error, row.http_status) == ("estimated", "502", 200)
    assert row.output_tokens > 0


def test_b05_an_error_before_any_text_costs_nothing_however_the_stream_ends(gateway, mock):
    mock.script = stream(chunk({"error": {"code": "overloaded"}}), ends=False)
    got = raw_post(gateway, {"model": "gpt-4o-mini", "messages": [], "stream": True})
    assert b'"overloaded"' in got and not got.endswith(b"0\r\n\r\n")
    assert counts(gateway.row) == ("failed", 0, 0, 0, 0)
    assert gateway.row.cost == 0


ERRORS = {
    "vLLM": (chunk({"object": "error", "message": "x", "code": 400}), "400"),
    "an event": (b'event: error\ndata: {"message": "x", "code": "overloaded"}\n\n', "overloaded"),
    "an event, no space": (b'id: 4\nevent:error\ndata:{"type":"slow"}\n\n', "slow"),
    "a field": (b'error: {"code": 500, "message": "x"}\n\n', "error"),
    "a text": (chunk({"error": "no"}), "error"),
    "a choice": (
        chunk({"choices": [{"delta": {}, "finish_reason": "error"}], "error": {"code": 502}}),
        "502",
    ),
    "a list": (chunk([{"error": {"code": 503, "status": "UNAVAILABLE"}}]), "503"),  # Google
    "Groq": (chunk({"choices": [{"delta": {}}], "x_groq": {"error": "no capacity"}}), "error"),
    "Mistral": (chunk({"choices": [{"delta": {}, "finish_reason": "error"}]}), "error"),
    "MiniMax": (chunk({"choices": None, "base_resp": {"status_code": 1027}}), "1027"),
    "plain text": (b"event: error\ndata: the engine died\n\n", "error"),
    "true": (chunk({"error": True, "message": "no"}), "error"),
    "a number": (chunk({"error": 500}), "error"),
    "no success": (chunk({"success": False, "message": "the engine died"}), "error"),
    "Zhipu": (chunk({"code": 500, "msg": "x", "success": False}), "500"),
    "Cloudflare": (
        chunk({"success": False, "errors": [{"code": 7009, "message": "x"}], "result": {}}),
        "error",
    ),
    "errors alone": (chunk({"errors": [{"code": 7009, "message": "x"}]}), "error"),
    "DashScope": (chunk({"code": "InternalError", "message": "x"}), "InternalError"),
    "Spark": (chunk({"code": 10013, "message": "x", "sid": "s"}), "10013"),
    "Baidu": (chunk({"error_code": 336100, "error_msg": "x"}), "336100"),
    "SiliconFlow": (chunk({"code": 50505, "message": "x", "data": None}), "50505"),
    "FastAPI": (chunk({"detail": "Internal Server Error"}), "error"),
    "bare JSON": (b'{"code": 500, "message": "x"}\n\n', "500"),
}


@pytest.mark.parametrize("ends", [[], [DONE]], ids=["cut", "done"])
@pytest.mark.parametrize("begins", [[], [content("Hello there")]], ids=["first", "later"])
@pytest.mark.parametrize("name", ERRORS)
def test_b05_an_error_is_one_however_it_is_written(gateway, mock, name, begins, ends):
    error, code = ERRORS[name]
    sent = [*begins, error, *ends]
    mock.script = stream(*sent)
    assert gateway.chat(stream=True).content == b"".join(sent)
    row = gateway.row
    assert row.error == code
    # 11 characters were delivered, though an end may follow
    expected = ("estimated", 3) if begins else ("failed", 0)
    assert (row.usage_status, row.output_tokens) == expected


def test_b05_usage_behind_an_error_is_final(gateway, mock):
    mock.script = stream(content("Hi"), chunk({"error": {"code": 502}}), USAGE_CHUNK, DONE)
    gateway.chat(stream=True)
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)
    assert gateway.row.error == "502"


@pytest.mark.parametrize("ends", [[], [DONE]], ids=["cut", "done"])
@pytest.mark.parametrize(
    "error",
    [{"error": {"code": 502}}, {"code": 502, "message": "x"}, {"object": "error", "code": 502}],
    ids=["an object", "bare", "vLLM"],
)
def test_b05_running_totals_before_an_error_are_not_final(gateway, mock, error, ends):
    """As vLLM tells of a failed engine, and then ends its stream as ever."""
    totals = [
        content("Hi", usage={"prompt_tokens": 1965, "completion_tokens": n}) for n in (1, 2, 3)
    ]
    mock.script = stream(*totals, chunk(error), *ends)
    gateway.chat(stream=True)
    assert counts(gateway.row) == ("estimated", 1965, 0, 3, 0)
    assert gateway.row.error == "502"


def test_b05_an_error_behind_the_end_takes_no_usage_back(gateway, mock):
    mock.script = stream(content("Hi"), stop(), USAGE_CHUNK, chunk({"error": {"code": 502}}), DONE)
    gateway.chat(stream=True)
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)
    assert gateway.row.error == "502"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no capacity", "code": 503}},
        [{"error": {"message": "no capacity", "code": 503}}],
        {"base_resp": {"status_code": 503, "status_msg": "no capacity"}, "choices": None},
        {"code": 503, "msg": "no capacity", "success": False},
        {"code": "503", "message": "no capacity", "request_id": "r"},
        {"error_code": 503, "error_msg": "no capacity"},
        {"code": 503, "message": "no capacity", "data": None},
        {"error": True, "code": 503, "message": "no capacity"},
    ],
    ids=["OpenAI", "Google", "MiniMax", "Zhipu", "DashScope", "Baidu", "SiliconFlow", "true"],
)
def test_b05_an_error_inside_a_plain_200(gateway, mock, body):
    mock.script = reply(body)
    # Nor is it kept for others who ask the same.
    answer = gateway.chat(headers={"Cache-Control": "public, max-age=60"})
    assert answer.json() == body and "X-PROXY-CACHE" not in answer.headers
    row = gateway.row
    assert (row.usage_status, row.cost, row.error) == ("failed", 0, "503")


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "well",
    [
        {"base_resp": {"status_code": 0, "status_msg": ""}, "success": True},
        {"code": 0, "message": "Success", "sid": "s"},  # Spark's
        {"code": "200", "msg": "ok", "error": None, "errors": []},
        {"code": "a program", "message": "a text", "detail": "high"},
    ],
    ids=["MiniMax", "Spark", "200", "other words"],
)
def test_b05_a_member_that_says_all_went_well_is_no_error(gateway, mock, well, is_stream):
    mock.script = stream(content("Hi", **well), stop(**well), USAGE_CHUNK, DONE)
    if not is_stream:
        mock.script = reply(chat(1200, 340, **well))
    gateway.chat(stream=is_stream)
    assert (gateway.row.usage_status, gateway.row.error) == ("settled", None)


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 10, "completion_tokens": 5}])
def test_b05_an_error_inside_a_choice(gateway, mock, usage):
    """As OpenRouter tells of a provider that failed after some text."""
    failed = {"message": {"content": "Hel"}, "finish_reason": "error", "error": {"code": 502}}
    body = {"model": "gpt-4o-mini", "choices": [failed], "usage": usage}
    mock.script = in_turn(reply(body), stream(content("Hel"), chunk({"choices": [failed]})))
    assert gateway.chat().json() == body
    gateway.chat(stream=True)
    plain, streamed = gateway.rows
    assert (plain.error, streamed.error) == ("502", "502")
    assert (plain.usage_status, plain.output_tokens) == (
        ("settled", 5) if usage else ("estimated", 1)
    )
    assert (streamed.usage_status, streamed.output_tokens) == ("estimated", 2)


def gzipped(*pieces: bytes) -> list[bytes]:
    compressor = zlib.compressobj(wbits=31)
    flushed = [compressor.compress(p) + compressor.flush(zlib.Z_SYNC_FLUSH) for p in pieces]
    return [*flushed, compressor.flush()]


@pytest.mark.parametrize("offered", ["gzip", "gzip, deflate, br, zstd", None, "identity"])
def test_b06_a_client_can_read_what_it_gets(gateway, mock, offered):
    """The upstream compresses although plain bytes were asked for: they are sent plain."""
    mock.script = in_turn(
        reply(gzip.compress(json.dumps(chat()).encode()), Content_Encoding="gzip"),
        stream(*gzipped(TEXT, stop(), USAGE_CHUNK, DONE), Content_Encoding="gzip"),
        reply(gzip.compress(b'{"error":{"message":"slow"}}'), 429, Content_Encoding="gzip"),
    )
    headers = {"Accept-Encoding": offered}

    plain = gateway.chat(headers=headers)
    streamed = gateway.chat(stream=True, headers=headers)
    limited = gateway.chat(headers=headers)

    assert mock.requests[0].header("Accept-Encoding") == "identity"
    assert all("Content-Encoding" not in each.headers for each in (plain, streamed, limited))
    assert plain.json() == chat()
    assert streamed.content == TEXT + stop() + DONE
    assert (limited.status_code, limited.json()) == (429, {"error": {"message": "slow"}})
    assert [counts(row)[0] for row in gateway.rows] == ["settled", "settled", "failed"]


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "x-unknown"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_b06_a_coding_that_nobody_offered_is_relayed_and_estimated(
    gateway, mock, is_stream, coding
):
    """From its bytes, four of them for a token: nothing would let a budget last forever."""
    coded = b"\x0b\x02\x80{}\x03" * 20
    mock.script = reply(coded, Content_Encoding=coding)
    if is_stream:
        mock.script = stream(coded[:70], coded[70:], Content_Encoding=coding)
    gateway.use(budget_usd=1)
    body = {"model": "gpt-4o-mini", "stream": is_stream, "max_tokens": 100}
    answer = gateway.post("/v1/chat/completions", body, stream=True)
    assert answer.raw.read(decode_content=False) == coded
    assert answer.headers["Content-Encoding"] == coding
    assert (gateway.row.usage_status, gateway.row.output_tokens) == ("estimated", 30)
    assert gateway.left == 1 - gateway.row.cost


def test_b06_a_coding_that_nobody_offered_is_estimated_within_what_is_allowed(gateway, mock):
    mock.script = reply(b"\x0b\x02\x80{}\x03" * 20, Content_Encoding="br")
    gateway.post("/v1/chat/completions", {"model": "gpt-4o-mini", "max_tokens": 7}, stream=True)
    assert (gateway.row.usage_status, gateway.row.output_tokens) == ("estimated", 7)


@pytest.mark.slow
def test_b07_a_long_event_is_not_held(gateway, mock):
    long = content("A" * 2_000_000)
    mock.script = stream(
        long[:1_000_000], long[1_000_000:], stop(), USAGE_CHUNK, DONE, pauses={1: 0.5}
    )
    answer = open_stream(gateway)
    begun = read(answer, 1_000_000)
    assert begun == long[:1_000_000]
    assert begun + answer.raw.read() == long + stop() + DONE
    assert gateway.row.usage_status == "settled"


def test_b08_redirects_are_not_followed(gateway, mock):
    async def redirect(request, writer):
        location = f"http://localhost:{mock.port}/elsewhere"
        writer.write(head(307, Location=location, Content_Length="0"))

    mock.script = redirect
    answer = gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_redirects")
    assert [seen.target for seen in mock.requests] == ["/v1/chat/completions"]
    assert counts(gateway.row)[0] == "failed"


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions"]
)
def test_b08_other_spellings_of_a_path_are_answered(gateway, mock, path):
    mock.script = reply(chat())
    answer = gateway.post(path, {"model": "gpt-4o-mini", "messages": []})
    assert answer.status_code == 200
    assert mock.requests[0].target == "/v1/chat/completions"


def with_retries(mock, upstreams_file, retries=2, more=""):
    base = f"base_url: {mock.url}/v1, api_key: k, retries: {retries}{more}"
    upstreams_file(f"apis:\n  openai: {{{base}}}\n")


def test_b09_a_refused_connection_is_failed(gateway, mock, settings):
    from gateway import upstreams

    settings.OPENAI_API_URL = "http://127.0.0.1:9"
    upstreams.forget()
    answer = gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert counts(gateway.row)[0] == "failed"


@pytest.fixture
def refuse(monkeypatch):
    """A function: so many of the next connections are refused. Returns the list of attempts."""
    connect = upstream_call._attempt

    def refuse(count: int) -> list:
        attempts = []

        async def attempt(*arguments):
            attempts.append(arguments)
            if len(attempts) <= count:
                raise Unreachable
            return await connect(*arguments)

        monkeypatch.setattr(upstream_call, "_attempt", attempt)
        return attempts

    return refuse


def test_b09_a_refused_connection_is_tried_once_more(gateway, mock, refuse):
    mock.script = reply(chat())
    attempts = refuse(1)
    assert gateway.chat().json() == chat()
    assert (len(attempts), len(mock.requests)) == (2, 1)
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)

    attempts = refuse(2)
    assert gateway.chat().json()["error"]["code"] == "upstream_unreachable"
    assert (len(attempts), len(mock.requests)) == (2, 1)


def test_b09_an_upload_that_passes_as_it_comes_is_not_sent_again(
    gateway, mock, upstreams_file, refuse
):
    with_retries(mock, upstreams_file)
    files = {"file": ("a.mp3", b"sound", "audio/mpeg"), "model": (None, "whisper-1")}
    mock.script = reply(b"", 429, Retry_After="0")
    assert gateway.post("/v1/audio/transcriptions", files=files).status_code == 429
    assert len(mock.requests) == 1

    attempts = refuse(1)
    answer = gateway.post("/v1/audio/transcriptions", files=files)
    assert answer.json()["error"]["code"] == "upstream_unreachable"
    assert (len(attempts), len(mock.requests)) == (1, 1)
    assert [counts(row)[0] for row in gateway.rows] == ["failed", "failed"]


def test_b09_what_was_sent_and_not_answered_is_not_sent_again(gateway, mock, upstreams_file):
    with_retries(mock, upstreams_file)
    mock.script = hang_up
    gateway.use(budget_usd=10)

    answer = gateway.chat(max_tokens=1000)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_disconnected")
    assert len(mock.requests) == 1
    assert gateway.row.usage_status == "unknown"
    # 1000 * 0.60 per million, and the prompt's bound: it stays spent
    assert Decimal("0.0006") < 10 - gateway.left < Decimal("0.0007")
    assert gateway.pending == 0


TWO_UPSTREAMS = """
apis:
  openai: {{base_url: {url}/v1, api_key: k}}
  other: {{base_url: {url}/v1, api_key: k, provider: openai}}
"""


def test_b09_a_connection_is_idle_whichever_upstream_it_served(gateway, mock, upstreams_file):
    """It had carried a call of another upstream of that origin just before."""
    upstreams_file(TWO_UPSTREAMS.format(url=mock.url))
    mock.script = in_turn(reply(chat()), hang_up)
    assert gateway.chat().status_code == 200
    assert gateway.chat("other:gpt-4o-mini").status_code == 502
    assert len(mock.requests) == 2
    assert gateway.rows[1].usage_status == "unknown"


def test_b09_a_connection_that_had_ended_while_idle_is_made_anew(gateway, mock, monkeypatch):
    monkeypatch.setattr("gateway.upstream_call._IDLE_SECONDS", -1)
    mock.script = in_turn(reply(chat()), hang_up, reply(chat()))
    assert [gateway.chat().status_code for _ in range(2)] == [200, 200]
    assert len(mock.requests) == 3
    assert [row.usage_status for row in gateway.rows] == ["settled"] * 2


def test_b09_silence_is_not_sent_again(gateway, mock, upstreams_file):
    with_retries(mock, upstreams_file, more=", timeouts: {response_header: 300ms}")
    mock.script = reply(chat(), delay=3)
    answer = gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
    assert len(mock.requests) == 1
    assert gateway.row.usage_status == "unknown"


@pytest.mark.parametrize("status", [429, 503])
def test_b09_an_upstream_that_has_not_begun_is_asked_again(gateway, mock, upstreams_file, status):
    with_retries(mock, upstreams_file)
    refusal = reply(b"<html>", status, Content_Type="text/html", Retry_After="0")
    mock.script = in_turn(refusal, reply(chat()))
    assert gateway.chat().json() == chat()
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)

    mock.script = refusal
    assert gateway.chat().status_code == status
    assert counts(gateway.rows[-1])[0] == "failed"


def test_b09_no_answer_takes_longer_than_the_total(gateway, mock, upstreams_file):
    with_retries(mock, upstreams_file, retries=5, more=", timeouts: {request: 500ms}")
    mock.script = reply(b"", 503, Retry_After="1")
    began = time.monotonic()
    assert gateway.chat().status_code == 503  # the upstream's own
    assert time.monotonic() - began < 0.9
    assert len(mock.requests) == 1
    mock.script = reply(chat(), delay=5)
    assert gateway.chat().status_code == 504
    assert [counts(row)[0] for row in gateway.rows] == ["failed", "unknown"]


def test_b09_an_upstreams_wait_is_obeyed(gateway, mock, upstreams_file):
    with_retries(mock, upstreams_file)
    mock.script = in_turn(reply(b"", 429, Retry_After="1"), reply(chat()))
    assert gateway.chat().status_code == 200
    first, second = mock.requests
    assert 1 <= second.at - first.at < 2


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ({"Retry_After_MS": "300"}, 0.3),
        ({"Retry_After_MS": "300", "Retry_After": "60"}, 0.3),
        ({"Retry_After": "0.3"}, 0.3),
    ],
    ids=str,
)
def test_b09_a_wait_is_read_as_the_sdks_read_it(gateway, mock, upstreams_file, asked, waits):
    with_retries(mock, upstreams_file)
    mock.script = in_turn(reply(b"", 429, **asked), reply(chat()))
    assert gateway.chat().status_code == 200
    first, second = mock.requests
    assert waits <= second.at - first.at < waits + 0.2


@pytest.mark.parametrize(
    "said", [{"X_Should_Retry": "false"}, {"Retry_After": "0", "Retry_After_MS": "60000"}], ids=str
)
def test_b09_an_upstream_that_wants_no_retry_gets_none(gateway, mock, upstreams_file, said):
    with_retries(mock, upstreams_file)
    refusal = {"error": {"message": "no credit", "code": "insufficient_quota"}}
    mock.script = reply(refusal, 429, **said)
    answer = gateway.chat()
    assert (answer.status_code, answer.json()) == (429, refusal)
    assert len(mock.requests) == 1


@pytest.mark.parametrize("asked", ["60", "6", "9" * 5000, "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_b09_a_wait_that_is_too_long_is_the_clients(gateway, mock, upstreams_file, asked):
    with_retries(mock, upstreams_file)
    mock.script = reply({"error": {"message": "slow"}}, 429, Retry_After=asked)
    answer = gateway.chat()
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, asked)
    assert len(mock.requests) == 1


@pytest.mark.parametrize(
    ("status", "asked"),
    [(200, "\xb2"), (200, "\xb9\xb2\xb3"), (200, "soon"), (200, ""), (429, "\xb2")],
)
def test_b09_a_wait_that_is_none_is_passed_over(gateway, mock, upstreams_file, status, asked):
    """The first two are digits to `str.isdigit`, and no numbers to `float`."""
    with_retries(mock, upstreams_file, retries=1)
    body = json.dumps(chat()).encode()
    sent = head(status, Content_Length=str(len(body)), Content_Type="application/json", X="?")
    sent = sent.replace(b"X: ?", b"Retry-After: " + asked.encode("latin-1"))
    mock.script = in_turn(exactly(sent + body), reply(chat()))
    assert gateway.chat().json() == chat()
    assert len(mock.requests) == (1 if status == 200 else 2)
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)


def test_b09_a_date_that_is_over_is_no_wait(gateway, mock, upstreams_file):
    with_retries(mock, upstreams_file)
    refusal = reply(b"", 503, Retry_After="Sat, 01 Jan 2000 00:00:00 GMT")
    mock.script = in_turn(refusal, reply(chat()))
    assert gateway.chat().status_code == 200
    first, second = mock.requests
    assert second.at - first.at < 0.3


def test_b09_a_500_is_not_sent_again(gateway, mock, upstreams_file):
    with_retries(mock, upstreams_file)
    mock.script = reply({"error": {"message": "oops"}}, 500)
    assert gateway.chat().status_code == 500
    assert len(mock.requests) == 1


@pytest.mark.parametrize("story", ["stream", "plain", "before the headers"])
def test_b10_a_call_is_drained_when_its_client_leaves(gateway, mock, story):
    if story == "stream":
        mock.script = stream(*[content(f"w{n}") for n in range(40)], USAGE_CHUNK, DONE, delay=0.01)
        leave(gateway, {"stream": True}, read_bytes=600)
        expected = ("settled", 176, 1024, 340, 0)
    else:
        mock.script = reply(chat(), delay=0.5)
        leave(gateway, {"stream": story != "plain"}, after=0.2 if story == "plain" else 0.1)
        expected = ("settled", 10, 0, 5, 0)
    assert counts(settled_row(gateway)) == expected
    assert gateway.pending == 0


ENDLESS = [content(f"word{n} ") for n in range(2000)]


def test_b10_draining_has_an_end(gateway, mock, upstreams_file):
    options = "drain: {seconds: 300ms}"
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k, {options}}}\n")
    mock.script = stream(*ENDLESS, delay=0.02)
    leave(
        gateway,
        {"stream": True, "messages": [{"role": "user", "content": "Hello"}]},
        read_bytes=600,
    )
    row = settled_row(gateway)
    assert (row.usage_status, row.error) == ("estimated", "client_gone")
    assert row.output_tokens >= 3 and row.input_tokens > 0 and row.cost > 0
    assert mock.closed.wait(5)


@pytest.mark.parametrize("has_begun", [True, False])
def test_b10_own_machines_stop_when_the_client_leaves(gateway, mock, upstreams_file, has_begun):
    upstreams_file(
        f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k, on_disconnect: cancel}}\n"
    )
    mock.script = stream(*ENDLESS, delay=0.02, pauses=None if has_begun else {0: 20})
    if not has_begun:
        mock.script = reply(chat(), delay=20)
    leave(gateway, {"stream": True}, after=0.2, read_bytes=600 if has_begun else 0)
    row = settled_row(gateway)
    assert (row.usage_status, row.error) == ("estimated", "client_gone")
    if has_begun:
        assert mock.closed.wait(1)
    assert gateway.pending == 0
