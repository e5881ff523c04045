"""People change their own e-mail address: by the API, and on their page."""

from datetime import timedelta

import pytest
from django.core import signing
from django.utils import timezone

from accounts.models import ApiKey, AuditEvent, BrowserSession, Identity, Project, User
from accounts.people import address_changes
from tests.html_page import Page
from tests.people.conftest import BROWSER, PASSWORD, look, mails, reset_token, token_in
from tests.people.provider import log_in
from tests.threads import at_once

OLD, NEW = "ana@example.com", "ana@example.org"
ASK, CONFIRM = "/api/v1/auth/change-email", "/api/v1/auth/change-email/confirm"


def ask(browser, email: str = NEW, *, expect: int = 200, password: str = PASSWORD) -> None:
    body = {"email": email, "current_password": password}
    browser.send("POST", ASK, body, expect=expect)


def link(browser, email: str = NEW) -> str:
    """The token that the new address was mailed."""
    ask(browser, email)
    return token_in(mails(email)[-1])


def confirm(browser, token: str, **body):
    return browser.post_json(CONFIRM, {"token": token, **body})


def address() -> str:
    return User.objects.get().email


def test_the_new_address_proves_itself_and_the_old_one_is_told(ana, browser):
    other, reset, verified = browser(), reset_token(OLD), ana.user.email_verified_at
    other.log_in(OLD)
    token = link(ana)
    assert address() == OLD
    assert mails(NEW)[-1].subject == "Confirm your new e-mail address for LLMRing"
    notice = mails(OLD)[-1]
    assert NEW in notice.body and "http://localhost:8000/forgot" in notice.body
    assert token not in notice.body
    assert confirm(ana, token).json() == {"message": "The account has the new address."}
    assert ana.send("GET", "/api/v1/auth/me")["email"] == NEW
    user = User.objects.get()
    assert (user.email, user.email_key) == (NEW, NEW) and user.email_verified_at != verified
    assert "no longer the address" in mails(OLD)[-1].body
    # The session that confirmed goes on; others, and links to the old address, end.
    assert ana.is_logged_in and not other.is_logged_in
    body = {"token": reset, "password": "another long sentence"}
    assert other.post_json("/api/v1/password-reset/confirm", body).status_code == 400
    other.log_in(NEW)
    other.log_in(OLD, expect=401)
    assert ApiKey.objects.usable().filter(name="made at registration").exists()
    [event] = AuditEvent.objects.filter(action="email.change")
    assert (event.actor, event.user_id) == (f"user:{user.id}", user.id)
    assert (event.details["old"], event.details["new"]) == (OLD, NEW)


def test_the_link_needs_the_account(ana, ben, browser):
    """A slip of the keyboard mails it to a stranger."""
    token, stranger = link(ana), browser()
    for reader in (stranger, ben):
        assert confirm(reader, token).status_code == 401
        assert confirm(reader, token, password="wrong").status_code == 401
    assert User.objects.get(pk=ana.user.pk).email == OLD
    assert confirm(stranger, token, password=PASSWORD).status_code == 200
    assert User.objects.get(pk=ana.user.pk).email == NEW
    assert not stranger.is_logged_in and not ana.is_logged_in and ben.is_logged_in


def test_the_link_works_once(ana):
    token = link(ana)
    assert confirm(ana, token).status_code == 200
    assert confirm(ana, token).status_code == 400
    # Not even after the address has come back.
    assert confirm(ana, link(ana, OLD)).status_code == 200
    assert confirm(ana, token).status_code == 400 and address() == OLD


@pytest.mark.django_db(transaction=True)
def test_of_links_that_are_opened_at_once_one_counts(ana, browser):
    tokens = [link(ana, f"ana{n}@example.org") for n in range(4)]
    replies = at_once(
        *(lambda token=token: confirm(browser(), token, password=PASSWORD) for token in tokens)
    )
    assert sorted(reply.status_code for reply in replies) == [200, 400, 400, 400]
    assert AuditEvent.objects.filter(action="email.change").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_people_get_one_address_once(ana, ben):
    tokens = [(each, link(each)) for each in (ana, ben)]
    replies = at_once(*(lambda pair=pair: confirm(*pair) for pair in tokens))
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    assert User.objects.filter(email=NEW).count() == 1


@pytest.mark.parametrize("way", ["changed", "reset"])
def test_a_new_password_ends_the_link(ana, browser, way):
    """What the notice tells the owner to do."""
    token, new = link(ana), "another long sentence"
    if way == "changed":
        body = {"current_password": PASSWORD, "password": new}
        ana.send("POST", "/api/v1/auth/change-password", body)
    else:
        body = {"token": reset_token(OLD), "password": new}
        browser().send("POST", "/api/v1/password-reset/confirm", body)
    assert confirm(ana, token, password=new).status_code == 400
    assert address() == OLD


def test_links_end_after_a_day_with_the_account_and_with_the_key_that_signed_them(
    ana, monkeypatch, settings
):
    token = link(ana)
    with monkeypatch.context() as patch:
        now = signing.time.time() + timedelta(days=1, seconds=2).total_seconds()
        patch.setattr(signing.time, "time", lambda: now)
        assert confirm(ana, token, password=PASSWORD).status_code == 400
    Project.objects.update(archived_at=timezone.now())  # one in use keeps an active owner
    User.objects.update(is_active=False)
    assert confirm(ana, token, password=PASSWORD).status_code == 400
    User.objects.update(is_active=True)
    for spoiled in (token[:-1] + ("A" if token[-1] != "A" else "B"), "x", "a:b:c"):
        assert confirm(ana, spoiled).status_code == 400
    settings.SECRET_KEY = "another"
    assert confirm(ana, token, password=PASSWORD).status_code == 400


