"""What all replies share: errors, headers, CORS, limits (docs/http-contract.md)."""

import re
from contextlib import closing

import pytest

from tests.usage.calls import BOTH_WAYS, CALL

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def test_unknown_path_is_not_found_in_json(anonymous):
    assert anonymous.get("/api/v1/no/such/path").content == b'{"detail":"Not Found"}'


def test_a_reply_without_content_states_no_length(api, settings):
    """RFC 9110, section 8.6."""
    settings.MANAGEMENT_TOKEN = "a management token of thirty-two letters"
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {settings.MANAGEMENT_TOKEN}", "HTTP_X_API_KEY": ""}
    project = api.send("POST", "/manage/projects", {"name": "p"}, expect=201, **bearer)
    response = api.delete(f"/manage/projects/{project['id']}", **bearer)
    assert (response.status_code, response.content) == (204, b"")
    assert not response.has_header("Content-Length")


def test_wrong_method_says_which_are_allowed(api):
    response = api.post("/api/v1/stats")
    assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
    assert "GET" in response["Allow"]


@BOTH_WAYS
def test_every_reply_has_a_request_id_and_security_headers(api):
    for _ in range(2):
        response = api.generic("POST", "/api/v1/log", "{", content_type="application/json")
        assert re.fullmatch("[0-9a-f]{24}", response["X-Request-ID"])
        assert {name: response[name] for name in SECURITY} == SECURITY


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/registry", "/login", "/x"])
def test_pages_and_documents_have_the_same_security_headers(anonymous, path):
    response = anonymous.get(path)
    assert {name: response[name] for name in SECURITY} == SECURITY


@BOTH_WAYS
def test_no_cache_may_keep_what_a_key_got(api):
    for path in ("/api/v1/logs", "/api/v1/stats", "/api/v1/keys", "/api/v1/receipts/x", "/nothing"):
        assert api.get(path).headers["Cache-Control"] == "no-store", path
    assert api.get("/api/v1/aliases").headers["Cache-Control"] == "private, no-cache"


@BOTH_WAYS
def test_clients_request_id_is_kept_if_presentable(api):
    api.send("POST", "/api/v1/log", CALL)
    for stated, kept in [("trace-7:a/b", True), ("a b", False), ("x" * 129, False), ("ü", False)]:
        response = api.post("/api/v1/log", CALL, "application/json", HTTP_X_REQUEST_ID=stated)
        assert (response["X-Request-ID"] == stated) == kept


@pytest.mark.parametrize("path", ["/health", "/manage/projects", "/manage/nothing"])
def test_a_correlation_id_comes_back_if_presentable(api, path):
    """As llm-proxy's management and health routes return it, whatever their status."""
    for stated, kept in [("trace-7:a/b", True), ("a b", False), ("x" * 129, False), ("", False)]:
        response = api.get(path, HTTP_X_CORRELATION_ID=stated)
        assert (response.headers.get("X-Correlation-ID") == stated) == kept
    assert "X-Correlation-ID" not in api.get(path).headers


@pytest.mark.parametrize("path", ["/manage", "/manage/projects", "/manage/nowhere"])
def test_pages_of_other_sites_cannot_guess_the_management_token(anonymous, path):
    """Ten wrong tokens lock out an address, which would be that of the page's visitors."""
    anonymous.defaults["HTTP_ORIGIN"] = "https://app.test"
    preflight = anonymous.options(path, HTTP_ACCESS_CONTROL_REQUEST_METHOD="GET")
    for reply in (preflight, anonymous.get(path)):
        assert not [name for name in reply.headers if name.startswith("Access-Control-")]
    assert anonymous.get("/managed")["Access-Control-Allow-Origin"] == "*"


def test_browsers_of_any_origin_may_call_and_read_our_headers(api):
    response = api.options(
        "/api/v1/conversations",
        HTTP_ORIGIN="https://app.test",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="PATCH",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="x-api-key,content-type",
    )
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert {name: response[name] for name in SECURITY} == SECURITY
    assert response["Access-Control-Allow-Origin"] == "*"
    assert "PATCH" in response["Access-Control-Allow-Methods"]
    assert "x-api-key" in response["Access-Control-Allow-Headers"].lower()
    exposed = api.get("/health", HTTP_ORIGIN="https://app.test")["Access-Control-Expose-Headers"]
    assert {"ETag", "X-RateLimit-Limit", "X-Request-ID"} <= set(exposed.split(", "))


@pytest.mark.parametrize("path", ["/health", "/registry", "/docs", "/static/core/lists.css", "/x"])
def test_other_origins_read_nothing_where_some_are_named(anonymous, settings, path):
    settings.CORS_ALLOW_ALL_ORIGINS = False
    settings.CORS_ALLOWED_ORIGINS = ["https://app.test"]
    for origin, allowed in [("https://app.test", "https://app.test"), ("https://evil.test", None)]:
        with closing(anonymous.get(path, HTTP_ORIGIN=origin)) as response:
            assert response.headers.get("Access-Control-Allow-Origin") == allowed


def test_body_over_the_limit_is_refused(api, settings):
    settings.MAX_BODY_BYTES = 2000
    reply = api.send("POST", "/api/v1/log", {**CALL, "origin": "o" * 3000}, expect=413)
    assert reply == {"detail": "The body is larger than 2000 bytes"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_documentation_is_served_with_and_without_a_slash(anonymous, db_all, path):
    for spelling in (path, f"{path}/"):
        assert anonymous.get(spelling).status_code == 200
        response = anonymous.options(spelling)
        assert (response.status_code, response["Allow"]) == (200, "GET, HEAD, OPTIONS")
        assert anonymous.post(spelling).status_code == 405


@pytest.mark.parametrize(
    "path", ["/", "/health", "/live", "/ready", "/docs", "/redoc", "/openapi.json"]
)
def test_public_routes_need_no_key_and_refuse_none(anonymous, path):
    assert anonymous.get(path).status_code == 200
    assert anonymous.get(path, HTTP_X_API_KEY="not a key").status_code == 200


def test_documentation_loads_nothing_from_other_hosts(anonymous):
    for path in ("/docs", "/redoc"):
        page = anonymous.get(path).content.decode()
        assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
        local = re.findall(r"""(?:src|href)=["'](/static/[^"']+)""", page)
        assert local
        for asset in local:
            with closing(anonymous.get(asset)) as response:
                assert response.status_code == 200


def test_service_describes_itself(anonymous):
    body = anonymous.read("/")
    assert body.keys() == {
        "name",
        "service",
        "version",
        "status",
        "timestamp",
        "docs",
        "registry",
        "endpoints",
    }
    assert (body["name"], body["status"]) == ("LLMRing Server", "operational")
    assert body["timestamp"].endswith("Z")
