"""Where the upstream's key and the token do not show (C10)."""

import gzip
import json

import pytest

from gateway import relay
from gateway.answer.secret_masking import StreamMask
from gateway.protocols.openai import is_error_event
from tests.gateway.calls import raw_post
from tests.gateway.upstream import (
    DONE,
    USAGE_CHUNK,
    chat,
    chunk,
    content,
    event,
    exactly,
    head,
    in_turn,
    reply,
    stop,
    stream,
)

KEY = "sk-upstream-key-0123456789"  # of the server's upstream


@pytest.fixture
def gateway(gateway, mock, upstreams_file):
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: {KEY}}}\n")
    return gateway


REFUSALS = [
    {"error": {"message": f"Incorrect API key provided: {KEY}"}},
    {"error": f"Incorrect API key provided: {KEY}"},
    {"error": {"code": f"bad_{KEY}", "message": "no"}},
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["message", "text", "code"])
def test_c10_an_upstream_that_quotes_its_key_tells_nobody(gateway, mock, refusal):
    mock.script = reply(refusal, 401, WWW_Authenticate=f'Bearer realm="{KEY}"', X_Hint="none")

    answer = gateway.chat()

    assert answer.status_code == 401
    assert answer.text == json.dumps(refusal).replace(KEY, "***")
    assert KEY not in str(answer.headers) and answer.headers["X-Hint"] == "none"
    assert KEY not in (gateway.row.error or "")


def test_c10_a_page_of_an_error_is_masked_like_json(gateway, mock, own_key):
    """Also of an object stored upstream, whose data are relayed as they come."""
    own_key(own := "sk-own-upstream-key-0123456789")
    mock.script = reply(f"<p>no {own}".encode(), 400, Content_Type="text/html")
    assert gateway.get("/v1/files/file-1/content").text == "<p>no ***"


@pytest.mark.parametrize("length", range(40, 64, 4))
@pytest.mark.parametrize("member", ["code", "type"])
def test_c10_no_part_of_a_key_is_kept_of_a_long_code(gateway, mock, member, length):
    """The row keeps 64 characters of it."""
    said = "Incorrect API key provided: ".ljust(length, "x")
    error = {"message": "no", member: said + KEY}
    mock.script = in_turn(reply({"error": error}, 401), stream(chunk({"error": error})))
    gateway.chat()
    gateway.chat(stream=True)
    assert [row.error for row in gateway.rows] == [f"{said}***"[:64]] * 2


WRITTEN = [r"ab+c\/d", r"ab\u002Bc/d", r"\u0061b\u002bc\u002fd", "ab%2Bc%2fd"]


@pytest.mark.parametrize("kind", ["plain", "stream", "refused stream"])
@pytest.mark.parametrize("written", WRITTEN)
def test_c10_a_key_is_hidden_however_it_is_written(gateway, mock, upstreams_file, written, kind):
    start = "key-0123456789-"
    upstreams_file(f"apis: {{openai: {{base_url: {mock.url}/v1, api_key: {start}ab+c/d}}}}")
    refusal = f'{{"error": {{"message": "no {start}{written}, C:\\\\d, 5 %"}}}}'
    if kind == "plain":
        mock.script = reply(refusal.encode(), 401, X_Address=f"/?key={start}{written}")
    else:
        refusal = content(f"{start}ab%2Bc/d").decode() + f"data: {refusal}\n\n"
        mock.script = stream(*(bytes([byte]) for byte in refusal.encode()))
        if kind == "refused stream":
            refusal = refusal.partition("\n\n")[2]
            mock.script = reply(refusal.encode(), 401, Content_Type="text/event-stream")
    answer = gateway.chat(stream=kind != "plain")
    assert answer.text == refusal.replace(start + written + ",", "***,")
    assert "X-Address" not in answer.headers


def test_c10_a_key_is_hidden_where_no_json_would_escape_it(gateway, mock, upstreams_file):
    key = "key-0123456789-abcd"
    upstreams_file(f"apis: {{openai: {{base_url: {mock.url}/v1, api_key: {key}}}}}")
    written = key.replace("-", "\\-")
    mock.script = reply(f"no {written}".encode(), 401, Content_Type="text/plain")
    assert gateway.chat().text == "no ***"


