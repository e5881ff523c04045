"""A03, A04, A06: reset links, where they lead, and what a new password ends."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from accounts import key_uses, passwords
from accounts.models import ApiKey, AuditEvent, BrowserSession, EmailToken, Membership, User
from tests.client import ApiClient
from tests.people.conftest import PASSWORD, mails, reset_token, token_in

EMAIL, NEW = "ana@example.com", "another long sentence"
CONFIRM = "/api/v1/password-reset/confirm"
REFUSED = {"detail": "The link is invalid or has expired; ask for a new one"}


def confirm(browser, token: str, password: str = NEW, *, expect: int = 200):
    body = {"token": token, "password": password}
    return browser.send("POST", CONFIRM, body, expect=expect)


def test_a03_a_token_works_once_and_ends_the_others(ana, browser):
    first, second = reset_token(EMAIL), reset_token(EMAIL)
    confirm(browser(), second)
    for token in (first, second, "never-issued", second.swapcase()):
        assert confirm(browser(), token, expect=400) == REFUSED
    browser().log_in(EMAIL, NEW)
    assert EmailToken.objects.filter(purpose="reset").count() == 0


def test_a03_a_login_leaves_the_token_usable(ana, browser):
    token = reset_token(EMAIL)
    browser().log_in(EMAIL)
    confirm(browser(), token)


def test_a03_a_token_dies_with_the_address_and_with_time(ana, browser):
    token = reset_token(EMAIL)
    User.objects.filter(pk=ana.user.pk).update(email="new@example.com")
    assert confirm(browser(), token, expect=400) == REFUSED
    User.objects.filter(pk=ana.user.pk).update(email=EMAIL)
    EmailToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert confirm(browser(), token, expect=400) == REFUSED


def test_a03_a_token_is_short_lived_and_stored_as_a_digest(ana):
    token = reset_token(EMAIL)
    row = EmailToken.objects.get(purpose="reset")
    assert timedelta(minutes=59) < row.expires_at - timezone.now() <= timedelta(hours=1)
    assert token.encode() not in bytes(row.digest)


@pytest.mark.django_db(transaction=True)
def test_a03_nobody_waits_for_a_hash(ana, browser, locked_while_hashing):
    """A hash takes long: whoever waited for the lock of ten resets waited beyond all limits."""
    confirm(browser(), reset_token(EMAIL))
    again = browser()
    again.log_in(EMAIL, NEW)
    body = {"current_password": NEW, "password": "yet another sentence"}
    again.send("POST", "/api/v1/auth/change-password", body)
    assert len(locked_while_hashing) >= 2 and not any(locked_while_hashing)


def test_a03_a_weak_password_does_not_burn_the_token(ana, browser):
    token = reset_token(EMAIL)
    reply = confirm(browser(), token, "short", expect=422)
    assert reply["detail"][0]["loc"] == ["body", "password"]
    confirm(browser(), token)


def test_a03_a_token_of_another_purpose_is_refused(ana, browser, person):
    made = person("new@example.com")
    verification = token_in(mails(made.email)[-1])
    assert confirm(browser(), verification, expect=400) == REFUSED


@pytest.mark.parametrize("member", ["password", "new_password"])
def test_a03_token_and_password_are_all_it_takes(ana, browser, member):
    browser().send("POST", CONFIRM, {"token": reset_token(EMAIL), member: NEW})


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_X_FORWARDED_HOST": "evil.test"},
        {"HTTP_FORWARDED": "host=evil.test"},
        {"HTTP_HOST": "evil.test", "HTTP_ORIGIN": "http://evil.test"},
        {"SERVER_NAME": "evil.test", "HTTP_ORIGIN": "http://evil.test"},
    ],
)
def test_a04_links_begin_with_the_configured_address(ana, browser, settings, headers):
    settings.PUBLIC_URL = "https://llm.example.com"
    body = {"email": EMAIL}
    browser().send("POST", "/api/v1/password-reset", body, **headers)
    assert "https://llm.example.com/reset#token=" in mails(EMAIL)[-1].body
    assert "evil.test" not in "".join(each.body for each in mails())


@pytest.mark.parametrize("path", ["/reset", "/verify", "/invitation", "/oauth-confirm"])
def test_a04_scanners_change_nothing_and_the_page_keeps_the_token(ana, browser, path):
    token = reset_token(EMAIL)
    scanner = browser()
    for method in ("HEAD", "GET", "GET"):
        response = scanner.generic(method, path)
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
        assert response["Referrer-Policy"] in ("same-origin", "no-referrer")
        assert not re.search(r"""(src|href|action)=["'](https?:)?//""", response.content.decode())
    confirm(browser(), token)


