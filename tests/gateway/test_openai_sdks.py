"""OpenAI's own SDKs against the gateway: they see what they would see of OpenAI.

Each is set up by `OPENAI_BASE_URL` and `OPENAI_API_KEY` alone.
"""

import base64
import struct

import pytest

from accounts.models import Allowance
from gateway.models import Token
from tests.gateway.conftest import counts
from tests.gateway.peers.environment import run_story
from tests.gateway.test_client_cases import MODELS
from tests.gateway.upstream import (
    DONE,
    USAGE_CHUNK,
    by_path,
    chat,
    content,
    event,
    hang_up,
    in_turn,
    reply,
    stop,
    stream,
)

pytestmark = pytest.mark.peers


@pytest.fixture(params=["python", "node"])
def language(request):
    return request.param


@pytest.fixture
def sdk(gateway, language):
    """Tell a story of the SDK with the gateway's token."""

    def run(story: str, **arguments):
        return run_story(
            language,
            story,
            base_url=f"{gateway.url}/v1",
            token=arguments.pop("token", gateway.token),
            **arguments,
        )

    return run


CALL = {"id": "call_1", "type": "function", "function": {"name": "weather"}}
ARGUMENTS = ['{"city"', ': "Zür', 'ich"}']


def tool_call(arguments: str) -> dict:
    function = {"name": "weather", "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function}


def tool_chunk(**function) -> bytes:
    call = {"index": 0, "function": function}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
    return content("", choices=[choice])


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5-mini",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    | {"input_tokens_details": {"cached_tokens": 4}},
}
RESPONSE_EVENTS = [
    event("response.created", {"response": {**RESPONSE, "status": "in_progress", "usage": None}}),
    event("response.output_text.delta", {"delta": "Hello", "item_id": "msg_1"}),
    event("response.completed", {"response": RESPONSE}),
]
EMBEDDING = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [
        {
            "object": "embedding",
            "index": 0,
            "embedding": base64.b64encode(struct.pack("<3f", 0.5, -1.25, 3)).decode(),
        }
    ],
    "usage": {"prompt_tokens": 9, "total_tokens": 9},
}
IMAGE = {
    "created": 1,
    "data": [{"b64_json": "QUJD"}],
    "usage": {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210}
    | {"input_tokens_details": {"text_tokens": 50, "image_tokens": 0}},
}
MODERATION = {"id": "modr-1", "model": "omni-moderation-latest", "results": [{"flagged": True}]}
CHATS = "POST /v1/chat/completions"
STORIES = {
    "chat": (CHATS, reply(chat()), ["Hello", 15, "gpt-4o-mini-2024-07-18"]),
    "stream": (
        CHATS,
        stream(content("Hel"), content("lo"), stop(), USAGE_CHUNK, DONE),
        "Hello",
    ),
    "stream_with_usage": (
        CHATS,
        stream(content("Hello"), stop(), USAGE_CHUNK, DONE),
        [3, 0, 1200, 340],
    ),
    "tools": (
        CHATS,
        reply(
            chat(
                choices=[
                    {
                        "index": 0,
                        "finish_reason": "tool_calls",
                        "message": {
                            "role": "assistant",
                            "content": None,
                            "tool_calls": [tool_call("".join(ARGUMENTS))],
                        },
                    }
                ]
            )
        ),
        ["weather", {"city": "Zürich"}],
    ),
    "streamed_tools": (
        CHATS,
        stream(
            tool_chunk(name="weather", arguments=""),
            *[tool_chunk(arguments=part) for part in ARGUMENTS],
            stop(),
            USAGE_CHUNK,
            DONE,
        ),
        ["weather", {"city": "Zürich"}],
    ),
    "responses": ("POST /v1/responses", reply(RESPONSE), ["Hello", "completed", 3]),
    "streamed_responses": (
        "POST /v1/responses",
        stream(*RESPONSE_EVENTS),
        [["response.created", "response.output_text.delta", "response.completed"], 9],
    ),
    "embeddings": ("POST /v1/embeddings", reply(EMBEDDING), [[0.5, -1.25, 3], 9]),
    "transcription": (
        "POST /v1/audio/transcriptions",
        reply({"text": "hello", "usage": {"type": "duration", "seconds": 11}}),
        "hello",
    ),
    "speech": (
        "POST /v1/audio/speech",
        reply(bytes(range(256)), Content_Type="audio/mpeg"),
        list(range(256)),
    ),
    "images": ("POST /v1/images/generations", reply(IMAGE), ["QUJD", 4160]),
    "moderations": ("POST /v1/moderations", reply(MODERATION), True),
}
ROWS = {
    "chat": ("settled", 10, 0, 5, 0),
    "stream": ("settled", 176, 1024, 340, 0),
    "stream_with_usage": ("settled", 176, 1024, 340, 0),
    "tools": ("settled", 10, 0, 5, 0),
    "streamed_tools": ("settled", 176, 1024, 340, 0),
    "responses": ("settled", 5, 4, 3, 0),
    "streamed_responses": ("settled", 5, 4, 3, 0),
    "embeddings": ("settled", 9, 0, 0, 0),
    "transcription": ("settled", 0, 0, 0, 0),
    "images": ("settled", 50, 0, 4160, 0),
}


