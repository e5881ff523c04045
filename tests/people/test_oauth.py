"""B01 to B05: logins with a provider, against one on loopback that is scripted."""

import threading
import time
from datetime import timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.core import signing
from django.db import connection
from django.utils import timezone

from accounts import audit, login_keys
from accounts.models import (
    ApiKey,
    AuditEvent,
    BrowserSession,
    Identity,
    Membership,
    SpentState,
    User,
)
from accounts.oauth import identities, landing, providers
from core.errors import DatabaseUnavailable
from tests.client import ApiClient
from tests.html_page import Page
from tests.people.conftest import PASSWORD, look, mails, reset_token, token_in
from tests.people.provider import come_back, log_in, start
from tests.site import loopback
from tests.threads import at_once

EMAIL = "ana@example.com"


def refused(response) -> bool:
    return response.status_code == 400 and b"Back to " in response.content


@pytest.mark.parametrize("name", ["google", "github"])
def test_b01_the_whole_flow(provider, browser, name, settings):
    made = browser()
    reply = log_in(made, provider, name)
    assert (reply.status_code, reply["Location"]) == (302, "/")
    me = made.read("/api/v1/auth/me")
    assert (me["email"], me["email_verified"], me["providers"]) == (EMAIL, True, [name])
    assert [each["role"] for each in me["projects"]] == ["owner"]
    [login], [exchange] = provider.logins, provider.exchanges
    assert login["code_challenge_method"] == "S256"
    expected = f"{settings.PUBLIC_URL}/api/v1/auth/callback/{name}"
    assert login["redirect_uri"] == exchange["redirect_uri"] == expected
    assert login["client_id"] == f"{name}-id" and len(exchange["code_verifier"]) >= 43
    key = made.read("/api/v1/auth/retrieve-api-key")["api_key"]
    assert ApiClient(key).read("/api/v1/logs") == []
    again = browser()
    log_in(again, provider, name)
    assert again.read("/api/v1/auth/me")["id"] == me["id"]
    assert User.objects.count() == 1


def test_b01_each_login_has_its_own_challenge(provider, browser):
    for _ in range(3):
        log_in(browser(), provider)
    assert len({login["code_challenge"] for login in provider.logins}) == 3


def test_b01_another_browser_is_refused(provider, browser):
    answer = provider.authorize(start(browser()))
    assert refused(come_back(browser(), answer))
    assert (User.objects.count(), provider.exchanges) == (0, [])


def test_b01_a_state_counts_once(provider, browser):
    made = browser()
    location = start(made)
    cookies = made.cookies.copy()
    answer = provider.authorize(location)
    come_back(made, answer)
    made.cookies = cookies  # a browser that deletes nothing
    again = provider.authorize(location)
    assert refused(come_back(made, {**again, "state": answer["state"]}))
    assert (User.objects.count(), BrowserSession.objects.count()) == (1, 1)


def test_b01_who_asks_for_the_head_alone_is_refused_and_uses_nothing_up(provider, browser):
    made = browser()
    answer = provider.authorize(start(made))
    refusal = made.head("/api/v1/auth/callback/google", answer)
    assert (refusal.status_code, refusal["Allow"]) == (405, "GET, OPTIONS")
    assert come_back(made, answer).status_code == 302


def test_b01_a_state_expires(provider, browser, monkeypatch):
    made = browser()
    answer = provider.authorize(start(made))
    now = time.time()
    monkeypatch.setattr(signing.time, "time", lambda: now + 11 * 60)
    assert refused(come_back(made, answer))


@pytest.mark.parametrize(
    "change",
    [
        {"state": None},
        {"state": ""},
        {"state": "x"},
        {"state": ["a", "b"]},
        {"code": ["a", "b"]},
        {"code": None},
    ],
    ids=str,
)
def test_b01_senseless_returns_are_refused(provider, browser, change):
    made = browser()
    answer = provider.authorize(start(made))
    if isinstance(change.get("code"), list):
        change = {"code": [answer["code"], answer["code"]]}
    query = {name: value for name, value in (answer | change).items() if value is not None}
    response = made.get("/api/v1/auth/callback/google", query)
    assert response.status_code in (400, 502) and b"Back to the login" in response.content
    assert (User.objects.count(), BrowserSession.objects.count()) == (0, 0)


def test_b01_the_state_of_another_provider_is_refused(provider, browser):
    made = browser()
    answer = provider.authorize(start(made, "google"))
    assert refused(come_back(made, answer, "github"))


