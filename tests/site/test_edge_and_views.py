"""A request has one reply, whether the edge or a view of Django makes it."""

import gzip
import json
from io import BytesIO

import pytest
from django.test.client import ClientHandler

from tests.client import ApiClient
from tests.exchanges import masked
from tests.usage.calls import CALL

LOG = "/api/v1/log"
BOMB = gzip.compress(b" " * 10_485_761)
REFUSED = "01890a5d-ac96-774b-bcce-b302099a8057"  # a key in the form of an id
CASES = {
    "log": ("POST", LOG, CALL, {}),
    "log with a slash": ("POST", f"{LOG}/", CALL, {}),
    "log from a page": ("POST", LOG, CALL, {"HTTP_ORIGIN": "http://localhost:5173"}),
    "log with a correlation id": ("POST", LOG, CALL, {"HTTP_X_CORRELATION_ID": "trace-7"}),
    "log of an unknown key": ("POST", LOG, CALL, {"HTTP_X_API_KEY": "llmr_pk_" + "0f" * 16}),
    "log of an unusable key": ("POST", LOG, CALL, {"HTTP_X_API_KEY": "a b"}),
    "log with a bearer token": (
        "POST",
        LOG,
        CALL,
        {"HTTP_X_API_KEY": "", "HTTP_AUTHORIZATION": "Bearer sk-1"},
    ),
    "invalid log": ("POST", LOG, {**CALL, "input_tokens": -1}, {}),
    "no JSON": ("POST", LOG, b"{", {}),
    "no UTF-8": ("POST", LOG, b"\xff", {}),
    "no body": ("POST", LOG, b"", {}),
    "a text": ("POST", LOG, b"{}", {"content_type": "text/plain"}),
    "long idempotency key": ("POST", LOG, CALL, {"HTTP_IDEMPOTENCY_KEY": "k" * 256}),
    "compressed": ("POST", LOG, gzip.compress(json.dumps(CALL).encode()), {"coding": "gzip"}),
    "badly compressed": ("POST", LOG, b"{}", {"coding": "gzip"}),
    "badly compressed, without a key": (
        "POST",
        LOG,
        b"{}",
        {"coding": "gzip", "HTTP_X_API_KEY": ""},
    ),
    "badly compressed, of a refused key": (
        "POST",
        LOG,
        b"{}",
        {"coding": "zstd", "HTTP_X_API_KEY": REFUSED},
    ),
    "large when decompressed": ("POST", LOG, BOMB, {"coding": "gzip"}),
    "large when decompressed, of a refused key": (
        "POST",
        LOG,
        BOMB,
        {"coding": "gzip", "HTTP_X_API_KEY": REFUSED},
    ),
    "unknown coding": ("POST", LOG, b"{}", {"coding": "br"}),
    "too large": ("POST", LOG, b" " * 10_485_761, {}),
    "too large, of an unknown key": (
        "POST",
        LOG,
        b" " * 10_485_761,
        {"HTTP_X_API_KEY": "llmr_pk_" + "0f" * 16},
    ),
    "unknown coding, of an unknown key": (
        "POST",
        LOG,
        b"{}",
        {"coding": "br", "HTTP_X_API_KEY": "llmr_pk_" + "0f" * 16},
    ),
    "too large where no body is read": (
        "GET",
        "/api/v1/stats",
        None,
        {"CONTENT_LENGTH": "99999999"},
    ),
    "no body of an unknown coding": ("POST", LOG, b"", {"coding": "br"}),
    "another registry": ("GET", "/registry", None, {"HTTP_IF_MATCH": '"x"'}),
    "logs": ("GET", "/api/v1/logs", None, {}),
    "logs of a bad query": ("GET", "/api/v1/logs?limit=x", None, {}),
    "query of many parameters": ("GET", "/api/v1/stats?" + "a&" * 1_000, None, {}),
    "stats over TLS": ("GET", "/api/v1/stats", None, {"HTTP_X_FORWARDED_PROTO": "https"}),
    "registry": ("GET", "/registry.json", None, {"HTTP_ORIGIN": "https://elsewhere.example"}),
    "foreign host": ("GET", "/api/v1/stats", None, {"SERVER_NAME": "evil.example"}),
    "no key": ("GET", "/api/v1/stats", None, {"HTTP_X_API_KEY": ""}),
    "verify": ("POST", "/api/v1/receipts/verify", {"receipt": {}}, {}),
    "verify much": ("POST", "/api/v1/receipts/verify", {"receipt": {"x": "x" * 4_194_304}}, {}),
    "no conversation": (
        "GET",
        f"/api/v1/conversations/{'0' * 8}-0000-0000-0000-{'0' * 12}",
        None,
        {},
    ),
    "new conversation": ("POST", "/conversations", {"title": "t"}, {}),
}