@pytest.mark.parametrize("story", STORIES)
def test_an_sdk_sees_what_the_upstream_says(gateway, mock, sdk, story):
    path, script, expected = STORIES[story]
    mock.script = by_path({path: script})
    assert sdk(story) == expected
    assert len(mock.requests) == 1
    if story in ROWS:
        assert counts(gateway.row) == ROWS[story]
    elif story == "speech":
        assert gateway.row.usage_status == "unknown"  # the answer says nothing of usage
    else:
        assert gateway.rows == []  # moderations are free
    assert gateway.pending == 0


def test_embeddings_are_asked_for_as_base64(gateway, mock, sdk):
    """A10: the SDKs decode them, and the request arrives as they wrote it."""
    mock.script = reply(EMBEDDING)
    sdk("embeddings")
    assert mock.requests[0].json["encoding_format"] == "base64"


def test_models(gateway, mock, sdk):
    mock.script = by_path(
        {"GET /v1/models": reply(MODELS), "GET /v1/models/gpt-4o-mini": reply(MODELS["data"][1])}
    )
    assert sdk("models") == [["gpt-4o", "gpt-4o-mini", "whisper-1"], "gpt-4o-mini"]
    gateway.use(allowed_models=["gpt-4o-*"])
    assert sdk("models") == [["gpt-4o-mini"], "gpt-4o-mini"]
    assert gateway.rows == []


def test_files_of_a_project_with_a_key_of_its_own(gateway, mock, sdk, own_key):
    own_key()
    file = {"id": "file-1", "object": "file", "filename": "notes.txt", "purpose": "user_data"}
    mock.script = by_path(
        {
            "POST /v1/files": reply(file),
            "GET /v1/files": reply({"object": "list", "data": [file], "has_more": False}),
            "GET /v1/files/file-1/content": reply(
                "Grow 🌱".encode(), Content_Type="application/octet-stream"
            ),
            "DELETE /v1/files/file-1": reply({"id": "file-1", "object": "file", "deleted": True}),
        }
    )
    assert sdk("files") == ["file-1", ["file-1"], "Grow 🌱", True]
    assert "Grow 🌱".encode() in mock.requests[0].body
    assert gateway.rows == []


def openai_error(status: int, code: str, **headers):
    error = {"message": f"upstream says {code}", "type": "error", "param": None, "code": code}
    return reply({"error": error}, status, **headers)


def revoked(gateway, mock, settings):
    Token.objects.filter(id=gateway.token_row.id).revoke()
    return {}


def unknown_token(gateway, mock, settings):
    return {"token": "sk-" + "x" * 22}


def forbidden_model(gateway, mock, settings):
    gateway.use(allowed_models=["gpt-4o-*"])
    return {"model": "gpt-4o"}


def unknown_route(gateway, mock, settings):
    return {"path": "unknown"}


def bad_parameter(gateway, mock, settings):
    mock.script = openai_error(400, "unsupported_value")
    return {}


def used_up(gateway, mock, settings):
    gateway.use(max_requests=0)
    return {}


def too_large(gateway, mock, settings):
    settings.GATEWAY_MAX_BODY_BYTES = 1000
    return {"content": "x" * 2000}


def broken_upstream(gateway, mock, settings):
    mock.script = openai_error(500, "server_error")
    return {}


def upstream_away(gateway, mock, settings):
    mock.script = hang_up
    return {}


# What is tried, then class, status and code. 413 has no class of its own in either SDK.
ERRORS = {
    "revoked": (revoked, "AuthenticationError", 401, "token_inactive"),
    "unknown token": (unknown_token, "AuthenticationError", 401, "token_not_found"),
    "forbidden model": (forbidden_model, "PermissionDeniedError", 403, "model_not_allowed"),
    "unknown route": (unknown_route, "NotFoundError", 404, "endpoint_not_found"),
    "bad parameter": (bad_parameter, "BadRequestError", 400, "unsupported_value"),
    "used up": (used_up, "RateLimitError", 429, "rate_limit_exceeded"),
    "too large": (too_large, None, 413, "request_too_large"),
    "broken upstream": (broken_upstream, "InternalServerError", 500, "server_error"),
    "upstream away": (upstream_away, "InternalServerError", 502, "upstream_disconnected"),
}


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", ERRORS)
def test_d02_errors_are_of_their_class(gateway, mock, sdk, language, settings, name, is_stream):
    prepare, kind, status, code = ERRORS[name]
    seen = sdk("call", **prepare(gateway, mock, settings), is_stream=is_stream)
    general = {"python": "APIStatusError", "node": "APIError"}[language]
    assert (seen["class"], seen["status"], seen["code"]) == (kind or general, status, code)
    assert seen["message"] and seen["request_id"]
    assert gateway.pending == 0