def test_b01_a_code_for_another_challenge_is_refused(provider, browser):
    made = browser()
    stolen = provider.authorize(start(browser()))
    own = provider.authorize(start(made))
    for name in ("google", "github"):
        response = come_back(made, {**own, "code": stolen["code"]}, name)
        assert response.status_code in (400, 502)
    assert User.objects.count() == 0


def test_b01_a_password_login_in_another_tab_ends_it(ana, provider, browser):
    made = browser()
    answer = provider.authorize(start(made))
    made.log_in(EMAIL)
    assert refused(come_back(made, answer))
    assert Identity.objects.count() == 0


def test_b01_two_tabs_finish_in_reverse_order(provider, browser):
    made = browser()
    first, second = (provider.authorize(start(made, next=f"/{n}")) for n in "12")
    assert come_back(made, second)["Location"] == "/2"
    assert come_back(made, first)["Location"] == "/1"
    assert made.is_logged_in and User.objects.count() == 1


def test_b01_starting_leaves_nothing_in_the_database(provider, browser):
    for _ in range(50):
        start(browser())
    assert (BrowserSession.objects.count(), SpentState.objects.count()) == (0, 0)
    log_in(browser(), provider)
    SpentState.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    log_in(browser(), provider)
    assert SpentState.objects.count() == 1


def test_unknown_and_unconfigured_providers_are_404(provider, browser, settings):
    browser().read("/api/v1/auth/login/gitlab", expect=404)
    settings.OAUTH_PROVIDERS["google"]["client_id"] = ""
    browser().read("/api/v1/auth/login/google", expect=404)
    browser().read("/api/v1/auth/callback/google", expect=404)


def test_b02_1_whoever_proves_an_address_ends_what_was_only_claimed(provider, person, browser):
    mallory = person(EMAIL)
    token = reset_token(EMAIL)
    own_key = ApiClient(mallory.account["api_key"])
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    own_key.send("POST", "/api/v1/log", call)
    mallory.defaults["HTTP_X_PROJECT_ID"] = mallory.account["project_id"]
    other_key = ApiClient(mallory.send("POST", "/api/v1/keys", {})["api_key"])
    path = f"/api/v1/projects/{mallory.account['project_id']}"
    accomplice = {"email": "friend@example.com", "role": "owner"}
    mallory.send("POST", f"{path}/invitations", accomplice)
    invitation = token_in(mails("friend@example.com")[-1])

    victim = browser()
    log_in(victim, provider)
    assert not mallory.is_logged_in
    mallory.log_in(EMAIL, expect=401)
    body = {"token": token, "password": "another long sentence"}
    mallory.send("POST", "/api/v1/password-reset/confirm", body, expect=400)
    for client in (own_key, other_key):
        client.read("/api/v1/logs", expect=401)
    friend = person("friend@example.com")
    friend.send("POST", "/api/v1/invitations/accept", {"token": invitation}, expect=400)
    revoked = set(ApiKey.objects.filter(revoked_at__isnull=False).values_list("id", flat=True))
    recorded = AuditEvent.objects.filter(action="key.revoke").values_list("api_key_id", flat=True)
    assert revoked == set(recorded) and len(revoked) == 2
    assert User.objects.filter(email_key=EMAIL, email_verified_at__isnull=False).count() == 1
    assert ApiClient(victim.read("/api/v1/auth/retrieve-api-key")["api_key"])


def test_a_reset_names_the_identities_that_still_open_the_account(provider, browser):
    """They are how most come in who forget a password, and one may be an intruder's."""
    gia, email = browser(), "gia@example.com"
    provider.google = {"sub": "gia", "email": email, "email_verified": True}
    log_in(gia, provider)
    body = {"token": reset_token(email), "password": PASSWORD}
    reply = browser().send("POST", "/api/v1/password-reset/confirm", body)
    assert reply["providers"] == ["google"]
    line = "Google still opens the account. Disconnect what is not yours: http"
    assert line in mails(email)[-1].body
    page = browser().submit("/reset", {"token": reset_token(email), "password": PASSWORD + "!"})
    assert "Google still opens the account" in page.content.decode()
    again = browser()
    log_in(again, provider)
    assert again.is_logged_in
    log_in(again, provider, "github", link="1")
    body = {"current_password": PASSWORD + "!", "password": PASSWORD}
    reply = again.send("POST", "/api/v1/auth/change-password", body)
    assert reply["providers"] == ["github", "google"]
    assert "GitHub and Google still open the account" in mails(email)[-1].body


