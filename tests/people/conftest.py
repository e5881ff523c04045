"""People: Ana, Ben and Cleo, each with a browser; and what they were mailed."""

import re

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from accounts import audit, mailing
from accounts.models import User
from accounts.people import address_proofs, logins, registration
from accounts.sessions import SessionStore
from tests.client import ApiClient
from tests.html_page import Page
from tests.people.provider import ScriptedProvider
from tests.threads import at_once

PASSWORD = "correct horse battery"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Browser(ApiClient):
    """A browser with its own cookies and address; CSRF checks are on, as in production."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        super().__init__(REMOTE_ADDR=address)
        self.handler.enforce_csrf_checks = True
        self.address = address
        self.defaults["HTTP_ORIGIN"] = "http://testserver"

    def log_in(self, email: str, password: str = PASSWORD, *, expect: int = 200):
        body = {"email": email, "password": password}
        return self.send("POST", "/api/v1/login", body, expect=expect)

    def submit(self, path: str, form: dict, **extra):
        """Open a page and send its form; the response."""
        self.get(path)
        token = self.cookies["csrftoken"].value
        return self.post(path, {**form, "csrfmiddlewaretoken": token}, **extra)

    def post_json(self, path: str, body: dict):
        """The response to JSON, whatever its status."""
        return self.post(path, body, content_type="application/json")

    def resume(self, user: User) -> None:
        """Be logged in as somebody without the requests that tests of logins are about."""
        request, response = HttpRequest(), HttpResponse()
        request.META["REMOTE_ADDR"] = self.address
        request.session = SessionStore()
        logins.start_session(request, response, user, method="register")
        request.session.save()
        self.cookies.update(response.cookies)
        self.cookies["sessionid"] = request.session.session_key
        self.cookies["csrftoken"] = request.META["CSRF_COOKIE"]

    @property
    def is_logged_in(self) -> bool:
        return self.get("/api/v1/auth/me").status_code == 200

    @property
    def session(self) -> str:
        return self.cookies["sessionid"].value


@pytest.fixture
def browser(db_all):
    """Makes browsers: each call another one."""
    return Browser


@pytest.fixture
def person(browser):
    """Registers people; returns the browser that did, with the reply as `account`."""

    def register(email: str, password: str = PASSWORD, *, is_verified: bool = False) -> Browser:
        made = browser()
        registered = registration.register(email, password, audit.Origin(actor="registration"))
        made.user, made.email = registered.user, email
        made.account = {
            "api_key": registered.api_key,
            "project_id": str(registered.project.id),
        }
        made.resume(made.user)
        if is_verified:
            address_proofs.mark_verified(made.user, audit.Origin(actor=f"user:{made.user.id}"))
        return made

    return register


@pytest.fixture
def ana(person):
    return person("ana@example.com", is_verified=True)


@pytest.fixture
def ben(person):
    return person("ben@example.com", is_verified=True)


@pytest.fixture
def cleo(person):
    return person("cleo@example.com", is_verified=True)


@pytest.fixture
def boss(browser, db_all):
    """The browser of a superuser, logged in to the admin."""
    User.objects.create_superuser("boss", password=PASSWORD)
    made = browser()
    made.submit("/admin/login/", {"username": "boss", "password": PASSWORD})
    return made


@pytest.fixture
def provider(settings, db_all):
    made = ScriptedProvider()
    settings.OAUTH_PROVIDERS = {
        name: {"client_id": f"{name}-id", "client_secret": f"{name}-secret", "url": made.url}
        for name in ("google", "github")
    }
    yield made
    made.close()


@pytest.fixture
def locked_while_hashing(monkeypatch):
    """How many people were locked each time a new password was hashed."""
    counts = []
    encode = MD5PasswordHasher.encode

    def count_locked() -> int:
        with transaction.atomic():
            free = User.objects.select_for_update(skip_locked=True).values_list("pk", flat=True)
            return User.objects.count() - len(free)

    def watched(*arguments, **named) -> str:
        counts.extend(at_once(count_locked))
        return encode(*arguments, **named)

    monkeypatch.setattr(MD5PasswordHasher, "encode", watched)
    return counts


def mails(to: str | None = None) -> list:
    """The mails that were sent, to an address or to all."""
    mailing.wait_until_sent()
    return [each for each in mail.outbox if to is None or each.to == [to]]


def token_in(message) -> str:
    """The token of the link in a mail."""
    return re.search(r"#token=(\S+)", message.body)[1]


def reset_token(email: str) -> str:
    Browser().send("POST", "/api/v1/password-reset", {"email": email})
    return token_in(mails(email)[-1])


def look(browser, path: str, *, expect: int = 200, **query) -> Page:
    """The page at the path, as a browser shows it."""
    response = browser.get(path, query, HTTP_ACCEPT=BROWSER)
    assert response.status_code == expect, response.content[:2000]
    return Page(response.content.decode())
