"""What clients expect: lists, errors that SDKs can read, retries, browsers, upgrades."""

import re
import socket
import time
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
import requests
from django.db import OperationalError
from django.utils import timezone
from psycopg.errors import DataCorrupted, QueryCanceled

from accounts.models import Project
from core.errors import DatabaseUnavailable
from gateway import holders, metering, token_info, upstream_call
from gateway.models import Token
from gateway.worker import worker
from tests import openapi
from tests.gateway.calls import within_a_second
from tests.gateway.upstream import chat, hang_up, reply

MODELS = {
    "object": "list",
    "data": [
        {"id": name, "object": "model", "created": 1, "owned_by": "openai"}
        for name in ("gpt-4o", "gpt-4o-mini", "whisper-1")
    ],
}


def ids(answer) -> list[str]:
    return [model["id"] for model in answer.json()["data"]]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/", "/v1/models?limit=1000"])
def test_d01_models_are_those_that_the_token_may_use(gateway, mock, path):
    mock.script = reply(MODELS)
    assert gateway.get(path).json() == MODELS
    gateway.bind_alias("fast", "openai:gpt-4o-mini")
    gateway.bind_alias("deep", "openai:gpt-4o")
    gateway.use(allowed_models=["gpt-4o-*", "whisper-*"])
    within_a_second(lambda: ids(gateway.get(path)) == ["gpt-4o-mini", "whisper-1", "fast"])
    assert gateway.rows == []


def test_d01_one_model_and_head(gateway, mock):
    mock.script = reply(MODELS["data"][0])
    assert gateway.get("/v1/models/gpt-4o").json() == MODELS["data"][0]
    assert gateway.send("HEAD", "/v1/models").status_code == 200
    assert gateway.rows == []


def test_d01_one_model_is_shown_as_the_list_has_it(gateway, mock):
    mock.script = reply({"id": "upstream", "object": "model", "created": 1, "owned_by": "x"})
    gateway.bind_alias("fast", "openai:gpt-4o-mini")
    gateway.use(allowed_models=["gpt-4o-mini", "meta-llama/*"])
    alias = {"id": "fast", "object": "model", "created": 0, "owned_by": "alias"}
    within_a_second(lambda: gateway.get("/v1/models/fast").json() == alias)
    assert gateway.get("/v1/models/gpt-4o-mini").json()["id"] == "upstream"
    assert gateway.get("/v1/models/meta-llama/Llama-3.3-70B").status_code == 200
    assert mock.requests[-1].target == "/v1/models/meta-llama/Llama-3.3-70B"
    mock.requests.clear()
    hidden = gateway.get("/v1/models/gpt-4o")
    assert (hidden.status_code, hidden.json()["error"]["code"]) == (404, "model_not_found")
    assert gateway.send("HEAD", "/v1/models/gpt-4o").content == b""
    assert mock.requests == []


ROUTES = """
    /chat/completions /chat/completions/c/messages /completions /responses /responses/r
    /responses/r/cancel /responses/compact /responses/input_tokens /embeddings /moderations
    /images/generations /images/edits /images/variations /audio/speech /audio/transcriptions
    /audio/translations /models /models/m /models/org/m /files /files/f/content /uploads
    /uploads/u/parts /batches /batches/b/cancel /vector_stores/v/files /containers/c/files
    /conversations/c/items /fine_tuning/jobs /assistants /threads/t/runs /threads/runs
    /evals/e/runs /videos /videos/v/content /realtime /realtime/client_secrets /token
    /decisions /content_provenance_checks /audio/voices /audio/voice_consents/v /skills
    /skills/s/versions /agents /agents/sessions/s/events /vaults/v/credentials /chatkit/threads/t
    /chatkit/sessions /live/sessions /live/sessions/s/fork /nope /engines
    /organization/usage/completions
"""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{}, {"allowed_models": ["x"]}, {"budget_usd": 1}], ids=str)
def test_every_route_answers_every_method(gateway, mock, own_key, limits):
    """Row 20 of the contract's table: never a 500, errors as SDKs read them, an id on each."""
    own_key()
    mock.script = reply({"id": "x", "data": []})
    gateway.use(**limits)
    for path in ROUTES.split():
        for method in METHODS:
            answer = gateway.send(method, f"/v1{path}", None if method == "GET" else {"n": 1})
            status = answer.status_code
            assert status < 500 or status == 501, (method, path, answer.text)
            assert answer.headers["X-Request-ID"] and answer.headers["X-LLMRing-Request-ID"]
            if method == "OPTIONS":
                assert status == 204
                continue
            if method == "HEAD":
                assert answer.content == b""
            elif status >= 400:
                assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
            if status == 405:
                assert method not in answer.headers["Allow"]
    assert gateway.pending == 0


