"""What usage looks like in answers: what the client gets, and what the row holds."""

import gzip
import json
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
import requests
from django.utils import timezone

from accounts import audit
from gateway.models import Call, Upstream
from gateway.worker import WorkerThread
from registry_proxy import custom_prices
from registry_proxy.models import CustomPrice
from tests.gateway.calls import azure, within_a_second
from tests.gateway.conftest import counts
from tests.gateway.upstream import (
    DONE,
    USAGE_CHUNK,
    chat,
    chunk,
    content,
    event,
    in_turn,
    reply,
    stop,
    stream,
)

JSON = {"Content-Type": "application/json"}
PIECES = [content(text, usage=None) for text in ("Hel", "lo", "!")] + [stop(usage=None)]


@pytest.mark.parametrize(
    ("options", "is_shown"),
    [({}, False), ({"include_usage": False}, False), ({"include_usage": True}, True)],
    ids=["absent", "false", "true"],
)
def test_a01_usage_is_asked_for_and_hidden_from_who_did_not_ask(gateway, mock, options, is_shown):
    mock.script = stream(*PIECES, USAGE_CHUNK, DONE)

    answer = gateway.chat(stream=True, **({"stream_options": options} if options else {}))

    assert mock.requests[0].json["stream_options"]["include_usage"] is True
    shown = [*PIECES, USAGE_CHUNK, DONE] if is_shown else [*PIECES, DONE]
    assert answer.content == b"".join(shown)
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)
    assert gateway.row.cost == Decimal("0.0003072")


@pytest.mark.parametrize("value", [1, "true", {}])
def test_a01_what_may_ask_for_usage_is_the_upstreams_to_read(gateway, mock, value):
    """Some take it for true: then the client has asked for what it gets."""
    mock.script = stream(*PIECES, USAGE_CHUNK, DONE)
    answer = gateway.chat(stream=True, stream_options={"include_usage": value})
    assert mock.requests[0].json["stream_options"] == {"include_usage": value}
    assert answer.content == b"".join([*PIECES, USAGE_CHUNK, DONE])


@pytest.mark.parametrize("value", [1, 1.0, "true", "True", "yes", "1", "t", "y", "on", "1.0"])
def test_a01_a_stream_is_one_however_it_is_asked_for(gateway, mock, value):
    mock.script = stream(*PIECES, USAGE_CHUNK, DONE)
    answer = gateway.chat(stream=value)
    assert mock.requests[0].json["stream"] == value
    assert mock.requests[0].json["stream_options"] == {"include_usage": True}
    assert answer.content == b"".join([*PIECES, DONE])
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)


def test_a01_a_one_with_many_digits_asks_for_a_stream(gateway, mock):
    """Such a number is read as a Decimal, to keep its digits."""
    mock.script = stream(*PIECES, USAGE_CHUNK, DONE)
    body = '{"model":"gpt-4o-mini","messages":[],"stream":1.00000000000000000000}'
    answer = gateway.post("/v1/chat/completions", data=body, headers=JSON)
    assert mock.requests[0].json["stream_options"] == {"include_usage": True}
    assert answer.content == b"".join([*PIECES, DONE])
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)


@pytest.mark.parametrize("value", [0, 2, "false", "", None, [True], {"true": 1}])
def test_a01_what_no_server_takes_for_a_stream_has_no_stream_options(gateway, mock, value):
    mock.script = reply(chat())
    gateway.chat(stream=value)
    assert "stream_options" not in mock.requests[0].json


def test_a02_a_refusal_for_want_of_a_stream_is_not_remembered(gateway, mock):
    """To this server a text is no stream, and without one the option has no meaning."""

    async def script(request, writer):
        asked = request.json
        if asked["stream"] is True:
            events = [*PIECES, USAGE_CHUNK, DONE] if "stream_options" in asked else PIECES
            await stream(*events)(request, writer)
        elif "stream_options" in asked:
            await reply({"error": {"message": "stream_options needs stream"}}, 400)(request, writer)
        else:
            await reply(chat())(request, writer)

    mock.script = script
    assert gateway.chat(stream="true").json() == chat()
    assert gateway.chat(stream=True).content == b"".join([*PIECES, DONE])
    assert [counts(row)[0] for row in gateway.rows] == ["settled", "settled"]