def test_b02_1_a_reset_ends_the_identity_of_who_only_claimed_the_address(provider, person, browser):
    """Mallory connects her own Google account with the victim's address, and waits."""
    provider.google = {"sub": "mallory", "email": "mallory@evil.test", "email_verified": True}
    mallory = person("victim@corp.test")
    assert log_in(mallory, provider, link="1").status_code == 302
    victim = browser()
    body = {"token": reset_token("victim@corp.test"), "password": "another long sentence"}
    victim.send("POST", "/api/v1/password-reset/confirm", body)
    victim.log_in("victim@corp.test", "another long sentence")
    log_in(mallory, provider)
    assert mallory.read("/api/v1/auth/me")["email"] == "mallory@evil.test"
    assert victim.read("/api/v1/auth/me")["providers"] == []
    event = AuditEvent.objects.get(action="identity.unlink")
    assert (event.user_id, event.details["provider"]) == (
        User.objects.with_email("victim@corp.test").id,
        "google",
    )


def test_b02_1_an_identity_is_not_connected_while_a_reset_ends_the_session(person, browser):
    mallory = person("victim@corp.test")  # the callback has looked at her session by now
    body = {"token": reset_token("victim@corp.test"), "password": "another long sentence"}
    browser().send("POST", "/api/v1/password-reset/confirm", body)
    profile = providers.Profile("google", "mallory", None)
    with pytest.raises(identities.LinkRefused):
        identities.link(profile, mallory.user, audit.of_command("test"))
    assert not Identity.objects.exists()


def test_a_reset_leaves_the_identity_of_a_verified_account(ana, provider, browser):
    log_in(ana, provider, link="1")
    body = {"token": reset_token(EMAIL), "password": "another long sentence"}
    browser().send("POST", "/api/v1/password-reset/confirm", body)
    assert Identity.objects.get().user_id == ana.user.id


def test_taking_over_an_account_leaves_a_project_to_who_was_in_it_before(
    ana, person, provider, browser
):
    """An operator made the claimed account an owner of Ana's project."""
    claimed = person("new@example.com")
    project_id = ana.account["project_id"]
    Membership.objects.create(user=claimed.user, project_id=project_id, role="owner")
    claimed.defaults["HTTP_X_PROJECT_ID"] = project_id
    planted = ApiClient(claimed.send("POST", "/api/v1/keys", {})["api_key"])
    provider.google = {"sub": "new", "email": "new@example.com", "email_verified": True}
    log_in(browser(), provider)
    ana.read(f"/api/v1/projects/{project_id}")
    ApiClient(ana.account["api_key"]).read("/api/v1/logs")
    for key in (planted, ApiClient(claimed.account["api_key"])):
        key.read("/api/v1/logs", expect=401)


def test_b02_2_an_address_that_the_provider_has_not_verified_opens_nothing(ana, provider, browser):
    provider.emails = [{"email": EMAIL, "primary": True, "verified": False}]
    made = browser()
    reply = log_in(made, provider, "github")
    assert reply["Location"] == "/oauth-address"
    assert not made.is_logged_in and Identity.objects.count() == 0


def test_b02_3_both_sides_verified_are_linked_and_the_owner_is_told(ana, provider, browser):
    made = browser()
    log_in(made, provider, "github")
    assert made.read("/api/v1/auth/me")["id"] == str(ana.user.id)
    assert ana.is_logged_in
    assert mails(EMAIL)[-1].subject == "GitHub was connected to your LLMRing account"
    event = AuditEvent.objects.get(action="identity.link")
    assert (event.user_id, event.details["provider"]) == (ana.user.id, "github")


def test_an_operators_account_is_not_opened_by_an_address_alone(provider, browser):
    boss = User.objects.create_superuser("boss", email=EMAIL, password=PASSWORD)
    made = browser()
    assert log_in(made, provider).status_code == 409
    made.submit("/login", {"name": "boss", "password": PASSWORD})
    assert log_in(made, provider, link="1").status_code == 302
    assert Identity.objects.get().user_id == boss.id
    other = browser()
    log_in(other, provider)
    assert other.read("/api/v1/auth/me")["id"] == str(boss.id)


def test_a_superusers_name_is_no_address_of_a_new_account(provider, browser):
    boss = User.objects.create_superuser(EMAIL, password=PASSWORD)
    made = browser()
    assert log_in(made, provider).status_code == 409
    assert not made.is_logged_in and User.objects.get() == boss