@pytest.mark.slow
def test_every_route_needs_a_token(gateway, mock):
    for path in ROUTES.split():
        for method in METHODS:
            answer = requests.request(method, f"{gateway.url}/v1{path}", timeout=10)
            assert answer.status_code == (204 if method == "OPTIONS" else 401), (method, path)
    assert mock.requests == []


def expired(gateway, mock):
    gateway.use(expires_at=timezone.now() - timedelta(minutes=1))


def revoked(gateway, mock):
    gateway.use()
    Token.objects.filter(id=gateway.token_row.id).revoke()


def archived(gateway, mock):
    project = Project.objects.create(name="old", archived_at=timezone.now())
    gateway.project = project
    gateway.use()


def forbidden_model(gateway, mock):
    gateway.use(allowed_models=["gpt-4o"])


def over_budget(gateway, mock):
    gateway.use(budget_usd=0)


def used_up(gateway, mock):
    gateway.use(max_requests=0)


def too_often(gateway, mock):
    gateway.use(requests_per_minute=0)


def away(gateway, mock):
    mock.script = hang_up


OWN_ERRORS = {
    "expired": (expired, 401, "token_expired", "authentication_error"),
    "revoked": (revoked, 401, "token_inactive", "authentication_error"),
    "archived": (archived, 403, "project_inactive", "permission_error"),
    "forbidden model": (forbidden_model, 403, "model_not_allowed", "permission_error"),
    # Waiting renews neither of the first two, which clients tell from the third by the type.
    "over budget": (over_budget, 429, "budget_exceeded", "insufficient_quota"),
    "used up": (used_up, 429, "rate_limit_exceeded", "insufficient_quota"),
    "too often": (too_often, 429, "rate_limit_exceeded", "rate_limit_error"),
    "upstream away": (away, 502, "upstream_disconnected", "api_error"),
}


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", OWN_ERRORS)
def test_d02_our_errors_have_openais_form(gateway, mock, name, is_stream):
    """Also for a stream that has not begun (D03): never a 200 without events."""
    prepare, status, code, kind = OWN_ERRORS[name]
    prepare(gateway, mock)
    answer = gateway.chat(stream=is_stream)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["type"]) == (code, kind)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-ID"]


def test_d02_a_bug_is_an_error_that_tells_nobody_what_it_was(gateway, monkeypatch, caplog):
    """What was sent may be billed."""

    async def send(*args, **options):
        raise RuntimeError("private")

    monkeypatch.setattr(upstream_call, "send", send)
    answer = gateway.chat()
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (
        500,
        "internal_error",
        "api_error",
    )
    assert "private" not in answer.text and "private" in caplog.text
    assert (gateway.row.usage_status, gateway.row.error) == ("unknown", "RuntimeError")
    assert gateway.pending == 0


def test_d02_unknown_routes_methods_and_large_bodies(gateway, mock, settings):
    settings.GATEWAY_MAX_BODY_BYTES = 1000
    unknown = gateway.post("/v1/modelsxyz", {})
    method = gateway.send("DELETE", "/v1/chat/completions")
    large = gateway.chat(messages=[{"role": "user", "content": "x" * 2000}])
    files = gateway.post("/v1/files", files={"file": ("a", b"x" * 2000)})
    codes = [
        (answer.status_code, answer.json()["error"]["code"])
        for answer in (unknown, method, large, files)
    ]
    assert codes == [
        (404, "endpoint_not_found"),
        (405, "method_not_allowed"),
        (413, "request_too_large"),
        (403, "shared_upstream_key"),
    ]
    assert method.headers["Allow"] == "GET, HEAD, POST"
    assert mock.requests == []


# SDKs append these to their base URL.
ASKED = ("POST /chat/completions", "POST /responses", "POST /embeddings", "GET /models")