def test_a01_a_plain_chat_has_no_stream_options(gateway, mock):
    mock.script = reply(chat())
    gateway.chat()
    assert "stream_options" not in mock.requests[0].json


REFUSALS = {
    "mistral": (
        422,
        {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "stream_options", "include_usage"],
                    }
                ]
            },
        },
    ),
    "azure": (
        400,
        {
            "error": {
                "message": "Unknown parameter: 'stream_options'.",
                "type": "invalid_request_error",
                "param": "stream_options",
                "code": "unknown_parameter",
            }
        },
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a02_an_upstream_that_refuses_the_option_is_asked_without_it(gateway, mock, name):
    status, refusal = REFUSALS[name]
    answered = stream(content("one two three four"), stop(), DONE)
    mock.script = in_turn(reply(refusal, status), answered)

    first = gateway.chat(stream=True)
    second = gateway.chat(stream=True)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content.endswith(DONE)
    assert ["stream_options" in seen.json for seen in mock.requests] == [True, False, False]
    assert [counts(row)[0] for row in gateway.rows] == ["estimated", "estimated"]
    row = gateway.rows[0]
    assert row.input_tokens > 0 and row.output_tokens > 0


def refuses_option_at(part: str):
    """An upstream that knows the option, but for addresses with this in them."""

    async def script(request, writer):
        asks = "stream_options" in request.json
        if asks and part in request.target:
            answer = reply(REFUSALS["azure"][1], 400)
        else:
            answer = stream(content("Hi"), stop(), *([USAGE_CHUNK] if asks else []), DONE)
        await answer(request, writer)

    return script


def test_a02_a_refusal_is_of_one_version_of_the_api(gateway, mock, upstreams_file):
    azure(upstreams_file, mock)
    mock.script = refuses_option_at("2023-05-15")
    path = "/openai/deployments/gpt-4o-mini/chat/completions?api-version="
    for version in ("2024-10-21", "2023-05-15", "2023-05-15", "2024-10-21"):
        gateway.post(path + version, {"messages": [], "stream": True})
    assert [row.usage_status for row in gateway.rows] == [
        *("settled", "estimated", "estimated", "settled")
    ]
    assert len(mock.requests) == 5  # asked again once


def test_a02_a_refusal_ends_with_the_upstreams_configuration(gateway, mock, own_key):
    row = Upstream.objects.create(name="local", base_url=f"{mock.url}/old")
    own_key(upstream="local")
    mock.script = refuses_option_at("/old")
    within_a_second(lambda: gateway.chat("local:m", stream=True).ok)
    row.base_url = f"{mock.url}/new"
    row.save()
    within_a_second(
        lambda: gateway.chat("local:m", stream=True).ok and "/new" in mock.requests[-1].target
    )
    assert (gateway.rows[0].usage_status, gateway.rows[-1].usage_status) == ("estimated", "settled")


def test_a02_a_refusal_may_come_compressed(gateway, mock):
    status, refusal = REFUSALS["azure"]
    packed = gzip.compress(json.dumps(refusal).encode())
    answered = stream(content("Hi"), stop(), DONE)
    mock.script = in_turn(reply(packed, status, Content_Encoding="gzip"), answered)
    assert gateway.chat(stream=True).status_code == 200


def test_a02_other_refusals_are_shown(gateway, mock):
    mock.script = reply({"error": {"message": "Unknown parameter: 'foo'."}}, 400)
    assert gateway.chat(stream=True).status_code == 400
    assert len(mock.requests) == 1
    assert counts(gateway.row)[0] == "failed"


@pytest.mark.parametrize("status", [400, 404, 500])
@pytest.mark.parametrize("body", [{}, chat()], ids=["empty", "with usage"])
def test_a_refusal_costs_nothing_however_it_looks(gateway, mock, status, body):
    mock.script = reply(body, status)
    assert gateway.chat().status_code == status
    row = gateway.row
    assert (row.usage_status, row.cost, row.error) == ("failed", 0, f"http_{status}")


QUOTED = {"error": {"message": "Invalid value: 'stream_options'.", "param": "messages[0].role"}}


def test_a02_a_refusal_that_only_quotes_the_option_is_not_remembered(gateway, mock):
    mock.script = reply(QUOTED, 400)
    odd = gateway.chat(stream=True, messages=[{"role": "stream_options", "content": "x"}])
    assert (odd.status_code, odd.json()) == (400, QUOTED)
    mock.script = stream(*PIECES, USAGE_CHUNK, DONE)
    assert gateway.chat(stream=True).status_code == 200
    assert ["stream_options" in seen.json for seen in mock.requests] == [True, False, True]
    assert [counts(row)[0] for row in gateway.rows] == ["failed", "settled"]


def test_a02_a_client_that_sent_the_option_gets_the_refusal(gateway, mock):
    status, refusal = REFUSALS["mistral"]
    mock.script = reply(refusal, status)
    answer = gateway.chat(stream=True, stream_options={"include_usage": True})
    assert (answer.status_code, answer.json()) == (422, refusal)
    assert counts(gateway.row)[0] == "failed"


def test_a02_responses_are_never_asked_with_it(gateway, mock):
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    done = event("response.completed", {"response": {"id": "r", "model": "gpt-4o", "usage": usage}})
    mock.script = stream(done)
    answer = gateway.post("/v1/responses", {"model": "gpt-4o", "input": "Hi", "stream": True})
    assert answer.content == done
    assert "stream_options" not in mock.requests[0].json
    assert counts(gateway.row) == ("settled", 9, 0, 3, 0)


def test_a03_chunks_without_choices_that_are_not_usage_are_shown(gateway, mock):
    filtered = {"prompt_index": 0, "content_filter_results": {}}
    first = chunk(
        {
            "id": "",
            "object": "",
            "created": 0,
            "model": "",
            "choices": [],
            "prompt_filter_results": [filtered],
        }
    )
    late = chunk(
        {
            "id": "",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": None,
                    "delta": {},
                    "content_filter_offsets": {"check_offset": 1},
                    "content_filter_results": {},
                }
            ],
            "usage": None,
        }
    )
    mock.script = stream(first, *PIECES, USAGE_CHUNK, late, DONE)

    answer = gateway.chat(stream=True)

    assert answer.content == b"".join([first, *PIECES, late, DONE])
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)
    assert gateway.row.model == "gpt-4o-mini-2024-07-18"