def test_an_identity_is_not_linked_to_a_second_account(ana, ben, provider):
    log_in(ana, provider, link="1")
    assert log_in(ben, provider, link="1").status_code == 409
    assert Identity.objects.get().user_id == ana.user.id


def test_b03_who_does_not_allow_it_is_back_at_the_login(provider, browser):
    made = browser()
    answer = provider.authorize(start(made))
    reply = come_back(made, {"error": "access_denied", "state": answer["state"]})
    assert reply["Location"] == "/login?notice=denied"
    assert "You did not allow the login" in made.get(reply["Location"]).content.decode()


def test_b03_who_does_not_allow_it_still_gets_the_page_asked_for(provider, browser):
    made, path = browser(), "/projects?x=1&y=2"
    answer = provider.authorize(start(made, next=path))
    reply = come_back(made, {"error": "access_denied", "state": answer["state"]})
    assert reply["Location"] == "/login?notice=denied&next=%2Fprojects%3Fx%3D1%26y%3D2"
    again = Page(made.get(reply["Location"]).content.decode()).href("Continue with Google")
    assert again == "/api/v1/auth/login/google?next=%2Fprojects%3Fx%3D1%26y%3D2"
    answer = provider.authorize(made.get(again)["Location"])
    assert come_back(made, answer)["Location"] == path


def test_b03_who_does_not_allow_a_connection_is_back_at_the_account(ana, provider):
    answer = provider.authorize(start(ana, link="1", next="/account"))
    reply = come_back(ana, {"error": "access_denied", "state": answer["state"]})
    assert reply["Location"] == "/account?notice=denied"
    assert "You did not allow the connection" in look(ana, reply["Location"]).text
    assert not Identity.objects.exists()


def test_b03_a_connection_that_fails_leads_back_to_the_account(ana, provider):
    provider.say("/token", {}, status=503)
    page = Page(log_in(ana, provider, link="1", next="/account").content.decode())
    assert "The provider did not complete the login" in page.text
    assert page.href("Back to your account") == "/account"
    assert "Back to the login" not in page.text and not Identity.objects.exists()


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "server_error", "error_description": "<script>alert(1)</script>"},
        {"error": "<script>alert(1)</script>"},
        {},
        {"error": "access_denied", "code": "x", "extra": "<b>"},
    ],
    ids=str,
)
def test_b03_errors_of_the_provider_are_one_page_without_its_text(provider, browser, answer):
    made = browser()
    state = provider.authorize(start(made))["state"]
    reply = come_back(made, {**answer, "state": state})
    if answer.get("error") == "access_denied":
        assert reply.status_code == 302
        return
    text = reply.content.decode()
    assert reply.status_code == 502 and "Back to the login" in text
    assert "alert(1)" not in text and "server_error" not in text and state not in text
    assert reply["X-Request-ID"] in text


TOKEN_ANSWERS = [
    {"body": {"error": "bad_verification_code"}},
    {"body": b"error=bad_verification_code", "kind": "application/x-www-form-urlencoded"},
    {"body": {}, "status": 500},
    {"body": b"<html>", "kind": "text/html"},
    {"body": b""},
    {"body": ["list"]},
    {"body": {"access_token": 5}},
    {"body": {"access_token": "a\r\nb: c"}},
    {"body": b"x" * 2_000_000},
]


@pytest.mark.parametrize("answer", TOKEN_ANSWERS, ids=lambda answer: str(answer)[:60])
@pytest.mark.parametrize("name", ["google", "github"])
def test_b03_token_endpoints_that_fail_leave_nothing_half_made(provider, browser, answer, name):
    path = {"google": "/token", "github": "/login/oauth/access_token"}[name]
    provider.say(path, **answer)
    made = browser()
    assert log_in(made, provider, name).status_code == 502
    counts = [model.objects.count() for model in (User, BrowserSession, Identity)]
    assert counts == [0, 0, 0]
    provider.answers.clear()
    assert log_in(made, provider, name)["Location"] == "/"


def test_b03_a_form_encoded_token_is_read(provider, browser):
    body = b"access_token=t-1&scope=read%3Auser&token_type=bearer"
    provider.say("/login/oauth/access_token", body, kind="application/x-www-form-urlencoded")
    assert log_in(browser(), provider, "github")["Location"] == "/"


@pytest.mark.parametrize("status", [401, 502, 302])
@pytest.mark.parametrize("path", ["/v1/userinfo", "/api/v3/user"])
def test_b03_profiles_that_fail(provider, browser, path, status):
    provider.say(path, {}, status=status)
    name = "google" if path == "/v1/userinfo" else "github"
    assert log_in(browser(), provider, name).status_code == 502
    assert User.objects.count() == 0