@pytest.mark.parametrize("base", ["", "/api/v1", "/api"])
@pytest.mark.parametrize("asked", ASKED)
def test_d02_a_base_url_that_is_not_the_gateways_is_named(gateway, mock, base, asked):
    method, path = asked.split()
    answer = gateway.send(method, f"{base}{path}")
    assert answer.status_code == 404
    assert answer.text.startswith('{"detail":"Not Found","error":{')  # compact, as all replies
    assert answer.json()["error"] == {
        "message": f"Endpoint not found: {method} {base}{path}. "
        "The base URL of the gateway ends with /v1",
        "type": "not_found_error",
        "param": None,
        "code": "endpoint_not_found",
    }
    assert mock.requests == []


OF_OTHERS = (
    *("GET /v1beta/models", "POST /v1beta/models/gemini-2.5-flash:generateContent"),
    "POST /v1beta/openai/chat/completions",
    "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    *("POST /v1/models/gemini-2.5-flash:generateContent", "POST /v1/models/x:countTokens"),
    *("POST /v1/messages", "POST /v1/messages/count_tokens?beta=true", "GET /v1/messages/batches"),
)


@pytest.mark.parametrize("asked", OF_OTHERS)
def test_d02_clients_of_other_apis_are_told_what_is_spoken(gateway, mock, asked):
    method, path = asked.split()
    answer = gateway.send(method, path, headers={"x-goog-api-key": gateway.token})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == (
        f"Endpoint not found: {method} {path.partition('?')[0]}. "
        "The gateway speaks OpenAI's API alone, at /v1"
    )
    assert mock.requests == []


@pytest.mark.parametrize("path", ["/v1/v1/chat/completions", "/openai/v1/v1"])
def test_d02_an_unknown_endpoint_is_named(gateway, path):
    answer = gateway.post(path, {})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"Endpoint not found: POST {path}"


def test_d02_a_method_that_an_endpoint_lacks_is_named(gateway):
    """By which a whole address is seen that was given as the base URL."""
    path = "/v1/chat/completions/chat/completions"
    answer = gateway.post(path, {})
    assert answer.status_code == 405
    assert answer.json()["error"]["message"] == f"Method not allowed: POST {path}"


def test_d02_the_path_of_an_unknown_endpoint_is_not_repeated_at_length(gateway):
    message = gateway.post("/v1/" + "x" * 5000, {}).json()["error"]["message"]
    assert message == "Endpoint not found: POST /v1/" + "x" * 196
    token = "sk-" + "a" * 22
    assert token not in gateway.post(f"/chat/completions/{token}", {}).text


def test_d02_an_upload_over_the_limit_is_413(gateway, mock, own_key, settings):
    own_key()
    settings.GATEWAY_MAX_BODY_BYTES = 100_000
    mock.script = reply({"id": "file-1"})

    def pieces():
        for _ in range(50):
            yield b"x" * 10_000

    headers = {
        "Authorization": f"Bearer {gateway.token}",
        "Content-Type": "multipart/form-data; boundary=b",
    }
    answer = requests.post(gateway.url + "/v1/files", data=pieces(), headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_d02_more_calls_than_fit(gateway, mock, settings):
    settings.GATEWAY_CONCURRENCY = 0
    answer = gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "concurrency_limit")
    assert 1 <= int(answer.headers["Retry-After"]) <= 120
    assert "x-should-retry" not in answer.headers


def test_d04_the_upstreams_headers_arrive(gateway, mock):
    sent = {
        "Retry-After": "3",
        "retry-after-ms": "2500",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
        "x-should-retry": "true",
        "x-request-id": "req_upstream",
        "openai-processing-ms": "12",
    }
    headers = {name.replace("-", "_"): value for name, value in sent.items()}
    mock.script = reply({"error": {"message": "slow down"}}, 429, **headers)
    answer = gateway.chat(headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == 429
    assert {name: answer.headers[name] for name in sent} == sent
    assert answer.headers["x-llmring-request-id"] == "mine-1"
    assert mock.requests[0].header("X-Request-ID") == "mine-1"
    assert len(mock.requests) == 1


ASKED = (
    "authorization,content-type,x-api-key,anthropic-version,x-stainless-os,"
    "x-stainless-helper-method,x-never-seen-before"
)


@pytest.fixture
def allowed_origin(settings):
    settings.CORS_ALLOW_ALL_ORIGINS = False
    settings.CORS_ALLOWED_ORIGINS = ["https://app.test"]
    return "https://app.test"


def preflight(gateway, origin: str):
    return requests.options(
        gateway.url + "/v1/chat/completions",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": ASKED,
        },
        timeout=10,
    )


