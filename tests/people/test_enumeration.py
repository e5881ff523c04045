"""A02 and A03 where time and several connections matter."""

import time
from functools import partial
from typing import ClassVar

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password

from accounts import mailing
from accounts.models import AuditEvent, User
from tests.people.conftest import PASSWORD, mails, reset_token
from tests.people.mail_servers import Hangs
from tests.threads import at_once

EMAIL = "ana@example.com"


class Hasher(PBKDF2PasswordHasher):
    """That of production, but for its rounds: of each hash it notes how many there would be."""

    rounds: ClassVar[list[int]] = []

    def encode(self, password, salt, iterations=None):
        iterations = iterations or self.iterations
        self.rounds.append(iterations)
        return super().encode(password, salt, 1).replace("$1$", f"${iterations}$", 1)


@pytest.fixture
def counted_rounds(settings):
    settings.PASSWORD_HASHERS = [f"{__name__}.Hasher"]
    Hasher.rounds.clear()
    return Hasher.rounds


def test_a02_unknown_addresses_take_as_long_as_known_ones(counted_rounds, db_all, browser):
    """Nine tenths of what a login takes is one hash: each computes one, of as many rounds."""
    with_password = User(username="a", email=EMAIL, password=make_password(PASSWORD))
    with_password.save()
    oauth_only = User(username="b", email="b@example.com")
    oauth_only.set_unusable_password()
    oauth_only.save()
    for number, email in enumerate((EMAIL, "b@example.com", "nobody@example.com")):
        counted_rounds.clear()
        browser(f"192.0.2.{number + 10}").log_in(email, "x", expect=401)
        assert counted_rounds == [PBKDF2PasswordHasher.iterations], email


@pytest.fixture(params=["hangs", "refuses"])
def dead_mail_server(request, settings):
    """A mail server that answers nothing, or no connections; the fixture's thread ends with it."""
    settings.EMAIL_BACKEND = f"tests.people.mail_servers.{request.param.title()}"
    Hangs.go_on.clear()
    yield
    Hangs.go_on.set()
    mailing.wait_until_sent()


def test_a02_a_dead_mail_server_changes_neither_time_nor_reply(ana, browser, dead_mail_server):
    replies, times = [], []
    for email in (EMAIL, "nobody@example.com"):
        begun = time.perf_counter()
        reply = browser().post(
            "/api/v1/password-reset", {"email": email}, content_type="application/json"
        )
        times.append(time.perf_counter() - begun)
        replies.append((reply.status_code, reply.content, sorted(reply.headers)))
    assert replies[0] == replies[1] and replies[0][0] == 200
    assert max(times) < 1  # the hanging one takes two seconds


def test_a02_resets_are_throttled_alike(ana, browser):
    """Three mails go out in a window; nothing tells that a fourth did not."""
    replies = {email: [] for email in (EMAIL, "nobody@example.com")}
    for email, seen in replies.items():
        made = browser("203.0.113.9" if email == EMAIL else "203.0.113.10")
        for _ in range(40):
            reply = made.post(
                "/api/v1/password-reset", {"email": email}, content_type="application/json"
            )
            seen.append((reply.status_code, reply.content))
    assert replies[EMAIL] == replies["nobody@example.com"]
    assert [status for status, _ in replies[EMAIL]] == [200] * 30 + [429] * 10
    subjects = [each.subject for each in mails(EMAIL)]
    assert subjects.count("Set a new password for LLMRing") == 3


@pytest.mark.django_db(transaction=True)
def test_a03_of_ten_parallel_confirms_one_succeeds(ana, browser):
    token = reset_token(EMAIL)

    def confirm(number: int) -> int:
        body = {"token": token, "password": f"another long sentence {number}"}
        made = browser(f"192.0.2.{number + 10}")
        return made.post_json("/api/v1/password-reset/confirm", body).status_code

    outcomes = at_once(*(partial(confirm, number) for number in range(10)))
    assert sorted(outcomes) == [200] + [400] * 9
    assert AuditEvent.objects.filter(action="password.reset").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a05_parallel_guesses_do_not_exceed_the_limit(ana, browser):
    def guess(number: int) -> int:
        body = {"email": EMAIL, "password": "wrong"}
        return browser(f"192.0.2.{number + 10}").post_json("/api/v1/login", body).status_code

    outcomes = at_once(*(partial(guess, number) for number in range(12)))
    assert sorted(outcomes) == [401] * 10 + [429] * 2


@pytest.mark.django_db(transaction=True)
def test_a01_racing_registrations_make_one_account(browser):
    def register(email: str) -> int:
        body = {"email": email, "password": PASSWORD}
        return browser().post_json("/api/v1/register", body).status_code

    spellings = ["ana@example.com", "ANA@example.com"] * 3
    outcomes = at_once(*(partial(register, email) for email in spellings))
    assert sorted(outcomes) == [200] + [409] * 5
    assert User.objects.count() == 1
