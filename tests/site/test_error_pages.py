"""Errors are pages for browsers, and stay JSON for clients of the API."""

import pytest
from django.db import OperationalError
from django.urls import reverse
from psycopg.errors import QueryCanceled
from psycopg_pool import PoolTimeout

from accounts.models import User
from tests.client import ApiClient
from tests.html_page import Page
from tests.site.test_dashboard import boss, person

__all__ = ["boss"]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def error_page(response, status: int, *, home: str = "/admin/") -> str:
    """The text of an error's page, which names its request and leads on."""
    assert response.status_code == status
    assert response["Content-Type"].startswith("text/html")
    page = Page(response.content.decode())
    assert response["X-Request-ID"] in page.text
    assert page.href("To the dashboard") == home
    return page.text


def test_unknown_address(anonymous):
    """`/` leads everybody on; the admin's login would be the end for who is no staff."""
    reply = anonymous.get("/nothing", HTTP_ACCEPT=BROWSER)
    assert "404 Not Found" in error_page(reply, 404, home="/")
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        assert anonymous.get("/nothing", HTTP_ACCEPT=accept).json() == {"detail": "Not Found"}


def test_row_that_is_not_there(boss):
    address = reverse("admin:usage_usagelog_change", args=["0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])
    assert boss.get(address, HTTP_ACCEPT=BROWSER, follow=True).status_code == 200  # told on home
    assert "404" in error_page(boss.get("/admin/nothing/", HTTP_ACCEPT=BROWSER), 404)


def test_routes_of_the_api_answer_json_to_browsers_too(api):
    for path in ("/api/v1/aliases/none", "/api/v1/templates/0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"):
        response = api.get(path, HTTP_ACCEPT=BROWSER)
        assert (response.status_code, response["Content-Type"]) == (404, "application/json")


def test_missing_permission(db_all):
    User.objects.create_user("clerk", password="a long password", is_staff=True)
    clerk = person(User.objects.get(username="clerk"))
    response = clerk.get(reverse("admin:usage_usagelog_changelist"), HTTP_ACCEPT=BROWSER)
    assert "403 Forbidden" in error_page(response, 403)


def test_form_without_its_token(boss):
    strict = ApiClient()
    strict.handler.enforce_csrf_checks = True
    strict.cookies = boss.cookies
    response = strict.post(reverse("make-demo"), HTTP_ACCEPT=BROWSER)
    assert "403 Forbidden" in error_page(response, 403)


def test_too_many_attempts_to_log_in(db_all):
    client = ApiClient()
    User.objects.create_superuser("boss", password="a long password")
    wrong = {"username": "boss", "password": "wrong"}
    for _ in range(6):
        response = client.post("/admin/login/", wrong, HTTP_ACCEPT=BROWSER)
    assert "429 Too Many Requests" in error_page(response, 429)
    assert 1 <= int(response["Retry-After"]) <= 900  # seconds: a quarter of an hour


def test_bug(boss, monkeypatch):
    from llmring_site.dashboard import page

    monkeypatch.setattr(page, "overview", lambda *arguments: 1 / 0)
    boss.raise_request_exception = False
    text = error_page(boss.get("/admin/", HTTP_ACCEPT=BROWSER), 500)
    assert "500 Internal Server Error" in text and "division" not in text
    assert boss.get("/admin/").json() == {"detail": "Internal Server Error"}


@pytest.mark.parametrize(
    ("error", "advice", "retry_after"),
    [
        (OperationalError("could not extend file"), "The database is not available", "1"),
        (PoolTimeout("no connection after 30 sec"), "The database is not available", "1"),
        (QueryCanceled("statement timeout"), "The query took longer than 5 seconds", None),
    ],
    ids=["away", "crowded", "slow"],
)
def test_database_that_cannot_answer(boss, monkeypatch, caplog, error, advice, retry_after):
    """In pages as in the API: not a mistake of the server, and nothing to look up in its log."""
    from accounts import sessions

    def fail(*arguments):
        raise error

    monkeypatch.setattr(sessions.SessionStore, "load", fail)
    boss.raise_request_exception = False
    for path, home in (("/admin/", "/admin/"), ("/projects", "/")):
        response = boss.get(path, HTTP_ACCEPT=BROWSER)
        text = error_page(response, 503, home=home)
        assert "503 Service Unavailable" in text and advice in text
        assert response.get("Retry-After") == retry_after
        assert boss.get(path).json()["detail"].startswith(advice)
    if retry_after:
        assert "Traceback" not in caplog.text and "database unavailable" in caplog.text


@pytest.mark.parametrize("accept", ["", "nonsense", "text/*;q=2", "\x00"])
def test_odd_accept_headers_get_an_answer(anonymous, accept):
    assert anonymous.get("/nothing", HTTP_ACCEPT=accept).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/login", "GET, POST, PUT, HEAD, OPTIONS"),
        ("POST", "/docs", "GET, HEAD, OPTIONS"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
        ("GET", "/admin/demo/make/", "POST"),
        ("POST", "/admin/dashboard/calls/", "GET, HEAD"),
    ],
)
def test_wrong_method(boss, method, path, allowed):
    """Django's own views would leave it empty, and the documentation would show itself."""
    refused = boss.generic(method, path, HTTP_ACCEPT=BROWSER)
    home = "/admin/" if path.startswith("/admin/") else "/"
    assert "405 Method Not Allowed" in error_page(refused, 405, home=home)
    assert refused["Allow"] == allowed
    for accept in ("*/*", "application/json"):
        refused = boss.generic(method, path, HTTP_ACCEPT=accept)
        assert (refused.status_code, refused["Content-Type"]) == (405, "application/json")
        assert refused.json() == {"detail": "Method Not Allowed"}
        assert refused["Allow"] == allowed


@pytest.mark.parametrize("path", ["/admin/dashboard/calls/", "/admin/search/", "/docs", "/login"])
def test_page_can_be_asked_for_without_its_body(boss, path):
    assert boss.head(path).status_code == 200