def test_d05_preflight(gateway, mock, allowed_origin):
    allowed, other = preflight(gateway, allowed_origin), preflight(gateway, "https://evil.test")
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (
        204,
        allowed_origin,
    )
    assert allowed.headers["Access-Control-Allow-Headers"] == ASKED
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
    assert not [name for name in other.headers if name.lower().startswith("access-control")]
    assert mock.requests == []


def test_d05_browsers_can_read_answers_and_every_error(gateway, mock, allowed_origin):
    mock.script = reply(
        chat(), Access_Control_Allow_Origin="*", x_ratelimit_limit_requests="9", request_id="r"
    )
    headers = {"Origin": allowed_origin}
    answers = [
        gateway.chat(headers=headers),
        gateway.chat(headers=headers, token="sk-" + "x" * 22),
    ]
    mock.script = hang_up
    answers.append(gateway.chat(headers=headers))
    assert [answer.status_code for answer in answers] == [200, 401, 502]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == allowed_origin
        exposed = answer.headers["Access-Control-Expose-Headers"]
        assert "x-request-id" in exposed
    exposed = answers[0].headers["Access-Control-Expose-Headers"]
    assert "x-ratelimit-limit-requests" in exposed and "request-id" in exposed
    denied = gateway.chat(headers={"Origin": "https://evil.test"})
    assert "Access-Control-Allow-Origin" not in denied.headers


def upgrade(gateway, path: str, token: str, *, size: int | None = None) -> tuple[bytes, float]:
    """The answer, or so many bytes of it, and the seconds that it took."""
    host, port = gateway.url.removeprefix("http://").split(":")
    began = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        got = sock.makefile("rb").read(size)
    return got, time.monotonic() - began


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime?model=gpt-realtime"])
def test_d07_a_websocket_is_refused_at_once(gateway, mock, path):
    gateway.get("/v1/token")  # the token is known
    got, seconds = upgrade(gateway, path, gateway.token)
    assert got.startswith(b"HTTP/1.1 426 ")
    assert b"websocket_not_supported" in got
    assert re.search(rb"(?i)connection: close", got)
    assert seconds < 0.3
    # That connection stays open.
    assert upgrade(gateway, path, "sk-" + "x" * 22, size=12)[0] == b"HTTP/1.1 401"
    assert mock.requests == [] and gateway.rows == []


CHATKIT = "/chatkit/sessions"  # whose secret lets a browser talk to the upstream


def test_d07_without_an_upgrade(gateway, mock):
    answer = gateway.get("/v1/responses")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    for path in ("/realtime/client_secrets", "/realtime/sessions", "/live/sessions", CHATKIT):
        assert gateway.post(f"/v1{path}", {}).status_code == 501
    assert mock.requests == []


def test_an_offer_of_http_2_is_passed_over(gateway, mock):
    """Java's client makes it with the first request of each connection."""
    mock.script = reply(chat(1000, 200))
    offer = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA",
    }
    assert gateway.chat(headers=offer).json()["usage"]["prompt_tokens"] == 1000
    [sent] = mock.requests
    assert not {"upgrade", "http2-settings"} & {name.lower() for name, _ in sent.headers}
    assert gateway.row.input_tokens == 1000


def test_a_holder_sees_what_is_left(gateway, mock):
    mock.script = reply(chat(1000, 200))
    gateway.use(max_requests=10, requests_per_minute=100, budget_usd="1", name="ci")
    gateway.chat()
    shown = gateway.get("/v1/token").json()
    assert (shown["name"], shown["request_count"], shown["spent_usd"]) == ("ci", 1, "0.00027")
    assert shown["remaining"] == {
        "requests": 9,
        "requests_this_minute": shown["remaining"]["requests_this_minute"],
        "budget_usd": "0.99973",
    }
    assert gateway.token not in str(shown)


@pytest.mark.parametrize("limits", [{}, {"max_requests": 1, "budget_usd": 1}], ids=str)
def test_what_a_holder_sees_is_documented(gateway, limits):
    """With a limit and without: `openapi.check` refuses a member more, or of another type."""
    reply = gateway.use(**limits).get("/v1/token")
    refused = gateway.get("/v1/token", token="sk-" + "A" * 22)
    for answer, status in (reply, 200), (refused, 401):
        assert answer.status_code == status
        openapi.check("GET", "/v1/token", answer)
    documented = openapi.operation("GET", "/v1/token")["responses"]["200"]["content"]
    [shown] = documented["application/json"]["examples"].values()
    assert reply.json().keys() == shown["value"].keys()