def test_tokens_of_other_mails_change_no_address(ana, person, provider, browser):
    assert confirm(ana, reset_token(OLD)).status_code == 400
    dan = person("dan@example.com")
    assert confirm(dan, token_in(mails("dan@example.com")[-1])).status_code == 400
    reply = dan.post_json("/api/v1/verify-email", {"token": link(dan, "dan@example.org")})
    assert reply.status_code == 400


@pytest.mark.parametrize("spelling", [NEW, " Ana@Example.ORG "])
def test_a_taken_address_is_not_given_away_and_not_taken_over(ana, person, spelling):
    """Its owner is mailed; that it has an account shows to who reads its mail and has the other."""
    squatter = person(NEW)
    ask(ana, spelling)
    assert "asked to change the address of an account" in mails(spelling.strip())[-1].body
    assert confirm(ana, token_in(mails(spelling.strip())[-1])).status_code == 409
    assert User.objects.get(pk=ana.user.pk).email == OLD and ana.is_logged_in
    assert squatter.is_logged_in


def test_an_address_that_is_a_user_name_is_taken(ana):
    User.objects.create_user(username=NEW.upper())
    assert confirm(ana, link(ana)).status_code == 409


def test_only_a_current_password_asks(ana):
    ask(ana, password="wrong", expect=403)
    ask(ana, password="", expect=403)
    ask(ana, OLD, expect=422)
    for odd in ("", "x", "m\u0131ke@example.org", "a@b\nBcc: c@d"):
        ask(ana, odd, expect=422)
    assert len(mails()) == 1


def test_another_spelling_of_the_same_address(ana):
    assert confirm(ana, link(ana, "Ana@Example.com")).status_code == 200
    assert address() == "Ana@Example.com"


def test_mails_are_few(ana, ben):
    for count in (1, 2, 3, 3):
        ask(ana)
        assert len(mails(NEW)) == count and len(mails(OLD)) == 1 + count
    ask(ben)
    assert len(mails(NEW)) == 3
    for n in range(address_changes.MAX_PER_PERSON - 4):
        ask(ana, f"n{n}@example.org")
    ask(ana, "last@example.org", expect=429)


def test_an_address_that_was_only_claimed_is_left(person):
    ana = person(OLD)
    token = link(ana)
    assert confirm(ana, token).status_code == 200
    assert ana.send("GET", "/api/v1/auth/me")["email_verified"] is True


def test_who_has_no_password_confirms_in_the_session(provider, browser):
    gia = browser()
    provider.google = {"sub": "gia", "email": "gia@example.com", "email_verified": True}
    log_in(gia, provider)
    ask(gia, password="")
    token = token_in(mails(NEW)[-1])
    assert confirm(browser(), token).status_code == 401
    assert confirm(gia, token).status_code == 200
    # The identity still opens the account.
    again = browser()
    log_in(again, provider)
    assert again.send("GET", "/api/v1/auth/me")["email"] == NEW
    assert Identity.objects.count() == User.objects.count() == 1


def test_superusers_without_any_address_give_themselves_one(boss):
    body = {"email": NEW, "current_password": PASSWORD}
    boss.send("POST", ASK, body)
    [mail] = mails()
    assert mail.to == [NEW]
    assert confirm(boss, token_in(mail)).status_code == 200
    assert address() == NEW and [each.to for each in mails()] == [[NEW]]


def test_the_longest_address_fits_its_token(ana):
    longest = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 61}"
    assert len(longest) == 254
    assert confirm(ana, link(ana, longest)).status_code == 200
    assert address() == longest


def test_the_page_changes_it(ana, browser):
    page = look(ana, "/account")
    path = page.href("Change the address")
    form = {"email": NEW, "current_password": PASSWORD}
    assert ana.submit(path, {**form, "current_password": "wrong"}).status_code == 403
    reply = ana.submit(path, {**form, "email": OLD})
    assert reply.status_code == 422 and "has this address already" in reply.content.decode()
    reply = ana.submit(path, form)
    assert "on its way to the new address" in look(ana, reply["Location"]).text
    message = mails(NEW)[-1]
    assert "http://localhost:8000/confirm-email#token=" in message.body
    # Programs of mail servers open links: that changes nothing.
    browser().get("/confirm-email", HTTP_ACCEPT=BROWSER)
    assert address() == OLD
    reply = ana.submit("/confirm-email", {"token": token_in(message)})
    page = look(ana, reply["Location"])
    assert "The account has the new address" in page.text and NEW in page.text
    assert BrowserSession.objects.filter(user_id=ana.user.id).count() == 1


def test_the_page_confirms_in_a_browser_that_is_not_logged_in(ana, browser):
    token, phone = link(ana), browser()
    reply = phone.submit("/confirm-email", {"token": token})
    assert reply.status_code == 401
    assert "Enter the password of the account" in Page(reply.content.decode()).text
    reply = phone.submit("/confirm-email", {"token": token, "password": "wrong"})
    assert reply.status_code == 401
    assert "not the password of the account" in Page(reply.content.decode()).text
    reply = phone.submit("/confirm-email", {"token": token, "password": PASSWORD})
    assert reply["Location"] == "/login?notice=email"
    assert "Log in with it" in look(phone, reply["Location"]).text


def test_the_page_leads_somebody_else_who_is_logged_in_to_the_login(ana, ben):
    reply = ben.submit("/confirm-email", {"token": link(ana), "password": PASSWORD})
    assert reply["Location"] == "/login?notice=email"
    ana.user.refresh_from_db()
    assert ana.user.email == NEW