def running_total(k: int) -> bytes:
    """The k-th chunk of a stream that states its usage so far in each."""
    usage = {"prompt_tokens": 1965, "completion_tokens": k, "total_tokens": 1965 + k}
    return content(f"word{k} ", usage=usage)


@pytest.mark.parametrize(
    "options", [{"include_usage": True, "continuous_usage_stats": True}, None], ids=str
)
def test_a04_usage_in_every_chunk_is_a_running_total(gateway, mock, options):
    pieces = [running_total(k) for k in range(1, 30)]
    mock.script = stream(*pieces, DONE)

    answer = gateway.chat(stream=True, **({"stream_options": options} if options else {}))

    assert answer.content == b"".join(pieces) + DONE
    if options:
        assert mock.requests[0].json["stream_options"] == options
    assert counts(gateway.row) == ("settled", 1965, 0, 29, 0)
    # 1965 * 0.15 + 29 * 0.60, per million
    assert gateway.row.cost == Decimal("0.00031215")


ERROR = chunk({"id": "g", "choices": [], "error": {"code": 502, "message": "disconnected"}})


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (stream(*map(running_total, (1, 2, 3)), ends=False), "upstream_disconnected"),
        (stream(*map(running_total, (1, 2, 3)), ERROR), "502"),
    ],
    ids=["cut", "error"],
)
def test_a04_a_total_that_would_have_grown_is_an_estimate(gateway, mock, script, error):
    mock.script = script
    with suppress(requests.exceptions.ChunkedEncodingError):
        gateway.chat(stream=True)
    assert counts(gateway.row) == ("estimated", 1965, 0, 3, 0)
    assert gateway.row.error == error


