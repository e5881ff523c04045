"""A person's own account on its pages. What they do is what the API does; see test_passwords.py."""

import threading
from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import locks, passwords
from accounts.models import ApiKey, AuditEvent, BrowserSession, Identity, Membership, User
from accounts.oauth import identities
from accounts.oauth.providers import LABELS
from tests.client import ApiClient
from tests.html_page import Page
from tests.people.conftest import BROWSER, PASSWORD, look, mails, reset_token, token_in
from tests.people.provider import log_in
from tests.threads import at_once

EMAIL, NEW = "ana@example.com", "another long sentence"
NOBODY = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
CHANGE = {"current_password": PASSWORD, "password": NEW}
QUESTIONS = ("/verification", "/password", "/logout-everywhere", "/delete")
CONFIRM = "/api/v1/password-reset/confirm"


def text_of(response) -> str:
    return Page(response.content.decode()).text


def recorded(action: str, user) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action, user_id=user.pk))


@pytest.fixture
def gia(provider, browser):
    """Came in by Google, so that she has no password."""
    made = browser()
    provider.google = {"sub": "gia", "email": "gia@example.com", "email_verified": True}
    log_in(made, provider)
    made.user = User.objects.with_email("gia@example.com")
    return made


def tab_of(browser, other):
    """The other browser, with the cookies that the first one has now."""
    other.cookies.load({name: browser.cookies[name].value for name in ("sessionid", "csrftoken")})
    return other


def connect(browser, provider, name: str) -> Identity:
    """Connect another identity with the account that the browser is logged in to."""
    provider.google = {"sub": "g-2", "email": None, "email_verified": False}
    start = look(browser, "/account").href(f"Connect {LABELS[name]}")
    query = dict(parse_qsl(urlsplit(start).query))
    reply = log_in(browser, provider, name, **query)
    assert reply["Location"] == "/account?notice=connected"
    assert "The identity opens your account now" in look(browser, reply["Location"]).text
    return Identity.objects.order_by("id").last()


def disconnect(browser, identity: Identity):
    return browser.submit(f"/account/identities/{identity.id}/disconnect", {}, HTTP_ACCEPT=BROWSER)


@pytest.mark.parametrize("suffix", ["", *QUESTIONS])
def test_every_page_is_for_who_is_logged_in_and_kept_by_nobody(ana, browser, suffix):
    path = f"/account{suffix}"
    for spelling in (path, f"{path}/"):
        response = ana.get(spelling, HTTP_ACCEPT=BROWSER)
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"] and "Cookie" in response["Vary"]
    login = f"/login?next={path.replace('/', '%2F')}"
    stranger = browser()
    assert stranger.get(path, HTTP_ACCEPT=BROWSER)["Location"] == login
    stranger.get("/login")
    token = stranger.cookies["csrftoken"].value
    reply = stranger.post(path, {**CHANGE, "csrfmiddlewaretoken": token}, HTTP_ACCEPT=BROWSER)
    assert reply["Location"] == f"{login}&notice=ended"
    assert User.objects.get().check_password(PASSWORD) and ana.is_logged_in


@pytest.mark.parametrize("suffix", QUESTIONS)
def test_every_form_needs_its_token_and_a_post(ana, suffix):
    before = AuditEvent.objects.count()
    look(ana, f"/account{suffix}")
    assert ana.post(f"/account{suffix}", CHANGE).status_code == 403
    assert AuditEvent.objects.count() == before and ana.is_logged_in
    assert User.objects.get().check_password(PASSWORD)


def test_the_account_is_found_and_says_who_it_is(ana):
    links = dict(look(ana, "/projects").links)
    assert links["manage_accounts Your account"] == links["Your account"] == "/account"
    assert links["Change password"] == "/account/password"
    page = look(ana, "/account")
    verified = User.objects.get().email_verified_at
    assert f"e-mail address {EMAIL} confirmed (UTC) {verified:%Y-%m-%d %H:%M}" in page.text
    assert "user name" not in page.text and "Send the link again" not in page.text
    assert [row[:3] for row in page.table("Your keys")[1:]] == [
        ["made at registration", f"{ana.account['api_key'][:12]}…", "My project"]
    ]


def test_the_link_that_confirms_the_address_is_sent_again(person):
    ana = person(EMAIL)
    page = look(ana, "/account")
    assert "confirmed (UTC) not yet" in page.text
    for count in (2, 3, 4, 4):  # three in a window
        reply = ana.submit(page.href("Send the link again"), {})
        assert reply["Location"] == "/account?notice=verification"
        assert len(mails(EMAIL)) == count
    assert "A mail with a link is on its way" in look(ana, reply["Location"]).text
    ana.submit("/verify", {"token": token_in(mails(EMAIL)[-1])})
    assert "not yet" not in look(ana, "/account").text
    assert ana.submit("/account/verification", {})["Location"] == "/account"
    assert len(mails(EMAIL)) == 4