def test_b03_a_provider_that_hangs_is_given_up(provider, browser, monkeypatch, settings):
    monkeypatch.setattr(providers, "SECONDS", 0.3)
    release = threading.Event()
    with loopback.listening(lambda connection: release.wait(5)) as port:
        made = browser()
        answer = provider.authorize(start(made))
        hanging = {"url": f"http://127.0.0.1:{port}"}
        settings.OAUTH_PROVIDERS["google"] |= hanging
        begun = time.monotonic()
        assert come_back(made, answer).status_code == 502
        assert time.monotonic() - begun < 3
        release.set()


@pytest.mark.parametrize(
    "emails",
    [
        [{"email": EMAIL, "primary": True, "verified": False}],
        404,
        403,
        [],
        [{"email": "m\u0131ke@example.org", "primary": True, "verified": True}],
    ],
    ids=str,
)
def test_b03_without_a_verified_address_the_person_proves_one_by_mail(provider, browser, emails):
    """GitHub's public address is never taken for verified."""
    if isinstance(emails, int):
        provider.say("/api/v3/user/emails", {"message": "no"}, status=emails)
    else:
        provider.emails = emails
    made = browser()
    assert log_in(made, provider, "github")["Location"] == "/oauth-address"
    assert User.objects.count() == 0
    made.submit("/oauth-address", {"email": "mine@example.com"})
    token = token_in(mails("mine@example.com")[-1])
    scanner = browser()
    scanner.get("/oauth-confirm")
    assert scanner.submit("/oauth-confirm", {"token": token}).status_code == 403
    assert User.objects.count() == 0
    assert made.submit("/oauth-confirm", {"token": token}).status_code == 302
    assert not made.is_logged_in
    log_in(made, provider, "github")
    me = made.read("/api/v1/auth/me")
    assert (me["email"], me["email_verified"]) == ("mine@example.com", True)
    assert made.submit("/oauth-confirm", {"token": token}).status_code == 400
    assert made.submit("/oauth-confirm", {"token": f"{token}x"}).status_code == 400


def test_b02_2_who_confirms_an_address_has_logged_in_by_the_provider(ana, provider, browser):
    """Mallory names Ana's address, and Ana, who has an account, opens the link of the mail."""
    provider.emails = []
    mallory = browser()
    log_in(mallory, provider, "github")
    mallory.submit("/oauth-address", {"email": EMAIL})
    message = mails(EMAIL)[-1]
    assert "logged in with GitHub" in message.body
    refusal = ana.submit("/oauth-confirm", {"token": token_in(message)})
    assert refusal.status_code == 403
    assert "Log in with GitHub in this browser first" in refusal.content.decode()
    provider.github["id"] = 18  # Ana's own account there
    log_in(ana, provider, "github")
    assert ana.submit("/oauth-confirm", {"token": token_in(message)}).status_code == 403
    assert Identity.objects.count() == 0


def test_a_mailed_address_is_confirmed_in_another_browser_after_a_login_there(provider, browser):
    provider.emails = []
    first, second = browser(), browser()
    log_in(first, provider, "github")
    first.submit("/oauth-address", {"email": "mine@example.com"})
    log_in(second, provider, "github")
    token = token_in(mails("mine@example.com")[-1])
    assert second.submit("/oauth-confirm", {"token": token}).status_code == 302
    assert Identity.objects.get().user.email == "mine@example.com"


RETRIEVE = "/api/v1/auth/retrieve-api-key"


@pytest.fixture
def newcomer(provider, browser):
    made = browser()
    log_in(made, provider)
    return made


@pytest.mark.django_db(transaction=True)
def test_b04_of_two_tabs_one_gets_the_key(newcomer):
    outcomes = at_once(*[lambda: newcomer.get(RETRIEVE)] * 6)
    assert sorted(each.status_code for each in outcomes) == [200] + [410] * 5
    late = next(each for each in outcomes if each.status_code == 410)
    assert "regenerate-api-key" in late.json()["detail"]
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_SEC_PURPOSE": "prefetch"},
        {"HTTP_SEC_PURPOSE": "prefetch;prerender"},
        {"HTTP_PURPOSE": "prefetch"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
    ],
    ids=str,
)
def test_b04_looking_ahead_gets_no_key_and_uses_none_up(newcomer, headers):
    assert newcomer.get(RETRIEVE, **headers).status_code == 400
    assert newcomer.head(RETRIEVE).status_code == 400
    assert ApiKey.objects.count() == 0
    assert newcomer.read("/api/v1/auth/me")["api_key"]["retrievable"] is True
    reply = newcomer.get(RETRIEVE, HTTP_SEC_FETCH_SITE="same-origin")
    assert reply.status_code == 200 and "no-store" in reply["Cache-Control"]
    newcomer.read(RETRIEVE, expect=410)