@pytest.mark.parametrize("cut", range(1, 30))
@pytest.mark.parametrize("written", WRITTEN)
def test_c10_what_may_be_the_key_waits_however_it_is_written(written, cut):
    start = r"or \u00 key-0123 5 % \u006"
    end = rb'\u006bey-0123456789-%s!"}' % written.encode()
    error = b'data: {"error": "' + start.encode() + b" " + end + b"\n\n"
    mask = StreamMask("key-0123456789-ab+c/d", is_error=is_error_event)
    pieces = [mask.feed(error[at : at + cut]) for at in range(0, len(error), cut)]
    assert b"".join(pieces) + mask.finish() == error.replace(end, b'***!"}')


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, 6, 100])
@pytest.mark.parametrize(
    ("signs", "written"),
    [
        (r"%b\c", r"%b\\c"),
        (r"%b\c", r"\u0025b\u005Cc"),
        (r"%b\c", "%25b%5cc"),
        ("%25c", "%25c"),
        (r"\c", r"\\c"),
        ('"c', r"\"c"),
    ],
)
def test_c10_signs_that_escape_others_may_be_in_a_key(signs, written, cut):
    end = b'key-0123456789-a%s!"}' % written.encode()
    error = b'data: {"error": "no %s\n\n' % end
    mask = StreamMask(f"key-0123456789-a{signs}", is_error=is_error_event)
    pieces = [mask.feed(error[at : at + cut]) for at in range(0, len(error), cut)]
    assert b"".join(pieces) + mask.finish() == error.replace(end, b'***!"}')


def test_c10_a_compressed_refusal_is_no_exception(gateway, mock):
    packed = gzip.compress(json.dumps(REFUSALS[0]).encode())
    mock.script = reply(packed, 401, Content_Encoding="gzip")
    assert KEY not in gateway.chat().text


@pytest.mark.parametrize(
    ("coding", "kind"),
    [
        ("br", "application/json"),
        ("br", "text/event-stream"),
        ("compress", "text/html"),
        ("gzip, br", "application/json"),
        ("gzip", "application/json"),
    ],
)
def test_c10_a_refusal_that_cannot_be_read_is_withheld(gateway, mock, coding, kind):
    """The last one is not of its coding. A client can read what it gets instead (B06)."""
    packed = b"\x0b" + KEY.encode()
    mock.script = reply(packed, 401, Content_Encoding=coding, Content_Type=kind, ETag='"x"')

    answer = gateway.chat()

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "upstream_undecodable")
    assert answer.headers["Content-Type"] == "application/json"
    assert not {"Content-Encoding", "ETag"} & set(answer.headers)
    assert (gateway.row.usage_status, gateway.row.http_status) == ("failed", 401)


def test_b06_a_refusal_that_cannot_be_read_is_relayed_where_nothing_can_leak(
    gateway, mock, upstreams_file
):
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: none}}\n")
    mock.script = reply(b"\x0b\x02\x80{}\x03", 401, Content_Encoding="br")
    answer = gateway.post("/v1/chat/completions", {"model": "gpt-4o-mini"}, stream=True)
    assert answer.raw.read(decode_content=False) == b"\x0b\x02\x80{}\x03"


def test_c10_a_refusal_that_breaks_off_is_masked(gateway, mock):
    """It is longer than what was promised, as it comes compressed."""
    refusal = json.dumps({"error": {"message": f"{KEY} is wrong. " * 1_000}}).encode()
    packed = gzip.compress(refusal)
    promised = {"Content_Type": "application/json", "Content_Encoding": "gzip"}
    promised["Content_Length"] = str(len(packed))
    mock.script = exactly(head(401, **promised) + packed[:-4])
    got = raw_post(gateway, {"model": "gpt-4o-mini", "messages": []})
    assert b"*** is wrong. " * 900 in got.replace(b"\r\n", b"") and KEY.encode() not in got
    assert not got.endswith(b"0\r\n\r\n")
    assert (gateway.row.usage_status, gateway.row.error) == ("failed", "upstream_disconnected")


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_c10_a_refusal_of_any_length_is_masked(gateway, mock, monkeypatch, coding):
    monkeypatch.setattr(relay, "MAX_HELD", 300_000)
    refusal = {"error": {"message": f"no {KEY} " * 50_000}}
    data = json.dumps(refusal).encode()
    packed = gzip.compress(data, 0) if coding else data
    mock.script = reply(packed, 401, **({"Content_Encoding": coding} if coding else {}))

    answer = gateway.chat()

    assert (answer.status_code, answer.text) == (401, json.dumps(refusal).replace(KEY, "***"))
    assert (gateway.row.usage_status, gateway.row.error) == ("failed", "error")


@pytest.mark.parametrize("is_shown", [False, True])
@pytest.mark.parametrize("status", [200, 401])
def test_c10_a_compressed_stream_is_no_exception(gateway, mock, status, is_shown):
    """Also one whose usage the client asked for, so that nothing is hidden from it."""
    events = content("Hi") + chunk(REFUSALS[0])
    sent = {"Content_Encoding": "gzip", "Content_Type": "text/event-stream"}
    mock.script = reply(gzip.compress(events), status, **sent)
    answer = gateway.chat(stream=True, stream_options={"include_usage": is_shown})
    assert answer.content == events.replace(KEY.encode(), b"***")