def test_a_new_password_ends_other_sessions_and_open_links_not_keys(ana, browser):
    other = browser()
    other.log_in(EMAIL)
    before, token = ana.session, reset_token(EMAIL)
    reply = ana.submit("/account/password", CHANGE)
    assert reply["Location"] == "/account?notice=password"
    assert "The password is set" in look(ana, reply["Location"]).text
    assert ana.session != before and not other.is_logged_in
    assert User.objects.get().check_password(NEW)
    assert other.post_json(CONFIRM, {"token": token, "password": PASSWORD}).status_code == 400
    ApiClient(ana.account["api_key"]).read("/api/v1/logs")
    [event] = recorded("password.change", ana.user)
    assert (event.actor, event.path) == (f"user:{ana.user.id}", "/account/password")
    assert mails(EMAIL)[-1].subject == "Your LLMRing password was changed"


def test_a_wrong_current_password_is_refused_and_guessing_ends(ana):
    for status in [403] * passwords.PER_ACCOUNT_AND_ADDRESS + [429, 429]:
        reply = ana.submit("/account/password", {**CHANGE, "current_password": "wrong"})
        assert reply.status_code == status
        said = "current password is wrong" if status == 403 else "Too many attempts"
        assert said in text_of(reply) and "Retry-After" in reply or status == 403
    # The right one is not looked at, on no page and not by the API, until the window ends.
    assert ana.submit("/account/password", CHANGE).status_code == 429
    assert ana.submit("/account/delete", CHANGE).status_code == 429
    assert ana.post_json("/api/v1/auth/change-password", CHANGE).status_code == 429
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.parametrize("weak", ["short", "password123", "x" * 257, ""])
def test_a_weak_password_is_explained_and_changes_nothing(ana, weak):
    reply = ana.submit("/account/password", {**CHANGE, "password": weak})
    assert reply.status_code == 422
    html = reply.content.decode()
    assert PASSWORD not in html and (not weak or f'"{weak}"' not in html)
    assert User.objects.get().check_password(PASSWORD)
    assert not recorded("password.change", ana.user)


def test_a_password_that_is_sent_twice_is_set_once(ana, browser):
    ana.get("/account/password")
    fields = {**CHANGE, "csrfmiddlewaretoken": ana.cookies["csrftoken"].value}
    again = tab_of(ana, browser())  # with the cookies of now
    assert again.is_logged_in
    assert ana.post("/account/password", fields).status_code == 302
    assert ana.post("/account/password", fields).status_code == 403
    assert again.post("/account/password", fields)["Location"].startswith("/login?next=")
    assert ana.is_logged_in and len(recorded("password.change", ana.user)) == 1


def test_a_first_password_needs_no_current_one(gia):
    page = look(gia, "/account")
    assert "The account has none" in page.text
    asked = gia.get(page.href("Set a password")).content.decode()
    assert 'name="password"' in asked and "current_password" not in asked
    assert gia.submit("/account/password", {"password": NEW}).status_code == 302
    assert gia.submit("/account/password", {"password": PASSWORD}).status_code == 422
    assert User.objects.get().check_password(NEW)


def test_logging_out_everywhere(ana, browser):
    other = browser()
    other.log_in(EMAIL)
    token = reset_token(EMAIL)
    reply = ana.submit("/account/logout-everywhere", {})
    assert "logged out everywhere" in look(ana, reply["Location"]).text
    assert not ana.is_logged_in and not other.is_logged_in
    assert not BrowserSession.objects.filter(user_id=ana.user.id).exists()
    assert other.post_json(CONFIRM, {"token": token, "password": NEW}).status_code == 400
    assert len(recorded("logout.everywhere", ana.user)) == 1
    ApiClient(ana.account["api_key"]).read("/api/v1/logs")