def test_a04_a_total_that_came_with_the_end_is_final(gateway, mock):
    final = {"prompt_tokens": 1965, "completion_tokens": 3, "total_tokens": 1968}
    mock.script = stream(running_total(2), stop(usage=final), ends=False)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        gateway.chat(stream=True)
    assert counts(gateway.row) == ("settled", 1965, 0, 3, 0)


@pytest.mark.parametrize("completion", [7, 387])
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_a05_reasoning_beside_or_within_the_completion(
    gateway, mock, upstreams_file, completion, is_stream
):
    upstreams_file(f"default_api: xai\napis:\n  xai: {{base_url: {mock.url}/v1, api_key: k}}\n")
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": completion,
        "total_tokens": 399,
        "completion_tokens_details": {"reasoning_tokens": 380},
    }
    last = chunk({"id": "c", "model": "grok-4", "choices": [], "usage": usage})
    mock.script = stream(content("Hi"), last, DONE) if is_stream else reply(chat(usage=usage))

    gateway.chat("grok-4", stream=is_stream)

    assert counts(gateway.row) == ("settled", 12, 0, 387, 380)
    assert (gateway.row.provider, gateway.row.upstream) == ("xai", "xai")


RESPONSE_USAGE = {
    "input_tokens": 900,
    "input_tokens_details": {"cached_tokens": 512, "cache_write_tokens": 0},
    "output_tokens": 256,
    "output_tokens_details": {"reasoning_tokens": 192},
    "total_tokens": 1156,
}


def response_stream(final: str, usage, **members) -> list[bytes]:
    base = {"id": "resp_1", "object": "response", "model": "gpt-5-mini"}
    return [
        event("response.created", {"response": {**base, "status": "in_progress", "usage": None}}),
        event("response.output_text.delta", {"delta": "some text"}),
        event(final, {"response": {**base, "usage": usage, **members}}),
    ]


@pytest.mark.parametrize(
    ("final", "members", "error"),
    [
        ("response.completed", {"status": "completed"}, None),
        (
            "response.incomplete",
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            None,
        ),
        (
            "response.failed",
            {"status": "failed", "error": {"code": "server_error", "message": "x"}},
            "server_error",
        ),
    ],
)
def test_a06_a_responses_stream_ends_in_one_of_three_events(gateway, mock, final, members, error):
    pieces = response_stream(final, RESPONSE_USAGE, **members)
    mock.script = stream(*pieces)

    answer = gateway.post("/v1/responses", {"model": "gpt-5-mini", "input": "x", "stream": True})

    assert answer.content == b"".join(pieces)
    assert counts(gateway.row) == ("settled", 388, 512, 256, 192)
    # 388 * 0.25 + 512 * 0.025 + 256 * 2, per million
    assert gateway.row.cost == Decimal("0.0006218")
    assert gateway.row.error == error


def test_a06_a_failed_response_without_usage_costs_nothing(gateway, mock):
    error = {"code": "server_error", "message": "x"}
    mock.script = stream(*response_stream("response.failed", None, status="failed", error=error))
    gateway.post("/v1/responses", {"model": "gpt-5-mini", "input": "x", "stream": True})
    assert counts(gateway.row)[0] == "failed"
    assert (gateway.row.cost, gateway.row.error) == (0, "server_error")


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_a06_a_response_fails_also_without_a_reason(gateway, mock, is_stream):
    mock.script = reply({"id": "resp_1", "status": "failed", "error": None})
    if is_stream:
        mock.script = stream(event("response.failed", {"response": {"id": "resp_1"}}))
    gateway.post("/v1/responses", {"model": "gpt-5-mini", "input": "x", "stream": is_stream})
    assert counts(gateway.row)[0] == "failed"
    assert (gateway.row.cost, gateway.row.error) == (0, "response_failed")


def embedding(body: dict) -> bytes:
    return json.dumps(body).encode()


BASE64 = "QUJD" * 750_000  # 3 MB