def test_a04_the_token_is_behind_the_fragment_so_no_log_has_it(ana):
    assert "?" not in mails(EMAIL)[0].body
    assert "/verify#token=" in mails(EMAIL)[0].body


@pytest.fixture
def two_browsers(ana, browser):
    """Ana's B1 and B2, K1 of a login, and K2, a key of her project in production."""
    other = browser()
    login_key = other.log_in(EMAIL)["api_key"]
    ana.defaults["HTTP_X_PROJECT_ID"] = ana.account["project_id"]
    made = ana.send("POST", "/api/v1/keys", {"name": "production"})
    return ana, other, ApiClient(login_key), ApiClient(made["api_key"])


def test_a06_changing_the_password_ends_other_sessions(two_browsers):
    b1, b2, k1, k2 = two_browsers
    before, token = b1.session, reset_token(EMAIL)
    body = {"current_password": PASSWORD, "password": NEW}
    reply = b1.send("POST", "/api/v1/auth/change-password", body)
    assert b1.is_logged_in and b1.session != before and not b2.is_logged_in
    assert [row.session_key for row in BrowserSession.objects.all()] == [b1.session]
    assert "production" in [each["name"] for each in reply["keys"]]
    confirm(b2, token, expect=400)
    k2.read("/api/v1/logs")
    assert mails(EMAIL)[-1].subject == "Your LLMRing password was changed"
    assert reply["providers"] == [] and "still open" not in mails(EMAIL)[-1].body


def test_a06_changing_the_password_leaves_the_link_that_verifies(person):
    new = person("new@example.com")
    link = token_in(mails("new@example.com")[0])
    body = {"current_password": PASSWORD, "password": NEW}
    new.send("POST", "/api/v1/auth/change-password", body)
    new.send("POST", "/api/v1/verify-email", {"token": link})
    assert new.read("/api/v1/auth/me")["email_verified"] is True


def test_a06_changing_the_password_needs_the_old_one(two_browsers):
    b1, *_ = two_browsers
    body = {"current_password": "wrong", "password": NEW}
    for _ in range(5):
        b1.send("POST", "/api/v1/auth/change-password", body, expect=403)
    b1.send("POST", "/api/v1/auth/change-password", body, expect=429)


def by_api(browser, old: str, new: str):
    return browser.post_json(
        "/api/v1/auth/change-password", {"current_password": old, "password": new}
    )


def by_page(browser, old: str, new: str):
    return browser.submit("/account/password", {"current_password": old, "password": new})


def by_admin(browser, old: str, new: str):
    form = {"old_password": old, "new_password1": new, "new_password2": new}
    return browser.submit("/admin/password_change/", form)


@pytest.mark.parametrize("change", [by_api, by_page, by_admin])
def test_a06_a_reset_at_the_same_moment_stands(ana, change, monkeypatch):
    """A hijacker who knows the old password sets one of their own while Ana resets it."""
    User.objects.update(is_staff=True)
    validate = passwords.validate

    def reset_meanwhile(password, user=None):
        validate(password, user)
        User.objects.update(password=make_password("the sentence of a reset"))

    monkeypatch.setattr(passwords, "validate", reset_meanwhile)
    assert change(ana, PASSWORD, NEW).status_code == 403
    assert User.objects.get().check_password("the sentence of a reset")
    assert not AuditEvent.objects.filter(action="password.change").exists()


def test_a05_a_reset_ends_the_lock_of_the_old_password(ana, browser):
    """A hijacker of Ana's session guesses her password; she sets a new one by mail."""
    body = {"current_password": "wrong", "password": NEW}
    for status in [403] * 5 + [429]:
        ana.send("POST", "/api/v1/auth/change-password", body, expect=status)
    confirm(browser(), reset_token(EMAIL))
    ana.log_in(EMAIL, NEW)
    body = {"current_password": NEW, "password": "a third long sentence"}
    ana.send("POST", "/api/v1/auth/change-password", body)


def test_a06_a_reset_ends_sessions_and_login_keys_not_production(two_browsers, browser):
    b1, b2, k1, k2 = two_browsers
    k2.read("/api/v1/logs")
    key_uses.write()
    first, second = reset_token(EMAIL), reset_token(EMAIL)
    reply = confirm(browser(), first)
    assert not b1.is_logged_in and not b2.is_logged_in
    assert BrowserSession.objects.count() == 0
    k1.read("/api/v1/logs", expect=401)
    k2.read("/api/v1/logs")
    remaining = {each["name"]: each["last_used_at"] for each in reply["keys"]}
    assert remaining["production"] is not None
    ended = ApiKey.objects.exclude(revoked_at=None)
    events = AuditEvent.objects.filter(action="key.revoke").values_list("api_key_id", flat=True)
    assert {key.id for key in ended} == {*events}
    confirm(browser(), second, expect=400)
    assert mails(EMAIL)[-1].subject == "Your LLMRing password was changed"