def test_an_identity_is_connected_and_disconnected(ana, browser, provider):
    page = look(ana, "/account")
    connected = "%2Faccount%3Fnotice%3Dconnected"
    assert page.href("Connect Google") == f"/api/v1/auth/login/google?link=1&next={connected}"
    identity = connect(ana, provider, "google")
    assert "Then disconnect Google: http" in mails(EMAIL)[-1].body
    page = look(ana, "/account")
    assert page.table("Connected identities")[1][:2] == ["Google", "g-2"]
    address = page.href("Disconnect Google g-2")
    assert "Google, id g-2" in look(ana, address).text
    reply = disconnect(ana, identity)
    assert reply["Location"] == "/account?notice=disconnected"
    assert "The identity no longer opens your account" in look(ana, reply["Location"]).text
    assert not Identity.objects.exists() and ana.is_logged_in
    [event] = recorded("identity.unlink", ana.user)
    assert (event.actor, event.details) == (f"user:{ana.user.id}", {"provider": "google"})
    look(ana, address, expect=404)
    assert log_in(browser(), provider)["Location"] == "/oauth-address"  # it opens nothing


def test_the_only_way_in_stays(gia, provider):
    identity = Identity.objects.get()
    page = look(gia, "/account")
    assert page.table("Connected identities")[1][3] == "the only way in"
    reply = disconnect(gia, identity)
    assert reply.status_code == 409 and "set a password first" in text_of(reply)
    assert Identity.objects.get() == identity and not recorded("identity.unlink", gia.user)
    gia.submit("/account/password", {"password": NEW})
    assert disconnect(gia, identity).status_code == 302


def test_the_only_way_in_stays_though_there_was_a_password_a_moment_ago(ana, provider, monkeypatch):
    """It is taken away after the request has found out who asks."""
    identity, lock = connect(ana, provider, "google"), locks.person

    def lock_later(id):
        User.objects.filter(pk=id).update(password=make_password(None))
        return lock(id)

    monkeypatch.setattr(locks, "person", lock_later)
    assert disconnect(ana, identity).status_code == 409
    assert Identity.objects.get() == identity


def test_another_identity_is_a_way_in_while_its_provider_is_configured(gia, provider, settings):
    google = Identity.objects.get()
    github = connect(gia, provider, "github")
    settings.OAUTH_PROVIDERS["github"]["client_id"] = ""
    assert disconnect(gia, google).status_code == 409
    settings.OAUTH_PROVIDERS["github"]["client_id"] = "github-id"
    assert disconnect(gia, google).status_code == 302
    assert disconnect(gia, github).status_code == 409
    assert Identity.objects.get() == github


def test_a_password_that_waits_for_a_confirmed_address_is_no_way_in(person, provider, settings):
    ana = person(EMAIL)
    identity = connect(ana, provider, "google")
    settings.REQUIRE_EMAIL_VERIFICATION = True
    assert disconnect(ana, identity).status_code == 409
    ana.submit("/verify", {"token": token_in(mails(EMAIL)[0])})
    assert disconnect(ana, identity).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_two_identities_that_are_disconnected_at_once_one_stays(
    gia, browser, provider, monkeypatch
):
    """Whoever looks first waits a moment for the other to look too, who cannot yet."""
    both, look_first = threading.Barrier(2), identities.dispensable

    def look_together(user):
        seen = look_first(user)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.3)
        return seen

    paths = [
        f"/account/identities/{identity.id}/disconnect"
        for identity in (Identity.objects.get(), connect(gia, provider, "github"))
    ]
    gia.get(paths[0])
    token = gia.cookies["csrftoken"].value
    monkeypatch.setattr(identities, "dispensable", look_together)
    tabs = zip([tab_of(gia, browser()), tab_of(gia, browser())], paths, strict=True)
    statuses = at_once(
        *(
            lambda tab=tab, path=path: tab.post(path, {"csrfmiddlewaretoken": token}).status_code
            for tab, path in tabs
        )
    )
    assert sorted(statuses) == [302, 409] and Identity.objects.count() == 1


def test_nobody_finds_the_identities_of_others(ana, ben, provider):
    identity = connect(ana, provider, "google")
    assert "g-2" not in look(ben, "/account").text
    for id in (identity.id, NOBODY):
        path = f"/account/identities/{id}/disconnect"
        look(ben, path, expect=404)
        ben.get("/account/password")
        token = {"csrfmiddlewaretoken": ben.cookies["csrftoken"].value}
        assert ben.post(path, token, HTTP_ACCEPT=BROWSER).status_code == 404
    assert Identity.objects.exists()