@pytest.mark.parametrize(
    "answer",
    [
        {"object": "list", "data": [{"embedding": BASE64}], "model": "text-embedding-3-small"}
        | {"usage": {"prompt_tokens": 9, "total_tokens": 9}},
        {"usage": {"prompt_tokens": 9, "total_tokens": 9}, "object": "list"}
        | {"model": "text-embedding-3-small", "data": [{"embedding": BASE64}]},
    ],
    ids=["last", "first"],
)
def test_a10_usage_of_embeddings_stands_anywhere(gateway, mock, answer):
    mock.script = reply(embedding(answer))
    body = {"model": "text-embedding-3-small", "input": "text", "encoding_format": "base64"}

    got = gateway.post("/v1/embeddings", body)

    assert got.content == embedding(answer)
    assert mock.requests[0].json == body
    assert counts(gateway.row) == ("settled", 9, 0, 0, 0)
    assert gateway.row.cost == Decimal("0.00000018")


def test_a10_token_numbers_are_counted_not_their_digits(gateway, mock):
    mock.script = reply({"object": "list", "data": [], "model": "text-embedding-3-small"})
    body = {"model": "text-embedding-3-small", "input": [[1212, 318], [257, 1332]]}
    gateway.post("/v1/embeddings", body)
    assert counts(gateway.row) == ("estimated", 4, 0, 0, 0)


IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 40, "image_tokens": 10},
    "output_tokens": 4160,
    "total_tokens": 4210,
}


def assert_image_row(gateway):
    row = gateway.row
    assert counts(row) == ("settled", 50, 0, 4160, 0)
    assert (row.image_input_tokens, row.image_output_tokens) == (10, 4160)
    assert (row.cost, row.cost_source) == (None, "unpriced")


def test_a11_images(gateway, mock):
    mock.script = reply(
        {"created": 1, "data": [{"b64_json": "A" * 2_000_000}]} | {"usage": IMAGE_USAGE}
    )
    gateway.post("/v1/images/generations", {"model": "gpt-image-1", "prompt": "a cat"})
    assert_image_row(gateway)


IMAGE_USAGES = {
    "no details": {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210},
    "details are null": {**IMAGE_USAGE, "output_tokens_details": None},
    "cached": {
        **IMAGE_USAGE,
        "input_tokens_details": {"text_tokens": 40, "image_tokens": 10, "cached_tokens": 0},
    },
    "of chats": {"prompt_tokens": 50, "completion_tokens": 4160, "total_tokens": 4210},
}


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", IMAGE_USAGES)
def test_a11_pictures_have_no_price_of_text_however_they_are_counted(
    gateway, mock, name, is_stream
):
    custom_prices.save(
        CustomPrice(provider="openai", model="gpt-image-1", prices={"input": 5, "output": 10}),
        origin=audit.of_command("setprice"),
    )
    answer = {"created": 1, "data": [{"b64_json": "A"}], "usage": IMAGE_USAGES[name]}
    mock.script = reply(answer)
    if is_stream:
        mock.script = stream(event("image_generation.completed", answer))
    body = {"model": "gpt-image-1", "prompt": "a cat", "stream": is_stream}
    gateway.post("/v1/images/generations", body)
    row = gateway.row
    assert counts(row) == ("settled", 50, 0, 4160, 0)
    assert (row.image_output_tokens, row.cost_source) == (4160, "unpriced")


def test_a11_a_total_alone_does_not_say_what_was_the_picture(gateway, mock):
    mock.script = reply({"data": [{"b64_json": "A"}], "usage": {"total_tokens": 4210}})
    gateway.post("/v1/images/generations", {"model": "gpt-image-1", "prompt": "a cat"})
    assert counts(gateway.row)[0] == "unknown"


