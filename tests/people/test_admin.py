"""People and their projects in the admin: what staff change there, and what is recorded of it."""

import io

import pytest
from django.core.management import call_command

from accounts.models import AuditEvent, BrowserSession, Membership, User
from tests.client import ApiClient
from tests.people import test_oauth
from tests.people.conftest import PASSWORD, mails, reset_token, token_in

PEOPLE = "/admin/accounts/user/"
CONFIRM = "/api/v1/password-reset/confirm"
PERSON_INLINES = ("memberships", "identities")
NEW = "another long sentence"

provider = test_oauth.provider


def join(owner, other, role: str) -> Membership:
    """Make a person a member of another one's project."""
    project_id = owner.account["project_id"]
    return Membership.objects.create(user=other.user, project_id=project_id, role=role)


def recorded(*actions: str) -> list[str]:
    """The actions of the audit log's events, oldest first; of all, or of these."""
    events = AuditEvent.objects.order_by("id").values_list("action", flat=True)
    return [each for each in events if not actions or each in actions]


def delete_on_page(boss, user):
    return boss.submit(f"{PEOPLE}{user.id}/delete/", {"post": "yes"}, follow=True)


def delete_in_list(boss, user):
    form = {"action": "delete_selected", "_selected_action": [str(user.id)], "post": "yes"}
    return boss.submit(PEOPLE, form, follow=True)


@pytest.mark.parametrize("delete", [delete_on_page, delete_in_list])
def test_staff_who_delete_a_person_end_their_keys(boss, ana, ben, browser, delete):
    """As `delete-account` does."""
    join(ana, ben, "owner")
    key = browser().log_in("ana@example.com")["api_key"]
    delete(boss, ana.user)
    assert not User.objects.filter(pk=ana.user.pk).exists()
    ApiClient(key).read("/api/v1/logs", expect=401)
    event = AuditEvent.objects.get(action="person.delete")
    assert event.user_id == ana.user.pk and event.actor.startswith("user:")
    assert "key.revoke" in recorded()


@pytest.mark.parametrize("delete", [delete_on_page, delete_in_list])
def test_the_last_owner_of_a_project_is_not_deleted(boss, ana, delete):
    assert "keeps an owner" in delete(boss, ana.user).content.decode()
    assert User.objects.filter(pk=ana.user.pk).exists()
    ApiClient(ana.account["api_key"]).read("/api/v1/logs")
    assert not recorded("person.delete", "key.revoke")


def set_password(browser, user, password: str = NEW, **form):
    form = {"password1": password, "password2": password, "usable_password": "true", **form}
    return browser.submit(f"{PEOPLE}{user.id}/password/", form)


def change_own_password(browser, old: str, password: str = NEW):
    form = {"old_password": old, "new_password1": password, "new_password2": password}
    return browser.submit("/admin/password_change/", form)


def test_a_password_that_staff_set_ends_what_opened_the_account(boss, ana):
    token = reset_token("ana@example.com")
    assert set_password(boss, ana.user).status_code == 302
    ana.user.refresh_from_db()
    assert ana.user.check_password(NEW) and not ana.is_logged_in
    assert not BrowserSession.objects.filter(user_id=ana.user.id).exists()
    refused = ana.post_json(CONFIRM, {"token": token, "password": "yet another sentence"})
    assert refused.status_code == 400
    event = AuditEvent.objects.get(action="password.set")
    assert (event.user_id, event.actor != f"user:{ana.user.id}") == (ana.user.id, True)
    assert "was changed" in mails("ana@example.com")[-1].subject


def test_a_form_with_errors_changes_no_password(boss, ana):
    assert set_password(boss, ana.user, password2="different").status_code == 200
    assert set_password(boss, ana.user, "x" * 257).status_code == 200
    assert ana.is_logged_in and not recorded("password.set")