def test_b04_a_key_that_cannot_be_made_can_be_retrieved_again(newcomer, monkeypatch):
    """Otherwise a database that is away for a moment would use the claim up."""

    def fail(*arguments, **options):
        raise DatabaseUnavailable

    with monkeypatch.context() as context:
        context.setattr(login_keys, "issue", fail)
        newcomer.read(RETRIEVE, expect=503)
    assert newcomer.read("/api/v1/auth/me")["api_key"]["retrievable"] is True
    assert ApiClient(newcomer.read(RETRIEVE)["api_key"]).read("/api/v1/logs") == []


def test_b04_the_key_dies_when_nobody_fetches_it(newcomer):
    User.objects.update(key_claim_until=timezone.now() - timedelta(seconds=1))
    newcomer.read(RETRIEVE, expect=410)


def test_b04_it_is_for_its_account_alone(newcomer, ana_without_key, browser, provider):
    cookie = newcomer.session
    newcomer.send("POST", "/api/v1/auth/logout")
    newcomer.log_in("other@example.com")
    newcomer.read(RETRIEVE, expect=410)
    log_in(newcomer, provider)
    assert newcomer.session != cookie
    newcomer.read(RETRIEVE)


@pytest.fixture
def ana_without_key(person):
    return person("other@example.com")


def test_b04_no_table_holds_the_key(newcomer):
    key = newcomer.read(RETRIEVE)["api_key"]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            assert not [row for row in cursor.fetchall() if key in str(row)], table


def test_regenerating_replaces_the_keys_of_logins(newcomer):
    first = newcomer.read(RETRIEVE)["api_key"]
    second = newcomer.send("POST", "/api/v1/auth/regenerate-api-key")["api_key"]
    ApiClient(first).read("/api/v1/logs", expect=401)
    assert ApiClient(second).read("/api/v1/logs") == []


HOSTILE = [
    "https://evil.test",
    "//evil.test",
    "/\\evil.test",
    "/%5Cevil.test",
    "\t//evil.test",
    "https:evil.test",
    "javascript:alert(1)",
    "//S@evil.test",
    "/ok?next=//evil.test",
    "/ok?next=%2F%2Fevil.test",
    "/%252Fevil.test",
    "/%2Fevil.test",
    "/api/v1/auth/logout",
    "/logout",
    "/" + "x" * 4_000,
    "",
    "/a\nb",
]


@pytest.mark.parametrize("target", HOSTILE, ids=lambda target: target[:30])
def test_b05_hostile_targets_lead_home(provider, browser, ana, target):
    made = browser()
    reply = log_in(made, provider, next=target)
    assert (reply.status_code, reply["Location"]) == (302, "/")
    page = made.submit(
        f"/login?next={quote(target)}",
        {"name": EMAIL, "password": PASSWORD},
    )
    assert (page.status_code, page["Location"]) == (302, "/")


def test_b05_a_second_target_leads_home(provider, browser):
    made = browser()
    response = made.get("/api/v1/auth/login/google?next=/a&next=/b")
    assert come_back(made, provider.authorize(response["Location"]))["Location"] == "/"


def test_b05_a_page_is_kept_exactly(provider, browser):
    target = "/projects/1?x=a%26b"
    assert log_in(browser(), provider, next=target)["Location"] == target
    assert landing.safe_path([target]) == target


def test_b05_checked_when_used(provider, browser, monkeypatch):
    """A cookie that was signed by an older, laxer version lands at home all the same."""
    made = browser()
    monkeypatch.setattr(landing, "safe_path", lambda values: "//evil.test")
    answer = provider.authorize(start(made, next="//evil.test"))
    monkeypatch.undo()
    assert come_back(made, answer)["Location"] == "/"


def test_the_login_page_leads_to_the_provider(provider, browser):
    text = browser().get("/login?next=/projects/1%3Fx%3Da%2526b").content.decode()
    link = text.split("/api/v1/auth/login/google?next=")[1].split('"')[0]
    assert parse_qs(f"next={link}")["next"] == ["/projects/1?x=a%26b"]
    assert urlsplit(start(browser())).path == "/o/oauth2/v2/auth"