def test_a11_streamed_images_arrive_as_they_are_made(gateway, mock):
    partial = [
        event(
            "image_generation.partial_image",
            {"b64_json": "A" * 1_500_000, "partial_image_index": n},
        )
        for n in range(2)
    ]
    final = event("image_generation.completed", {"b64_json": "B" * 10, "usage": IMAGE_USAGE})
    mock.script = stream(*partial, final, pauses={1: 0.5})
    body = {"model": "gpt-image-1", "prompt": "a cat", "stream": True, "partial_images": 2}

    answer = gateway.post("/v1/images/generations", body, stream=True)

    got = b""
    while len(got) < len(partial[0]):
        got += answer.raw.read1(65536)
    assert got == partial[0]  # while the upstream still pauses before the second
    assert got + answer.raw.read() == b"".join(partial) + final
    assert_image_row(gateway)


def test_a11_edits_are_forms(gateway, mock):
    mock.script = reply({"created": 1, "data": []} | {"usage": IMAGE_USAGE})
    files = {"image": ("cat.png", b"\x89PNG" * 1000, "image/png")}
    gateway.post("/v1/images/edits", files=files, data={"model": "gpt-image-1", "prompt": "a hat"})
    assert_image_row(gateway)
    assert gateway.row.requested_model == "gpt-image-1"
    assert mock.requests[0].body.count(b"\x89PNG") == 1000


def transcribe(gateway, model="whisper-1", **fields):
    files = {"file": ("speech.mp3", b"ID3" * 5000, "audio/mpeg")}
    return gateway.post("/v1/audio/transcriptions", files=files, data={"model": model, **fields})


@pytest.mark.parametrize("format", ["json", "verbose_json"])
def test_a12_audio_by_the_second(gateway, mock, format):
    body = {"text": "hello", "usage": {"type": "duration", "seconds": 11}}
    mock.script = reply(body)
    assert transcribe(gateway, response_format=format).json() == body
    row = gateway.row
    assert counts(row) == ("settled", 0, 0, 0, 0)
    assert row.units_and_modifiers["units"] == {"audio_seconds": 11}
    assert row.cost_source == "unpriced"


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_a12_speech_has_no_price_of_text(gateway, mock, is_stream):
    """Its events state the output, and not that all of it is sound."""
    custom_prices.save(
        CustomPrice(provider="openai", model="gpt-4o-mini-tts", prices={"input": 1, "output": 2}),
        origin=audit.of_command("setprice"),
    )
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    mock.script = reply({"audio": "UklGRg", "usage": usage})
    if is_stream:
        mock.script = stream(
            event("speech.audio.delta", {"audio": "UklGRg"}),
            event("speech.audio.done", {"usage": usage}),
        )
    body = {"model": "gpt-4o-mini-tts", "input": "Hello", "voice": "alloy", "stream_format": "sse"}
    gateway.post("/v1/audio/speech", body)
    row = gateway.row
    assert counts(row) == ("settled", 14, 0, 101, 0)
    assert (row.audio_output_tokens, row.cost_source) == (101, "unpriced")


def test_a12_audio_without_usage_is_unknown(gateway, mock):
    mock.script = reply(b"hello", Content_Type="text/plain; charset=utf-8")
    answer = transcribe(gateway, response_format="text")
    assert (answer.content, answer.headers["Content-Type"]) == (
        b"hello",
        "text/plain; charset=utf-8",
    )
    assert gateway.row.usage_status == "unknown"
    assert gateway.row.requested_model == "whisper-1"


@pytest.mark.parametrize("duration", [10.97, "10.97"], ids=repr)
def test_a12_audio_whose_length_is_stated_is_estimated(gateway, mock, duration):
    """As many servers write verbose JSON, which state no usage."""
    body = {"task": "transcribe", "duration": duration, "text": "hello", "segments": []}
    mock.script = reply(body)
    assert transcribe(gateway, response_format="verbose_json").json() == body
    assert counts(gateway.row) == ("estimated", 0, 0, 0, 0)
    assert gateway.row.units_and_modifiers["units"] == {"audio_seconds": 10.97}
    assert (gateway.row.cost, gateway.row.cost_source) == (None, "unpriced")


def test_a_count_of_nothing_is_the_upstreams_own(gateway, mock):
    mock.script = reply(chat(0, 0))
    gateway.chat()
    assert counts(gateway.row) == ("settled", 0, 0, 0, 0)
    assert gateway.row.cost == 0