def test_staff_take_a_password_away(boss, ana):
    set_password(boss, ana.user, "", **{"usable_password": "false", "unset-password": "1"})
    ana.user.refresh_from_db()
    assert not ana.user.has_usable_password()
    assert recorded("password.set") and not ana.is_logged_in


def test_staff_change_their_own_password_as_everybody_does(browser, ana):
    User.objects.filter(pk=ana.user.pk).update(is_staff=True)
    elsewhere = browser()
    elsewhere.log_in("ana@example.com")
    token = reset_token("ana@example.com")
    assert change_own_password(ana, PASSWORD).status_code == 302
    assert ana.is_logged_in and not elsewhere.is_logged_in
    refused = ana.post_json(CONFIRM, {"token": token, "password": "yet another sentence"})
    assert refused.status_code == 400
    assert recorded("password.change")
    assert "was changed" in mails("ana@example.com")[-1].subject


def test_guesses_of_the_old_password_are_limited_in_the_admin(ana):
    User.objects.filter(pk=ana.user.pk).update(is_staff=True)
    guesses = [change_own_password(ana, f"wrong {n}").status_code for n in range(6)]
    assert guesses == [200] * 5 + [429]
    reply = change_own_password(ana, PASSWORD)
    assert reply.status_code == 429 and "Retry-After" in reply
    assert not recorded("password.change")


def test_a_password_that_a_command_sets_is_recorded_too(ana, monkeypatch):
    token = reset_token("ana@example.com")
    monkeypatch.setattr("getpass.getpass", lambda prompt="": NEW)
    call_command("changepassword", ana.user.username, stdout=io.StringIO())
    refused = ana.post_json(CONFIRM, {"token": token, "password": "yet another sentence"})
    assert refused.status_code == 400 and not ana.is_logged_in
    event = AuditEvent.objects.get(action="password.set")
    assert (event.user_id, event.actor) == (ana.user.id, "command:changepassword")


def change_person(boss, user, **form):
    """Send the form of a person's page; without inlines, which then change nothing."""
    page = {"username": user.username, "email": user.email, "is_active": "on"}
    page |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    return boss.submit(f"{PEOPLE}{user.id}/change/", page | inlines(PERSON_INLINES) | form)


def inlines(names) -> dict:
    return {f"{name}-{kind}_FORMS": 0 for name in names for kind in ("TOTAL", "INITIAL")}


def test_an_address_that_staff_change_has_to_be_proven(boss, ana, browser):
    token = reset_token("ana@example.com")
    change_person(boss, ana.user, email="new@example.com")
    assert not ana.is_logged_in
    refused = ana.post_json(CONFIRM, {"token": token, "password": NEW})
    assert refused.status_code == 400
    again = browser()
    again.log_in("new@example.com")
    assert again.read("/api/v1/auth/me")["email_verified"] is False
    again.send("POST", "/api/v1/verify-email", {"token": token_in(mails("new@example.com")[-1])})
    assert again.read("/api/v1/auth/me")["email_verified"] is True


def test_another_spelling_of_an_address_stays_verified(boss, ana):
    change_person(boss, ana.user, email="Ana@Example.com")
    assert ana.read("/api/v1/auth/me")["email_verified"] is True
    assert mails("Ana@Example.com") == []


def test_who_changes_their_own_address_stays_logged_in(boss):
    user = User.objects.get(username="boss")
    change_person(boss, user, email="boss@example.com", is_staff="on", is_superuser="on")
    assert boss.is_logged_in and mails("boss@example.com")


def test_whoever_has_a_mistyped_address_does_not_share_the_account(boss, ana, provider, browser):
    """The stranger proves the address, and takes over what is only claimed from then on."""
    change_person(boss, ana.user, email="typo@example.com")
    provider.google = {"sub": "g-1", "email": "typo@example.com", "email_verified": True}
    test_oauth.log_in(browser(), provider)
    assert not ana.is_logged_in
    ApiClient(ana.account["api_key"]).read("/api/v1/logs", expect=401)
    assert recorded("person.take_over")