BARE = {"code": "InvalidApiKey", "message": f"Incorrect API key provided: {KEY}"}
INSIDE_A_200 = {
    "an answer": (reply(REFUSALS[0]), "/v1/chat/completions"),
    "a failed response": (reply({"id": "r", "status": "failed", **REFUSALS[0]}), "/v1/responses"),
    "an event": (stream(chunk(REFUSALS[0])), "/v1/chat/completions"),
    "a bare one": (reply(BARE), "/v1/chat/completions"),
    "a bare event": (stream(content("Hi"), chunk(BARE)), "/v1/chat/completions"),
    "no success": (stream(chunk({**BARE, "success": False})), "/v1/chat/completions"),
    "a later event": (stream(content("Hi"), chunk(REFUSALS[0])), "/v1/chat/completions"),
    "a failed stream": (
        stream(event("response.failed", {"response": {"status": "failed", **REFUSALS[0]}})),
        "/v1/responses",
    ),
    "bytes one by one": (
        stream(*(bytes([byte]) for byte in chunk(REFUSALS[0]))),
        "/v1/chat/completions",
    ),
    "a list of models": (reply(REFUSALS[0], 401), "/v1/models"),
}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("name", INSIDE_A_200)
def test_c10_an_error_quotes_no_key_wherever_it_stands(gateway, mock, name, is_stream):
    mock.script, path = INSIDE_A_200[name]
    if path == "/v1/models":
        answer = gateway.get(path)
    else:
        answer = gateway.post(path, {"model": "gpt-4o-mini", "stream": is_stream})
    assert "Incorrect API key provided: ***" in answer.text and KEY not in answer.text


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("coding", [None, "gzip"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (f"Invalid key {KEY}", "text/plain"),
        (f"<html><p>Invalid key {KEY}</p></html>", "text/html; charset=utf-8"),
        (f"<Error><Message>Invalid key {KEY}</Message></Error>", "application/xml"),
        (f'{{"message": "Invalid key {KEY}"}}', "application/json"),
        (f'{{"status": "error", "Message": "Invalid key {KEY}"}}', "application/json"),
    ],
    ids=["text", "page", "XML", "message", "status"],
)
def test_c10_a_200_without_usage_quotes_no_key(gateway, mock, body, kind, coding, is_stream):
    """It may be an error of a form that nobody here knows."""
    sent = gzip.compress(body.encode()) if coding else body.encode()
    coded = {"Content_Encoding": coding} if coding else {}
    mock.script = reply(sent, Content_Type=kind, **coded)
    assert gateway.chat(stream=is_stream).text == body.replace(KEY, "***")
    assert gateway.row.usage_status == "estimated"


@pytest.mark.parametrize(
    "odd",
    [f": no {KEY}", f"data: no {KEY}", f'data: {{"message": "no {KEY}"}}', f"no {KEY}"],
    ids=["comment", "text", "message", "no event"],
)
def test_c10_an_event_that_is_no_part_of_an_answer_quotes_no_key(gateway, mock, odd):
    mock.script = stream(content(f"Hi {KEY}"), odd.encode() + b"\n\n", stop(), DONE)
    shown = content(f"Hi {KEY}") + odd.replace(KEY, "***").encode() + b"\n\n" + stop() + DONE
    assert gateway.chat(stream=True).content == shown


@pytest.mark.parametrize("cut", [1, 50])
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=repr)
def test_c10_keys_and_usage_are_hidden_however_a_stream_is_cut(
    gateway, mock, line_end, is_packed, cut
):
    shown = [b": ping\n\n", content(f"Hi {KEY}"), stop(usage=None)]
    error = chunk({"choices": [], "error": {"message": f"no {KEY}", "code": 502}})
    events = b"".join([*shown, USAGE_CHUNK, error, DONE]).replace(b"\n", line_end)
    sent = gzip.compress(events) if is_packed else events
    pieces = [sent[start : start + cut] for start in range(0, len(sent), cut)]
    mock.script = stream(*pieces, **({"Content_Encoding": "gzip"} if is_packed else {}))

    answer = gateway.chat(stream=True)

    masked = error.replace(KEY.encode(), b"***")
    assert answer.content == b"".join([*shown, masked, DONE]).replace(b"\n", line_end)
    assert (gateway.row.input_tokens, gateway.row.output_tokens) == (1200, 340)


@pytest.mark.parametrize(
    "script",
    [
        reply(chat(id=KEY)),
        reply({"id": "e", "data": [{"b64_json": KEY}], "usage": {"total_tokens": 5}}),
        stream(content(KEY), stop(), DONE),
        stream(content(KEY)[:60], content(KEY)[60:], stop(), DONE),
    ],
    ids=["plain", "no chat", "stream", "stream in pieces"],
)
def test_a_good_answer_keeps_every_byte(gateway, mock, script):
    mock.script = script
    assert KEY in gateway.chat(stream=True).text