def test_a12_the_duration_of_a_chat_is_no_length_of_audio(gateway, mock):
    mock.script = reply({**chat(), "usage": None, "duration": 7})
    assert gateway.chat().status_code == 200
    assert (gateway.row.usage_status, gateway.row.output_tokens) == ("estimated", 2)
    assert gateway.row.units_and_modifiers is None
    assert gateway.row.cost > 0


SUBTITLES = {
    "srt": b"1\n00:00:00,000 --> 00:00:03,840\nhello\n\n2\n00:00:03,840 --> 01:02:03,500\nthere\n",
    "crlf": b"1\r\n00:00:00,000 --> 00:59:59,999\r\nhello\r\n\r\n"
    b"2\r\n00:59:59,999 --> 01:02:03,500\r\nthere\r\n",
    "vtt": b"WEBVTT\n\n01:00.000 --> 02:00.000\nhello\n\n"
    b"00:02:00.000 --> 01:02:03.500 align:start\n--> 99:00:00.000\n",
}


@pytest.mark.parametrize("form", SUBTITLES)
def test_a12_audio_is_as_long_as_its_subtitles(gateway, mock, form):
    """An hour, two minutes and 3.5 seconds."""
    mock.script = reply(SUBTITLES[form], Content_Type="text/plain; charset=utf-8")
    assert transcribe(gateway, response_format=form[:3]).content == SUBTITLES[form]
    assert counts(gateway.row) == ("estimated", 0, 0, 0, 0)
    assert gateway.row.units_and_modifiers["units"] == {"audio_seconds": 3723.5}


@pytest.mark.parametrize("kind", ["application/x-subrip", "text/vtt; charset=utf-8", "text/srt"])
def test_a12_subtitles_are_read_under_their_own_type(gateway, mock, kind):
    mock.script = reply(SUBTITLES["srt"], Content_Type=kind)
    answer = transcribe(gateway, response_format="srt")
    assert (answer.content, answer.headers["Content-Type"]) == (SUBTITLES["srt"], kind)
    assert gateway.row.usage_status == "estimated"
    assert gateway.row.units_and_modifiers["units"] == {"audio_seconds": 3723.5}


@pytest.mark.parametrize("text", [b"", b"1\n00:00:00,000 --> 00:00:00,000\n", b"it said 1 --> 2"])
def test_a12_audio_without_times_is_unknown(gateway, mock, text):
    mock.script = reply(text, Content_Type="text/plain; charset=utf-8")
    transcribe(gateway, response_format="srt")
    assert gateway.row.usage_status == "unknown"


@pytest.mark.parametrize("duration", [0, -1, "x", "1e9", None, True, [1], 1e300], ids=repr)
def test_a12_audio_whose_length_is_none_is_unknown(gateway, mock, duration):
    mock.script = reply({"duration": duration, "text": "hello"})
    transcribe(gateway, response_format="verbose_json")
    assert gateway.row.usage_status == "unknown"


@pytest.mark.parametrize(
    "path",
    [
        *("audio/transcriptions", "audio/translations", "audio/speech"),
        *("images/generations", "images/edits", "images/variations"),
    ],
)
def test_a12_sound_and_pictures_that_a_json_body_names_are_unknown_too(gateway, mock, path):
    """Some servers fetch them themselves: what they cost is in no text."""
    mock.script = reply({"text": "hello there"})
    gateway.post(f"/v1/{path}", {"model": "whisper-1", "url": "https://x/a.wav"})
    assert (gateway.row.usage_status, gateway.row.cost) == ("unknown", None)


def test_work_that_only_begins_has_used_nothing_yet(gateway, mock, own_key):
    own_key()
    nothing = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    details = {"input_tokens_details": {"cached_tokens": 0}}
    batch = {"id": "batch_1", "object": "batch", "status": "validating"}
    mock.script = reply({**batch, "usage": nothing | details})
    gateway.post("/v1/batches", {"input_file_id": "file-1", "endpoint": "/v1/responses"})
    assert (gateway.row.usage_status, gateway.row.cost) == ("unknown", None)