def test_a_holder_whose_token_is_deleted_meanwhile_is_told_so(gateway, monkeypatch):
    describe = token_info._describe

    def deleted_first(holder):
        Token.objects.filter(id=holder.token_id).delete()
        return describe(holder)

    monkeypatch.setattr(token_info, "_describe", deleted_first)
    answer = gateway.get("/v1/token")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_not_found")


def test_a_holder_sees_which_upstream_it_is_for(gateway):
    assert gateway.get("/v1/token").json()["upstream"] == ""
    assert gateway.use(upstream="openai").get("/v1/token").json()["upstream"] == "openai"


def test_labels_land_in_the_row_and_not_upstream(gateway, mock):
    mock.script = reply(chat())
    gateway.chat(
        headers={
            "X-LLMRing-Alias": "summarizer",
            "X-LLMRing-Profile": "dev",
            "X-LLMRing-Origin": "billing",
            "X-LLMRing-Metadata": '{"tags": ["a"]}',
        }
    )
    row = gateway.row
    assert (row.alias, row.profile, row.origin) == ("summarizer", "dev", "billing")
    assert row.metadata == {"tags": ["a"]}
    assert "llmring" not in str(mock.requests[0].headers).lower()
    bad = gateway.chat(headers={"X-LLMRing-Metadata": "[1]"})
    assert (bad.status_code, len(mock.requests)) == (400, 1)


def test_what_crosses_and_what_does_not(gateway, mock):
    mock.script = reply(
        chat(), Set_Cookie="a=b", Connection="keep-alive, X-Hop", X_Hop="1", OpenAI_Version="2020"
    )
    answer = gateway.chat(
        headers={
            "Cookie": "session=1",
            "X-Forwarded-For": "10.0.0.1",
            "X-Real-IP": "10.0.0.1",
            "Forwarded": "for=10.0.0.1",
            "OpenAI-Organization": "org-1",
            "User-Agent": "my-app/1.0",
            "OpenAI-Beta": "assistants=v2",
        }
    )
    [seen] = mock.requests
    names = {name.lower() for name, _ in seen.headers}
    assert not names & {"cookie", "x-forwarded-for", "x-real-ip", "forwarded", "via"}
    assert seen.header("OpenAI-Organization") == "org-1"
    assert seen.header("User-Agent") == "my-app/1.0"
    assert seen.header("OpenAI-Beta") == "assistants=v2"
    assert seen.header("Host") == mock.url.removeprefix("http://")
    assert answer.headers["OpenAI-Version"] == "2020"
    assert "Set-Cookie" not in answer.headers and "X-Hop" not in answer.headers


def test_c10_no_header_makes_another_request_of_a_free_one(gateway, mock):
    """Some servers would serve the stated address instead of the one that was checked."""
    stated = {
        "X-Original-URL": "/v1/chat/completions",
        "X-Original-URI": "/v1/chat/completions",
        "X-Rewrite-URL": "/v1/chat/completions",
        "X-HTTP-Method": "DELETE",
        "X-HTTP-Method-Override": "DELETE",
        "X-Method-Override": "DELETE",
    }
    mock.script = reply({"results": []})
    assert gateway.post("/v1/moderations", {"input": "x"}, headers=stated).status_code == 200
    sent = {name.lower() for name, _ in mock.requests[0].headers}
    assert not sent & {name.lower() for name in stated}


def test_a_breaker_opens_for_one_upstream_alone(gateway, mock, upstreams_file):
    upstreams_file(
        f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k}}\n"
        f"  other: {{base_url: {mock.url}/other/v1, api_key: k}}\n"
    )
    mock.script = reply(b"", 503)
    for _ in range(5):
        assert gateway.chat().status_code == 503
    mock.script = reply(chat())
    suspended = gateway.chat()
    assert suspended.json()["error"]["code"] == "upstream_suspended"
    assert 1 <= int(suspended.headers["Retry-After"]) <= 31
    assert gateway.chat("other:gpt-4o-mini").status_code == 200
    assert preflight(gateway, "https://app.test").status_code == 204
    assert len(gateway.rows) == 6  # the suspended call has none