def test_a06_logging_out_everywhere(two_browsers, browser):
    b1, b2, _, k2 = two_browsers
    token = reset_token(EMAIL)
    b1.send("POST", "/api/v1/auth/logout-everywhere")
    assert not b1.is_logged_in and not b2.is_logged_in
    assert BrowserSession.objects.count() == 0
    confirm(browser(), token, expect=400)
    k2.read("/api/v1/logs")


def test_a_registration_key_survives_resets_once_the_address_is_verified(ana, person, browser):
    """Not before: whoever registered may not have been the owner of the address."""
    verified, claimed = ApiClient(ana.account["api_key"]), person("new@example.com")
    for email in (EMAIL, "new@example.com"):
        confirm(browser(), reset_token(email))
    verified.read("/api/v1/logs")
    ApiClient(claimed.account["api_key"]).read("/api/v1/logs", expect=401)


def test_a_registration_key_survives_resets_once_an_invitation_verified_the_address(
    ana, person, browser
):
    made = person("new@example.com")
    path = f"/api/v1/projects/{ana.account['project_id']}/invitations"
    ana.send("POST", path, {"email": made.email, "role": "member"})
    body = {"token": token_in(mails(made.email)[-1])}
    made.send("POST", "/api/v1/invitations/accept", body)
    confirm(browser(), reset_token(made.email))
    ApiClient(made.account["api_key"]).read("/api/v1/logs")
    assert not ApiKey.objects.get(created_by=made.user).is_from_login


def test_a_command_line_account_sets_its_first_password_by_a_reset(browser, db_all):
    body = {"email": "cli@example.com", "accept_terms": True}
    browser().send("POST", "/api/v1/cli/register", body)
    browser().log_in("cli@example.com", "", expect=401)
    confirm(browser(), reset_token("cli@example.com"))
    browser().log_in("cli@example.com", NEW)


def test_b02_a_reset_ends_the_members_whom_a_claim_brought(person, browser):
    """Mallory registers the victim's address, adds herself as an owner, and waits."""
    claimed = person("victim@corp.test")
    mallory, friend = (
        person(f"{name}@evil.test", is_verified=True) for name in ("mallory", "friend")
    )
    path = f"/api/v1/projects/{claimed.account['project_id']}"
    for made in (mallory, friend):
        claimed.send("POST", f"{path}/invitations", {"email": made.email, "role": "owner"})
    body = {"token": token_in(mails(mallory.email)[-1])}
    mallory.send("POST", "/api/v1/invitations/accept", body)
    confirm(browser(), reset_token("victim@corp.test"))
    mallory.read(path, expect=404)
    body = {"token": token_in(mails(friend.email)[-1])}
    friend.send("POST", "/api/v1/invitations/accept", body, expect=400)
    members = Membership.objects.filter(project_id=claimed.account["project_id"])
    assert [each.user_id for each in members] == [claimed.user.id]
    event = AuditEvent.objects.get(action="member.remove")
    assert (event.user_id, event.details["role"]) == (mallory.user.id, "owner")


def test_b02_a_reset_leaves_a_project_that_a_claim_handed_over(person, browser):
    """Else the victim's login would give a key of Mallory's project."""
    claimed = person("victim@corp.test")
    mallory = person("mallory@evil.test", is_verified=True)
    path = f"/api/v1/projects/{claimed.account['project_id']}"
    claimed.send("POST", f"{path}/invitations", {"email": mallory.email, "role": "member"})
    body = {"token": token_in(mails(mallory.email)[-1])}
    mallory.send("POST", "/api/v1/invitations/accept", body)
    claimed.send("POST", f"{path}/hand-over", {"user_id": str(mallory.user.id)})
    confirm(browser(), reset_token(claimed.email))
    victim = browser()
    assert victim.log_in(claimed.email, NEW)["project_id"] is None
    victim.read(path, expect=404)
    mallory.read(path)
    made = victim.send("POST", "/api/v1/projects", {"name": "own"})
    assert victim.log_in(claimed.email, NEW)["project_id"] == made["id"]


def test_a_reset_leaves_the_members_of_a_verified_owner_and_of_an_operators_account(
    ana, ben, person, browser
):
    """An operator makes an account, and adds others to its project: nobody claimed anything."""
    made = person("new@example.com")
    User.objects.filter(pk=made.user.pk).update(username="new")
    for owner in (ana, made):
        project_id = owner.account["project_id"]
        Membership.objects.create(user=ben.user, project_id=project_id, role="member")
        confirm(browser(), reset_token(owner.email))
        ben.read(f"/api/v1/projects/{project_id}")
