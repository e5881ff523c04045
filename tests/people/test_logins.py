"""A05: guessing is slow, the owner still gets in; sessions begin anew."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import attempts
from accounts.models import AttemptCount, AuditEvent, BrowserSession, Identity, User
from tests.people.conftest import PASSWORD, mails, reset_token, token_in

EMAIL = "ana@example.com"


@pytest.fixture
def pass_minutes(db_all):
    """Moves the clock of all counts: their windows end so many minutes earlier."""

    def move(minutes: int) -> None:
        for count in AttemptCount.objects.all():
            count.window_ends_at -= timedelta(minutes=minutes)
            count.save()

    return move


def guess(browser, times: int, email: str = EMAIL) -> list[int]:
    body = {"email": email, "password": "wrong"}
    return [
        browser.post("/api/v1/login", body, content_type="application/json").status_code
        for _ in range(times)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("addresses", "most"), [(1, 20), (50, 40)], ids=["one address", "50 addresses"]
)
def test_a05_an_attacker_gets_some_tens_of_tries_and_the_owner_gets_in(
    ana, browser, pass_minutes, addresses, most
):
    """Five wrong passwords every five minutes for an hour; Ana at minutes 2, 20 and 40."""
    office = [browser(f"198.51.100.{number + 1}") for number in range(addresses)]
    ben = browser("198.51.100.1")
    ben.send("POST", "/api/v1/register", {"email": "ben@example.com", "password": PASSWORD})
    ana.defaults["REMOTE_ADDR"] = "198.51.100.1"  # behind the same address
    real = 0
    for minute in range(0, 60, 5):
        for number in range(5):
            real += guess(office[(minute + number) % addresses], 1) == [401]
        if minute in (0, 20, 40):
            ana.log_in(EMAIL)
            ben.log_in("ben@example.com")
        pass_minutes(5)
    assert most - 10 <= real <= most


def test_a05_a_lock_is_not_renewed_and_says_when_it_ends(ana, browser, pass_minutes):
    attacker = browser("198.51.100.9")
    assert guess(attacker, 7) == [401] * 5 + [429] * 2
    body = {"email": EMAIL, "password": PASSWORD}
    stranger = browser("198.51.100.9")
    locked = stranger.post("/api/v1/login", body, content_type="application/json")
    wrong = stranger.post(
        "/api/v1/login", {**body, "password": "wrong"}, content_type="application/json"
    )
    assert locked.status_code == wrong.status_code == 429
    assert locked.content == wrong.content
    assert 1 <= int(locked["Retry-After"]) <= attempts.WINDOW_SECONDS
    pass_minutes(14)
    assert guess(attacker, 3) == [429] * 3
    browser().log_in(EMAIL)  # from another address
    pass_minutes(1)
    stranger.log_in(EMAIL)


def test_a05_many_addresses_lock_the_account_for_browsers_that_are_not_known(ana, browser):
    outcomes = [guess(browser(f"198.51.100.{number}"), 1)[0] for number in range(12)]
    assert outcomes == [401] * 10 + [429] * 2
    browser().log_in(EMAIL, expect=429)
    ana.log_in(EMAIL)


def test_a05_a_reset_by_mail_ends_the_lock(ana, browser):
    stranger = browser("198.51.100.9")
    guess(stranger, 6)
    for number in range(6):
        guess(browser(f"198.51.100.{number}"), 1)
    stranger.log_in(EMAIL, expect=429)
    body = {"token": reset_token(EMAIL), "password": "another long sentence"}
    stranger.send("POST", "/api/v1/password-reset/confirm", body)
    stranger.log_in(EMAIL, "another long sentence")


def test_a05_unknown_addresses_are_locked_alike(ana, browser):
    assert guess(browser(), 6, "nobody@example.com") == guess(browser(), 6)


@pytest.fixture
def root(db_all):
    """Logs in on the page by either name; the API takes addresses alone."""
    return User.objects.create_superuser("root", email="root@corp.test", password=PASSWORD)


def statuses(browser, name: str, times: int = 1, password: str = "wrong") -> list[int]:
    form = {"name": name, "password": password}
    return [browser.submit("/login", form).status_code for _ in range(times)]


@pytest.mark.parametrize("names", [("root", "root@corp.test"), ("root@corp.test", "root")])
def test_a05_guesses_by_a_name_and_an_address_count_for_one_account(root, browser, names):
    """From one address, then from many: the right password is not looked at any more."""
    typed, other = names
    attacker = browser("198.51.100.9")
    assert statuses(attacker, typed, 5) == [401] * 5
    assert statuses(attacker, other, password=PASSWORD) == [401]
    assert statuses(browser("198.51.100.10"), other, password=PASSWORD) == [302]
    for number in range(5):
        statuses(browser(f"198.51.100.{number + 20}"), typed)
    assert statuses(browser("198.51.100.30"), other, password=PASSWORD) == [401]
    new = "another long sentence"
    body = {"token": reset_token("root@corp.test"), "password": new}
    attacker.send("POST", "/api/v1/password-reset/confirm", body)
    assert statuses(attacker, other, password=new) == [302]


def test_a05_a_known_browser_counts_both_names_for_one_account(root, browser):
    known = browser()
    assert statuses(known, "root", password=PASSWORD) == [302]
    known.send("POST", "/api/v1/auth/logout")
    assert statuses(known, "root", 10) == [401] * 10
    assert statuses(known, "root@corp.test", password=PASSWORD) == [401]


def test_a02_nothing_tells_that_two_names_are_one_accounts(root, browser):
    outcomes = []
    for number, names in enumerate([("root", "root@corp.test"), ("nobody", "nobody@corp.test")]):
        attacker = browser(f"198.51.100.{number}")
        outcomes.append([statuses(attacker, name, 6) for name in names])
    assert outcomes[0] == outcomes[1] == [[401] * 5 + [429]] * 2


def test_a05_counts_of_long_ago_are_deleted_by_the_next_attempts(ana, browser):
    for hours in (0.5, 2):
        ended = timezone.now() - timedelta(hours=hours)
        bucket = f"{hours}".encode()
        AttemptCount.objects.create(bucket=bucket, attempts=1, window_ends_at=ended)
    guess(browser(), 1)
    past = AttemptCount.objects.filter(window_ends_at__lt=timezone.now())
    assert [bytes(count.bucket) for count in past] == [b"0.5"]


def test_a05_an_empty_name_locks_nobody(ana, browser):
    for _ in range(10):
        body = {"email": "", "password": "wrong"}
        browser().send("POST", "/api/v1/login", body, expect=422)
        browser().submit("/admin/login/", {"username": "", "password": "wrong"})
    assert AttemptCount.objects.filter(attempts__gt=4).count() == 0
    browser().log_in(EMAIL)


def test_a05_success_gives_the_attempt_back(ana, browser):
    for _ in range(12):
        browser("198.51.100.3").log_in(EMAIL)


def test_a05_a_known_browser_cannot_guess_for_ever(ana):
    assert guess(ana, 12).count(401) == 10


def test_a05_the_cookie_of_another_account_is_no_help(ana, ben, browser):
    for number in range(10):
        guess(browser(f"198.51.100.{number}"), 1)
    assert guess(ben, 1) == [429]


def test_a05_the_admin_counts_with_the_rest(ana, browser):
    attacker = browser("198.51.100.9")
    for _ in range(5):
        attacker.submit("/admin/login/", {"username": EMAIL, "password": "wrong"})
    attacker.log_in(EMAIL, expect=429)
    page = attacker.submit("/admin/login/", {"username": EMAIL, "password": PASSWORD})
    assert page.status_code == 429 and "Too Many Requests" in page.content.decode()


def test_failed_logins_are_recorded_without_what_was_typed(ana, browser):
    guess(browser("198.51.100.9"), 1)
    event = AuditEvent.objects.filter(action="login.password", outcome="failure").get()
    assert (event.user_id, event.client_ip) == (ana.user.id, "198.51.100.9")
    assert "wrong" not in str(event.details)
    own = ana.read("/api/v1/auth/audit", {"action": "login.password"})
    assert [each["outcome"] for each in own] == ["failure"]


def test_wrong_password_and_unknown_address_get_one_reply(ana, browser):
    """A02: status, body, headers and cookies, also for an account without a password."""
    oauth_only = User.objects.create(username="x", email="x@example.com")
    oauth_only.set_unusable_password()
    oauth_only.save()
    replies = []
    for email in (EMAIL, "nobody@example.com", "x@example.com"):
        body = {"email": email, "password": "wrong"}
        replies.append(browser().post("/api/v1/login", body, content_type="application/json"))
    seen = {
        (each.status_code, each.content, tuple(each.cookies), tuple(sorted(set(each.headers))))
        for each in replies
    }
    assert len(seen) == 1 and replies[0].status_code == 401


def test_session_fixation(ana, browser):
    """A session that somebody else may know is not the one that is logged in."""
    victim = browser()
    victim.cookies["sessionid"] = "a" * 32
    victim.log_in(EMAIL)
    assert victim.session != "a" * 32
    before = victim.session
    victim.log_in(EMAIL)
    assert victim.session != before
    assert BrowserSession.objects.filter(session_key=before).count() == 0


def test_session_cookie_is_for_the_server_alone(ana, settings):
    ana.log_in(EMAIL)
    cookie = ana.cookies["sessionid"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"


def test_logout_ends_the_session_on_the_server(ana, browser):
    cookie = ana.session
    ana.send("POST", "/api/v1/auth/logout")
    replay = browser()
    replay.cookies["sessionid"] = cookie
    assert not replay.is_logged_in


def test_login_gives_a_key_and_keeps_the_ten_newest(ana):
    first = ana.log_in(EMAIL)["api_key"]
    for _ in range(10):
        last = ana.log_in(EMAIL)["api_key"]
    from tests.client import ApiClient

    ApiClient(first).read("/api/v1/logs", expect=401)
    assert ApiClient(last).read("/api/v1/logs") == []


def test_expired_sessions_are_pruned_by_logins(ana, browser):
    old = browser()
    old.log_in(EMAIL)
    BrowserSession.objects.filter(session_key=old.session).update(
        expire_date=timezone.now() - timedelta(days=1)
    )
    browser().log_in(EMAIL)
    assert not BrowserSession.objects.filter(session_key=old.session).exists()


def test_me_names_the_person_and_the_projects(ana):
    me = ana.read("/api/v1/auth/me")
    assert (me["email"], me["email_verified"], me["is_staff"]) == (EMAIL, True, False)
    assert [each["role"] for each in me["projects"]] == ["owner"]
    assert me["api_key"] == {"active": 0, "retrievable": False}
    assert token_in(mails(EMAIL)[0])


def test_me_names_each_provider_once(ana):
    for provider, subject in [("google", "1"), ("google", "2"), ("github", "1")]:
        Identity.objects.create(user=ana.user, provider=provider, subject=subject)
    assert ana.read("/api/v1/auth/me")["providers"] == ["github", "google"]