@pytest.fixture
def views(api):
    """The same caller's client of Django's views alone."""
    client = ApiClient(api.key)
    client.handler = ClientHandler(enforce_csrf_checks=False)
    return client


@pytest.fixture(autouse=True)
def _over_tls(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.ALLOWED_HOSTS = ["testserver"]


def exchange(client, method, path, body, extra):
    extra = dict(extra)
    extra.setdefault("content_type", "application/json")
    if "coding" in extra:
        extra["HTTP_CONTENT_ENCODING"] = extra.pop("coding")
    body = json.dumps(body) if isinstance(body, dict) else body or b""
    response = client.generic(method, path, body, **extra)
    headers = {name.lower(): value for name, value in response.headers.items()}
    assert len(headers.pop("x-request-id")) == 24
    return response.status_code, headers, masked(response.content.decode())


@pytest.mark.parametrize("name", CASES)
def test_both_reply_alike(api, views, name):
    by_view = exchange(views, *CASES[name])
    assert exchange(api, *CASES[name]) == by_view
    if "TLS" in name:
        assert by_view[1]["strict-transport-security"].startswith("max-age=31536000")
    assert "origin" in by_view[1]["vary"]


@pytest.mark.parametrize(
    ("framing", "status"), [({}, 200), ({"HTTP_TRANSFER_ENCODING": "chunked"}, 415)]
)
def test_only_a_body_has_a_coding(views, framing, status):
    """gunicorn says of every request that its body ends, also where it has none."""
    of_gunicorn = {"wsgi.input": BytesIO(), "wsgi.input_terminated": True, **framing}
    reply = views.get("/api/v1/stats", HTTP_CONTENT_ENCODING="br", **of_gunicorn)
    assert reply.status_code == status, reply.content


def test_refusals_can_be_read_by_pages(api):
    """A browser hides every reply that lacks the header, also one that says why."""
    page = {"HTTP_ORIGIN": "http://localhost:5173"}
    for path, body, status in (
        (LOG, b" " * 10_485_761, 413),
        ("/api/v1/log/batch", b" " * 10_485_761, 413),
        ("/api/v1/templates", b"{}", 415),
    ):
        coding = {"HTTP_CONTENT_ENCODING": "br"} if status == 415 else {}
        response = api.generic("POST", path, body, "application/json", **page, **coding)
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("body", [b"{}", BOMB], ids=["badly compressed", "large"])
@pytest.mark.parametrize(
    "path",
    ["/api/v1/log/batch", "/api/v1/templates", "/api/v1/auth/me", "/manage/projects", "/mcp"],
)
def test_who_may_not_send_a_body_is_refused_before_it_is_decoded(api, path, body):
    coding = {"HTTP_CONTENT_ENCODING": "gzip"}
    anonymous = api.generic("POST", path, body, "application/json", HTTP_X_API_KEY="", **coding)
    assert anonymous.status_code == 401


def test_badly_compressed_forms_are_refused(api):
    """By middleware: Django's own views would answer 500."""
    for path, status in (("/login", 400), ("/admin/login/", 400), ("/nowhere", 404)):
        response = api.generic(
            "POST", path, b"{}", "application/x-www-form-urlencoded", HTTP_CONTENT_ENCODING="gzip"
        )
        assert response.status_code == status
        assert "detail" in response.json()


@pytest.mark.parametrize("path", ["/api/v1/log/batch", "/api/v1/templates", "/mcp", "/health"])
def test_compressed_bodies_are_read_by_every_view(api, path):
    body = json.dumps({"name": "t", "logs": [CALL]}).encode()
    plain = api.generic("POST", path, body, "application/json")
    packed = api.generic(
        "POST", path, gzip.compress(body), "application/json", HTTP_CONTENT_ENCODING="gzip"
    )
    assert packed.status_code == plain.status_code
    assert masked(packed.content.decode()) == masked(plain.content.decode())