@pytest.mark.parametrize("cut", range(1, 80, 3))
def test_a_stream_is_masked_wherever_it_is_cut(cut):
    error = b'data: {"message": "no key %s!", "type": "error"}\n\n' % KEY.encode()
    good = b'data: {"choices": [], "id": "%s"}\n\n' % KEY.encode()
    data = good + error + good
    mask = StreamMask(KEY, is_error=is_error_event)
    pieces = [mask.feed(data[start : start + cut]) for start in range(0, len(data), cut)]
    assert b"".join(pieces) + mask.finish() == good + error.replace(KEY.encode(), b"***") + good


def test_only_what_may_be_the_key_waits():
    mask = StreamMask(KEY, is_error=is_error_event)
    assert mask.feed(b'data: {"error": "so') == b'data: {"error": "so'
    assert mask.feed(b" it is sk-up") == b" it is "
    assert mask.feed(b"hill") == b"sk-uphill"
    assert mask.feed(b" " + KEY.encode() + b" or so") == b" "
    assert mask.feed(b'"}\n\n') == b'*** or so"}\n\n'


def test_an_event_of_any_length_is_masked():
    mask = StreamMask(KEY, is_error=is_error_event)
    passed = mask.feed(b'data: {"error": "')
    for _ in range(100):
        passed += mask.feed(b"x" * 10_000)
    passed += mask.feed(KEY.encode() + b'"}\n\n' + DONE)
    assert passed == b'data: {"error": "' + b"x" * 1_000_000 + b'***"}\n\n' + DONE


def test_a_key_does_not_wait_for_ever():
    """An event without an end, which may be an error, is not held for it."""
    mask = StreamMask(KEY, is_error=is_error_event)
    start = b'data: {"error": "' + KEY.encode()
    passed = mask.feed(start)
    assert passed == b'data: {"error": "'
    for _ in range(40):
        passed += mask.feed(b"x" * 50_000)
    assert passed == b'data: {"error": "***' + b"x" * 2_000_000
    assert mask.feed(KEY.encode() + b' or so"}\n') == b'*** or so"}\n'
    good = b'data: {"id": "%s"}\n\n' % KEY.encode()
    assert mask.feed(b"\n" + good) + mask.finish() == b"\n" + good


@pytest.mark.parametrize("key", ["none", "k", "ollama"])
def test_a_placeholder_of_a_key_is_an_ordinary_word(gateway, mock, upstreams_file, key):
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: {key}}}\n")
    refusal = {"error": {"message": "none of ollama's tokens", "code": "none_ollama_k"}}
    mock.script = reply(refusal, 400, X_Hint="none, ollama, k")
    answer = gateway.chat()
    assert answer.json() == refusal and answer.headers["X-Hint"] == "none, ollama, k"
    assert gateway.row.error == "none_ollama_k"


@pytest.mark.parametrize(
    ("key", "shown"), [("a-15-letter-key", "a-15-letter-key"), ("a-16-letters-key", "***")]
)
def test_a_key_of_16_characters_is_no_placeholder(gateway, mock, upstreams_file, key, shown):
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: {key}}}\n")
    mock.script = reply({"error": {"message": f"no {key}"}}, 400)
    assert gateway.chat().json() == {"error": {"message": f"no {shown}"}}


@pytest.mark.parametrize("name", ["X-Request-ID", "X-LLMRing-Origin", "X-LLMRing-Alias"])
def test_c10_a_token_in_another_header_is_not_kept(gateway, mock, caplog, settings, name):
    settings.ACCESS_LOG = True
    mock.script = reply(chat())

    answer = gateway.chat(headers={name: gateway.token})

    assert answer.status_code == 200
    [seen] = mock.requests
    row = gateway.row
    assert gateway.token not in f"{seen.headers} {row.origin} {row.alias} {caplog.text}"


def test_answers_have_each_header_of_the_server_once(gateway, mock):
    theirs = {"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "X_LLMRing_Request_ID": "theirs"}
    mock.script = reply(chat(), **theirs)
    answer = gateway.chat()
    for name in ("Date", "X-LLMRing-Request-ID"):
        assert len(answer.raw.headers.getlist(name)) == 1
    assert "theirs" not in str(answer.headers) and "1970" not in str(answer.headers)


def test_a_preflight_has_each_header_once(gateway):
    answer = gateway.send(
        "OPTIONS",
        "/v1/chat/completions",
        headers={"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"},
    )
    names = [name.lower() for name in answer.raw.headers]
    assert len(answer.raw.headers.getlist("Access-Control-Max-Age")) <= 1
    assert len(names) == len(set(names))