def test_b04_a_broken_stream_raises(gateway, mock, sdk):
    mock.script = stream(content("Hel"), content("lo"), ends=False)
    seen = sdk("call", is_stream=True, retries=2)
    assert (seen["class"], seen["code"], seen["text"]) == (
        "APIError",
        "upstream_disconnected",
        "Hello",
    )
    assert len(mock.requests) == 1
    assert (gateway.row.usage_status, gateway.row.error) == ("estimated", "upstream_disconnected")


def attempts_of(sdk, **arguments) -> tuple[dict, list[float]]:
    """A call with two retries, and how long the SDK waits before each of them."""
    waits: list[float] = []
    on_wait = arguments.pop("on_wait", None)

    def waited(seconds: float) -> None:
        waits.append(seconds)
        if on_wait:
            on_wait()

    return sdk("call", retries=2, on_wait=waited, **arguments), waits


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"max_requests": 0}, "rate_limit_exceeded"), ({"budget_usd": 0}, "budget_exceeded")],
    ids=["a", "c"],
)
def test_d04_what_is_used_up_is_not_tried_again(gateway, mock, sdk, limits, code):
    gateway.use(**limits)
    seen, waits = attempts_of(sdk)
    assert (seen["class"], seen["code"], waits) == ("RateLimitError", code, [])
    assert mock.requests == [] and gateway.rows == []


def test_d04_b_the_next_minute_is_waited_for(gateway, mock, sdk):
    mock.script = reply(chat())
    gateway.use(requests_per_minute=0)
    own = Allowance.objects.filter(id=gateway.token_row.allowance_id)
    seen, waits = attempts_of(sdk, on_wait=lambda: own.update(requests_per_minute=10))
    assert seen == {"text": "Hello"}
    assert len(waits) == 1 and 1 <= waits[0] <= 61
    assert len(gateway.rows) == 1


def test_d04_d_a_free_place_is_waited_for(gateway, mock, sdk, settings):
    mock.script = reply(chat())
    settings.GATEWAY_CONCURRENCY = 0
    seen, waits = attempts_of(sdk, on_wait=lambda: setattr(settings, "GATEWAY_CONCURRENCY", 10))
    assert (seen, waits) == ({"text": "Hello"}, [1])
    assert len(gateway.rows) == 1


def test_d04_e_the_upstreams_own_wait_is_obeyed(gateway, mock, sdk):
    limited = openai_error(
        429,
        "rate_limit_exceeded",
        retry_after="3",
        retry_after_ms="2500",
        x_should_retry="true",
        x_ratelimit_reset_tokens="6m0s",
    )
    mock.script = in_turn(limited, reply(chat()))
    seen, waits = attempts_of(sdk)
    assert (seen, waits) == ({"text": "Hello"}, [2.5])
    # Each attempt of a client is a call of its own.
    assert [row.usage_status for row in gateway.rows] == ["failed", "settled"]


def test_c07_azures_client(gateway, mock, upstreams_file):
    upstreams_file(f"apis:\n  azure: {{base_url: {mock.url}, api_key: azure-key, auth: api-key}}\n")
    path = "/openai/deployments/gpt-4o-mini/chat/completions"
    mock.script = by_path(
        {f"POST {path}": reply(chat()), "POST /openai/responses": reply(RESPONSE)}
    )
    gateway.use(allowed_models=["gpt-4o-mini", "gpt-5-mini"])

    seen = run_story("python", "azure", base_url=f"{gateway.url}/v1", token=gateway.token)

    assert seen == ["Hello", "Hello", "model_not_allowed"]
    first, second = mock.requests
    assert first.target == f"{path}?api-version=2024-10-21"
    assert second.target == "/openai/responses?api-version=2024-10-21"
    for request in mock.requests:
        assert [value for name, value in request.headers if name == "api-key"] == ["azure-key"]
        assert gateway.token not in str(request.headers)
    assert [row.model for row in gateway.rows] == ["gpt-4o-mini-2024-07-18", "gpt-5-mini"]


def langchain(gateway, story: str, **arguments):
    options = {"base_url": f"{gateway.url}/v1", "token": gateway.token}
    return run_story("langchain", story, **options, **arguments)


@pytest.mark.parametrize("states_usage", [True, False])
def test_a10_langchain_embeds_numbers_of_tokens(gateway, mock, states_usage):
    two = [{**EMBEDDING["data"][0], "index": n} for n in range(2)]
    answer = {**EMBEDDING, "data": two}
    mock.script = reply(answer if states_usage else {**answer, "usage": None})

    assert langchain(gateway, "embeddings") == [[0.5, -1.25, 3]] * 2

    assert mock.requests[0].json["input"] == [list(b"Hi!"), list("Grüße".encode())]
    # 3 and 7 bytes, each a token of this encoding
    expected = ("settled", 9, 0, 0, 0) if states_usage else ("estimated", 10, 0, 0, 0)
    assert counts(gateway.row) == expected


@pytest.mark.parametrize(("asks", "usage"), [(True, [340]), (False, [])])
def test_a01_langchain_streams(gateway, mock, asks, usage):
    mock.script = stream(content("Hel"), content("lo"), stop(), USAGE_CHUNK, DONE)
    assert langchain(gateway, "stream", stream_usage=asks) == ["Hello", usage]
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)