def test_an_account_is_deleted_once_its_projects_have_another_owner(ana, ben, browser):
    project_id = ana.account["project_id"]
    page = look(ana, "/account/delete")
    assert "Keys that you made (1 active) are refused" in page.text
    assert page.href("Members of My project") == f"/projects/{project_id}/members"
    assert page.href("Archive My project") == f"/projects/{project_id}/archive"
    last = ana.submit("/account/delete", {"current_password": PASSWORD})
    assert last.status_code == 409 and "keeps an owner" in text_of(last)
    assert ana.is_logged_in and not recorded("person.delete", ana.user)
    Membership.objects.create(user=ben.user, project_id=project_id, role="owner")
    assert "no other owner" not in look(ana, "/account/delete").text
    wrong = ana.submit("/account/delete", {"current_password": "wrong"})
    assert wrong.status_code == 403 and "current password is wrong" in text_of(wrong)
    id = ana.user.id
    reply = ana.submit("/account/delete", {"current_password": PASSWORD})
    assert "The account is deleted" in look(ana, reply["Location"]).text
    assert not User.objects.filter(id=id).exists() and not ana.is_logged_in
    assert not BrowserSession.objects.filter(user_id=id).exists()
    ApiClient(ana.account["api_key"]).read("/api/v1/logs", expect=401)
    assert AuditEvent.objects.get(action="person.delete").user_id == id
    assert "My project" in look(ben, f"/projects/{project_id}").text


def test_an_account_without_a_password_is_deleted_after_a_question(gia, browser):
    project = Membership.objects.get(user=gia.user).project
    assert gia.submit("/account/delete", {}).status_code == 409
    gia.submit(f"/projects/{project.id}/archive", {})
    gia.get("/account/delete")
    fields = {"csrfmiddlewaretoken": gia.cookies["csrftoken"].value}
    replies = [gia.post("/account/delete", fields)["Location"] for _ in range(2)]
    assert replies == ["/login?notice=deleted", "/login?next=%2Faccount%2Fdelete&notice=ended"]
    assert not User.objects.exists() and not Identity.objects.exists()
    assert AuditEvent.objects.filter(action="person.delete").count() == 1


def test_only_projects_that_the_person_owns_alone_are_in_the_way(ana, ben, cleo):
    """Ben is a member of Ana's, owns one with Cleo, and one that is archived."""
    Membership.objects.create(user=ben.user, project_id=ana.account["project_id"], role="member")
    shared = ben.send("POST", "/api/v1/projects", {"name": "shared"})["id"]
    Membership.objects.create(user=cleo.user, project_id=shared, role="owner")
    alone = ben.send("POST", "/api/v1/projects", {"name": "alone"})["id"]
    ben.submit(f"/projects/{ben.account['project_id']}/archive", {})
    ways = [href for name, href in look(ben, "/account/delete").links if "Archive" in name]
    assert ways == [f"/projects/{alone}/archive"]
    cleo.submit(f"/projects/{cleo.account['project_id']}/archive", {})
    User.objects.filter(pk=cleo.user.pk).update(is_active=False)
    ways = [href for name, href in look(ben, "/account/delete").links if "Archive" in name]
    assert ways == [f"/projects/{alone}/archive", f"/projects/{shared}/archive"]


def test_staff_change_their_password_in_the_admin(boss, gia):
    for path in ("/admin/", "/projects", "/account"):
        links = dict(look(boss, path).links)
        assert links["Change password"] == "/admin/password_change/", path
        assert links["Your account"] == "/account"
    page = look(boss, "/account")
    assert page.href("Change the password") == "/admin/password_change/"
    assert "user name boss e-mail address none" in page.text
    # The admin's page asks for the current password, which she has not.
    User.objects.filter(pk=gia.user.pk).update(is_staff=True)
    assert look(gia, "/account").href("Set a password") == "/account/password"
    assert look(gia, "/admin/").href("Change password") == "/account/password"


def test_names_are_never_markup(ana, provider):
    identity = connect(ana, provider, "google")
    Identity.objects.update(subject="<b>subject</b>")
    ApiKey.objects.update(name="<b>key</b>")
    User.objects.filter(pk=ana.user.pk).update(username="<b>name</b>")
    for path in ("/account", f"/account/identities/{identity.id}/disconnect", "/account/delete"):
        assert "<b>subject" not in (html := ana.get(path).content.decode())
        assert "<b>key" not in html and "<b>name" not in html


def test_an_account_with_much_takes_no_more_queries(ana, provider):
    counts = []
    for _ in range(2):
        for n in range(3):
            ana.send("POST", "/api/v1/projects", {"name": f"p{n}"})
            ana.log_in(EMAIL)
            Identity.objects.create(
                user=ana.user, provider="google", subject=str(Identity.objects.count())
            )
        for path in ("/account", "/account/delete"):
            with CaptureQueriesContext(connection) as queries:
                look(ana, path)
            counts.append(len(queries))
    assert counts[:2] == counts[2:]
