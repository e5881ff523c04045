"""A07: JSON is no shield against other sites."""

import json

import pytest

from accounts.attempts import PER_ADDRESS
from accounts.models import ApiKey, BrowserSession, User
from tests.client import ApiClient
from tests.people.conftest import PASSWORD, reset_token

EVIL = [
    {"HTTP_ORIGIN": "https://evil.test"},
    {"HTTP_ORIGIN": "null"},
    {"HTTP_ORIGIN": "http://sub.testserver"},
    {"HTTP_ORIGIN": "http://testserver.evil.test"},
    {"HTTP_ORIGIN": "https://testserver"},
    {"HTTP_ORIGIN": "", "HTTP_SEC_FETCH_SITE": "cross-site"},
]
KINDS = ["application/json", "", "text/plain", "application/x-www-form-urlencoded"]
SESSION_ROUTES = [
    "auth/regenerate-api-key",
    "auth/logout",
    "auth/logout-everywhere",
    "auth/change-password",
    "auth/change-email",
    "auth/send-verification",
    "auth/delete-account",
    "invitations/accept",
    "projects",
    "keys",
]


def from_elsewhere(client, path: str, body: dict, kind: str, headers: dict):
    return client.generic("POST", f"/api/v1/{path}", json.dumps(body), kind, **headers)


@pytest.mark.parametrize("headers", EVIL, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a07_other_sites_do_nothing_with_a_session(ana, headers, kind):
    ana.defaults["HTTP_X_PROJECT_ID"] = ana.account["project_id"]
    keys, sessions = ApiKey.objects.count(), BrowserSession.objects.count()
    for route in SESSION_ROUTES:
        response = from_elsewhere(ana, route, {"name": "x"}, kind, headers)
        assert response.status_code == 403, (route, response.content)
    assert ana.is_logged_in
    assert (ApiKey.objects.count(), BrowserSession.objects.count()) == (keys, sessions)


@pytest.mark.parametrize("headers", EVIL, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a07_other_sites_log_nobody_in(ana, browser, headers, kind):
    token = reset_token("ana@example.com")
    victim = browser()
    credentials = {"email": "ana@example.com", "password": PASSWORD}
    new = {"email": "new@example.com", "password": PASSWORD, "accept_terms": True}
    for route, body in {
        "login": credentials,
        "register": new,
        "cli/register": new,
        "password-reset": credentials,
        "password-reset/confirm": {"token": token, "password": "another long sentence"},
        "verify-email": {"token": token},
        "auth/change-email/confirm": {"token": token, "password": PASSWORD},
    }.items():
        assert from_elsewhere(victim, route, body, kind, headers).status_code == 403, route
    assert "sessionid" not in victim.cookies and User.objects.count() == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a07_other_sites_use_up_nobodys_attempts(ana, browser, method):
    """A picture's address is asked for by GET, which counted as an attempt of the address."""
    ben = browser()
    for route in ("register", "password-reset", "password-reset/confirm", "verify-email"):
        for _ in range(PER_ADDRESS + 1):
            assert ben.generic(method, f"/api/v1/{route}").status_code in (200, 405)
    ben.send("POST", "/api/v1/register", {"email": "ben@example.com", "password": PASSWORD})
    body = {"token": reset_token("ana@example.com"), "password": "another long sentence"}
    ben.send("POST", "/api/v1/password-reset/confirm", body)


def test_a07_without_any_sign_of_a_browser_a_session_needs_the_token(ana):
    del ana.defaults["HTTP_ORIGIN"]
    ana.send("POST", "/api/v1/auth/regenerate-api-key", expect=403)
    token = ana.cookies["csrftoken"].value
    ana.send("POST", "/api/v1/auth/regenerate-api-key", HTTP_X_CSRFTOKEN=token)
    referer = {"HTTP_REFERER": "https://evil.test/"}
    ana.send("POST", "/api/v1/auth/logout", **referer, expect=403)


def test_a07_over_https_a_session_without_origin_and_referer_is_refused(ana):
    del ana.defaults["HTTP_ORIGIN"]
    token = ana.cookies["csrftoken"].value
    response = ana.post("/api/v1/auth/logout", secure=True, HTTP_X_CSRFTOKEN=token)
    assert response.status_code == 403
    response = ana.post(
        "/api/v1/auth/logout",
        secure=True,
        HTTP_X_CSRFTOKEN=token,
        HTTP_REFERER="https://testserver/keys",
    )
    assert response.status_code == 200


def test_a07_programs_log_in_without_tokens(ana):
    program = ApiClient()
    program.handler.enforce_csrf_checks = True
    body = {"email": "ana@example.com", "password": PASSWORD}
    key = program.send("POST", "/api/v1/login", body)["api_key"]
    assert ApiClient(key).read("/api/v1/logs") == []


def test_a07_a_key_ignores_the_cookie(ana, ben):
    """It needs no token, and the cookie adds no rights to it."""
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    evil = {"HTTP_ORIGIN": "https://evil.test", "HTTP_X_PROJECT_ID": ana.account["project_id"]}
    ana.send("POST", "/api/v1/log", call, HTTP_X_API_KEY=ben.account["api_key"], **evil)
    ApiClient(ben.account["api_key"]).read("/api/v1/logs")[0]
    assert ApiClient(ana.account["api_key"]).read("/api/v1/logs") == []
    read_only = ana.send(
        "POST",
        "/api/v1/keys",
        {"scopes": ["read"]},
        HTTP_X_PROJECT_ID=ana.account["project_id"],
    )
    ana.send("POST", "/api/v1/log", call, HTTP_X_API_KEY=read_only["api_key"], expect=403)


@pytest.mark.parametrize("route", ["auth/me", "auth/regenerate-api-key", "projects"])
def test_a07_a_key_opens_no_session_route(ana, browser, route):
    stranger = browser()
    method = "GET" if route != "auth/regenerate-api-key" else "POST"
    key = ana.account["api_key"]
    stranger.send(method, f"/api/v1/{route}", HTTP_X_API_KEY=key, expect=401)


def test_pages_need_the_forms_token(ana, browser):
    form = {"name": "ana@example.com", "password": PASSWORD}
    stranger = browser()
    assert stranger.post("/login", form).status_code == 403
    assert ana.post("/logout").status_code == 403
    assert ana.is_logged_in