def test_work_whose_stream_states_its_usage_is_settled(gateway, mock, own_key):
    own_key()
    run = {"id": "run_1", "object": "thread.run", "model": "gpt-4o-mini"}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    created = chunk({**run, "status": "queued", "usage": None})
    mock.script = stream(created, chunk({**run, "status": "completed", "usage": usage}), DONE)
    gateway.post("/v1/threads/thread_1/runs", {"assistant_id": "asst_1", "stream": True})
    assert counts(gateway.row) == ("settled", 100, 0, 20, 0)


def test_a12_streamed_audio_by_tokens(gateway, mock):
    usage = {
        "type": "tokens",
        "input_tokens": 26,
        "input_token_details": {"audio_tokens": 20, "text_tokens": 6},
        "output_tokens": 12,
        "total_tokens": 38,
    }
    pieces = [
        event("transcript.text.delta", {"delta": "hel"}),
        event("transcript.text.done", {"text": "hello", "usage": usage}),
    ]
    mock.script = stream(*pieces)
    answer = transcribe(gateway, "gpt-4o-transcribe", stream="true")
    assert answer.content == b"".join(pieces)
    assert counts(gateway.row) == ("settled", 26, 0, 12, 0)
    assert gateway.row.audio_input_tokens == 20
    assert gateway.row.cost_source == "unpriced"


def test_a13_a_background_answer_is_settled_once_by_its_polls(gateway, mock, own_key):
    own_key()
    usage = {"input_tokens": 500, "output_tokens": 60, "total_tokens": 560}
    base = {"id": "resp_1", "object": "response", "model": "gpt-5-mini", "usage": None}
    completed = {**base, "status": "completed", "usage": usage}
    final = event("response.completed", {"response": completed})
    mock.script = in_turn(
        reply({**base, "status": "queued"}),
        reply({**base, "status": "queued"}),
        reply({**base, "status": "in_progress"}),
        reply(completed),
        reply(completed),
        stream(final),
    )
    body = {"model": "gpt-5-mini", "input": "x", "background": True}

    assert gateway.post("/v1/responses", body).json()["status"] == "queued"
    states = [gateway.get("/v1/responses/resp_1").json()["status"] for _ in range(3)]
    other = gateway.issue()[1]
    assert gateway.get("/v1/responses/resp_1", token=other).json() == completed
    path = "/v1/responses/resp_1?stream=true&starting_after=5"
    assert gateway.get(path).content == final

    assert states == ["queued", "in_progress", "completed"]
    assert counts(gateway.row) == ("settled", 500, 0, 60, 0)


def test_a13_a_background_stream_that_broke_off_is_settled_by_its_poll(gateway, mock, own_key):
    own_key()
    answer = {"id": "resp_1", "object": "response", "model": "gpt-5-mini", "usage": None}
    created = event("response.created", {"response": {**answer, "status": "queued"}})
    usage = {"input_tokens": 500, "output_tokens": 60, "total_tokens": 560}
    completed = {**answer, "status": "completed", "usage": usage}
    mock.script = in_turn(stream(created, ends=False), reply(completed))
    body = {"model": "gpt-5-mini", "input": "x", "background": True, "stream": True}

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        gateway.post("/v1/responses", body)
    assert gateway.rows == []
    assert gateway.get("/v1/responses/resp_1").json() == completed

    assert counts(gateway.row) == ("settled", 500, 0, 60, 0)


def test_a13_a_background_answer_that_nobody_polls_is_unknown(gateway, mock, own_key):
    own_key()
    queued = {"id": "resp_1", "object": "response", "model": "gpt-5-mini", "status": "queued"}
    mock.script = reply({**queued, "usage": None})
    gateway.post("/v1/responses", {"model": "gpt-5-mini", "input": "x", "background": True})
    seconds = 0
    worker = WorkerThread(lambda: seconds)

    worker.sweep()
    Call.objects.update(started_at=timezone.now() - timedelta(hours=25))
    seconds = 59
    worker.sweep()
    assert gateway.rows == []  # it looks once a minute
    seconds = 60
    worker.sweep()

    assert (gateway.row.usage_status, gateway.row.error) == ("unknown", "not_polled")