ODD_LABELS = [
    {"X-LLMRing-Metadata": '{"a": "\\u0000"}'},
    {"X-LLMRing-Metadata": "{"},
    {"X-LLMRing-Metadata": '"text"'},
    {"X-LLMRing-Metadata": "[" * 5000},
    {"X-LLMRing-Alias": "a" * 129},
    {"X-LLMRing-Origin": "a" * 256},
]


@pytest.mark.parametrize("headers", ODD_LABELS, ids=lambda headers: str(headers)[:40])
def test_odd_labels_are_refused(gateway, mock, headers):
    assert gateway.chat(headers=headers).status_code == 400
    assert mock.requests == []


def test_odd_names_of_models_and_errors_still_have_a_row(gateway, mock):
    assert gateway.chat("gpt\x00").status_code == 400
    mock.script = reply(chat(model="gpt\x00-4o-mini" + "x" * 500, service_tier="t" * 100))
    assert gateway.chat("m" * 1000).status_code == 200
    mock.script = reply({"error": {"message": "no", "code": "a\x00b" + "c" * 500}})
    assert gateway.chat().status_code == 200
    first, second = gateway.rows
    assert (first.model[:4], len(first.model), first.usage_status) == ("gpt\ufffd", 255, "settled")
    assert second.error.startswith("a\ufffdbc")
    assert gateway.pending == 0


def store_by(monkeypatch, writer, store) -> None:
    """Have a group writer store by another function."""
    for queue in writer._queues.values():
        monkeypatch.setattr(queue, "_store", store)
    monkeypatch.setattr(writer, "_store", store)


@pytest.mark.parametrize(
    "failures",
    [[DatabaseUnavailable()], [DataCorrupted("invalid page"), DataCorrupted("invalid page")]],
    ids=["away", "damaged"],
)
def test_an_answer_is_given_though_the_database_fails(gateway, mock, monkeypatch, failures):
    """And its row is written as soon as it is back."""
    store, failures = metering._settlements._store, [*failures]

    async def flaky(execute, items):
        if failures:
            raise failures.pop()
        return await store(execute, items)

    monkeypatch.setattr(metering, "_RETRY_SECONDS", 0.05)
    store_by(monkeypatch, metering._settlements, flaky)
    mock.script = reply(chat())
    assert gateway.chat().json() == chat()
    within_a_second(lambda: len(gateway.rows) == 1)
    assert gateway.pending == 0


def test_a_call_whose_admission_is_not_answered_holds_no_budget(
    gateway, mock, monkeypatch, settings
):
    """Its connection is lost between the commit and the reply, each time."""
    store = metering._admissions._store

    async def unanswered(execute, items):
        await store(execute, items)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    gateway.use(budget_usd=1)
    with monkeypatch.context() as failing:
        store_by(failing, metering._admissions, unanswered)
        answer = gateway.chat(max_tokens=1000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
    # 1000 * 0.60 per million, and the prompt
    assert (gateway.pending, gateway.left < 1 - Decimal("0.0006")) == (1, True)

    worker.sweep()
    assert gateway.pending == 1  # its statement may still be waiting for a lock

    settings.STATEMENT_TIMEOUT_SECONDS = 0
    monkeypatch.setattr(metering, "_WITHDRAW_SECONDS", 0)
    assert gateway.chat().status_code == 200
    worker.sweep()
    assert (gateway.pending, gateway.left) == (0, 1 - gateway.row.cost)
    assert len(mock.requests) == 1


@pytest.mark.parametrize(
    ("cause", "code"),
    [(None, "database_unavailable"), (QueryCanceled("timeout"), "query_too_slow")],
    ids=["away", "slow"],
)
@pytest.mark.parametrize(
    ("method", "path", "module", "name"),
    [
        ("POST", "/v1/chat/completions", holders, "_look_up"),
        ("GET", "/v1/token", token_info, "_describe"),
    ],
    ids=["call", "token"],
)
def test_a_reply_that_needs_the_database_says_what_is_wrong_with_it(
    gateway, monkeypatch, cause, code, method, path, module, name
):
    def fail(*args):
        raise OperationalError from cause

    monkeypatch.setattr(module, name, fail)
    answer = gateway.use().send(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, code)
    assert "x-should-retry" not in answer.headers
