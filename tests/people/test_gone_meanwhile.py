"""An account that is deleted, or gets another password, while its own request goes on."""

from datetime import timedelta

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.hashers import make_password
from django.utils import timezone

from accounts import admission, audit, invitations, passwords
from accounts.authentication import IsPerson
from accounts.models import ApiKey, BrowserSession, Invitation, Membership, Project, User
from accounts.models.people import Users
from accounts.people import account_deletion, requested_mails
from tests.people.conftest import PASSWORD, mails, reset_token

NEW = "another long password"
CONFIRM = "/api/v1/password-reset/confirm"


@pytest.fixture
def after(monkeypatch):
    """A function: has something done after the next call of a function of `owner`."""

    def arrange(owner, name: str, do) -> None:
        function = getattr(owner, name)

        def then_do(*arguments, **named):
            monkeypatch.setattr(owner, name, function)
            result = function(*arguments, **named)
            do()
            return result

        monkeypatch.setattr(owner, name, then_do)

    return arrange


@pytest.fixture
def leaving(ana, ben):
    """Ana, whose projects have another owner."""
    Membership.objects.create(user=ben.user, project_id=ana.account["project_id"], role="owner")
    return ana


@pytest.fixture
def delete(leaving):
    """Deletes Ana's account, as staff do."""
    return lambda: account_deletion.delete_accounts([leaving.user.pk], audit.of_command("test"))


@pytest.fixture
def invitation(leaving):
    path = f"/api/v1/projects/{leaving.account['project_id']}/invitations"
    leaving.send("POST", path, {"email": "cleo@example.com", "role": "member"})
    return Invitation.objects.get()


def live_keys():
    return ApiKey.objects.filter(created_by=None, revoked_at=None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("projects", {"name": "late"}),
        ("projects/{project}/invitations", {"email": "dan@example.com", "role": "viewer"}),
        ("projects/{project}/invitations/{invitation}/resend", {}),
        ("auth/regenerate-api-key", {}),
        ("auth/retrieve-api-key", None),
        ("auth/change-password", {"current_password": PASSWORD, "password": NEW}),
    ],
)
def test_who_is_deleted_meanwhile_makes_nothing(leaving, invitation, delete, after, path, body):
    until = timezone.now() + timedelta(minutes=5)
    User.objects.filter(pk=leaving.user.pk).update(key_claim_until=until)
    path = path.format(project=leaving.account["project_id"], invitation=invitation.id)
    after(IsPerson, "has_permission", delete)
    if body is None:
        reply = leaving.get(f"/api/v1/{path}")
    else:
        reply = leaving.post_json(f"/api/v1/{path}", body)
    assert reply.status_code in (401, 403, 404, 410), reply.content
    assert not User.objects.filter(pk=leaving.user.pk).exists()
    assert not Project.objects.filter(name="late").exists()
    assert not Invitation.objects.exists() and not live_keys().exists()


def test_who_is_deleted_meanwhile_makes_no_key(leaving, delete, after):
    after(admission, "authenticate_user", delete)
    project = {"HTTP_X_PROJECT_ID": leaving.account["project_id"]}
    reply = leaving.send("POST", "/api/v1/keys", {"name": "late"}, expect=401, **project)
    assert reply == {"detail": "Log in again"}
    assert not ApiKey.objects.filter(name="late").exists()


def test_invitation_that_is_withdrawn_is_gone_with_who_sent_it(leaving, invitation, delete, after):
    after(invitations, "withdraw", delete)
    path = f"/api/v1/projects/{invitation.project_id}/invitations/{invitation.id}"
    assert leaving.send("DELETE", path)["status"] == "withdrawn"
    assert not Invitation.objects.exists()


def test_login_of_who_is_deleted_meanwhile_opens_nothing(browser, delete, after):
    after(passwords, "check", delete)
    made = browser()
    made.log_in("ana@example.com", expect=401)
    assert "sessionid" not in made.cookies
    assert not live_keys().exists()


def test_page_of_logging_in_says_so(browser, delete, after):
    after(passwords, "check", delete)
    made = browser()
    page = made.submit("/login", {"name": "ana@example.com", "password": PASSWORD})
    assert page.status_code == 401 and b"Log in again" in page.content


def test_link_is_asked_for_while_the_account_is_deleted(browser, delete, after):
    """The reply is that of every address."""
    after(Users, "with_email", delete)
    body = {"email": "ana@example.com"}
    assert browser().send("POST", "/api/v1/password-reset", body)["message"] == requested_mails.SENT
    assert not [each for each in mails("ana@example.com") if "password" in each.subject]


def test_address_is_confirmed_by_nobody_who_is_gone(leaving, delete, after):
    User.objects.filter(pk=leaving.user.pk).update(email_verified_at=None)
    mailed = len(mails("ana@example.com"))
    after(requested_mails, "may_mail", delete)
    leaving.send("POST", "/api/v1/auth/send-verification")
    assert len(mails("ana@example.com")) == mailed


def test_password_is_reset_while_the_account_is_deleted(browser, delete, after):
    body = {"token": reset_token("ana@example.com"), "password": NEW}
    after(passwords, "validate", delete)
    assert browser().post_json(CONFIRM, body).status_code == 400


def test_login_with_the_old_password_gets_no_key_behind_a_reset(ana, browser, after):
    """A hijacker's login is slow, as its password is hashed; Ana's reset overtakes it."""
    body = {"token": reset_token("ana@example.com"), "password": NEW}
    after(passwords, "check", lambda: browser().send("POST", CONFIRM, body))
    hijacker = browser("198.51.100.7")
    assert hijacker.log_in("ana@example.com", expect=401) == {"detail": "Log in again"}
    assert not hijacker.is_logged_in
    own = ApiKey.objects.filter(created_by=ana.user, is_from_login=True)
    assert not own.filter(revoked_at=None).exists()
    assert not BrowserSession.objects.filter(user_id=ana.user.pk).exists()


def test_session_that_a_reset_ends_gets_no_new_key(ana, browser, after):
    body = {"token": reset_token("ana@example.com"), "password": NEW}
    after(IsPerson, "has_permission", lambda: browser().send("POST", CONFIRM, body))
    ana.send("POST", "/api/v1/auth/regenerate-api-key", {}, expect=401)
    own = ApiKey.objects.filter(created_by=ana.user, is_from_login=True)
    assert not own.filter(revoked_at=None).exists()


@pytest.fixture
def old_hash(ana, settings, monkeypatch):
    """Ana's password has a hash of former settings, which a login replaces."""
    pbkdf2 = "django.contrib.auth.hashers.PBKDF2PasswordHasher"
    monkeypatch.setattr(f"{pbkdf2}.iterations", 1)  # half a second for each password otherwise
    settings.PASSWORD_HASHERS = [*settings.PASSWORD_HASHERS, pbkdf2]
    stored = make_password(PASSWORD, hasher="pbkdf2_sha256")
    User.objects.filter(pk=ana.user.pk).update(password=stored)
    return stored


def stored_password(user) -> str:
    return User.objects.values_list("password", flat=True).get(pk=user.pk)


def test_hash_of_former_settings_is_replaced_by_a_login(ana, old_hash, browser):
    browser().log_in("ana@example.com", "another password", expect=401)
    assert stored_password(ana.user) == old_hash
    browser().log_in("ana@example.com")
    assert stored_password(ana.user).startswith("md5$")


def test_reset_is_not_undone_by_a_login_that_replaces_the_hash(ana, old_hash, browser, after):
    body = {"token": reset_token("ana@example.com"), "password": NEW}
    after(hashers, "check_password", lambda: browser().send("POST", CONFIRM, body))
    browser().log_in("ana@example.com", expect=401)
    ana.user.refresh_from_db()
    assert ana.user.check_password(NEW)


def test_two_logins_replace_the_hash_once(ana, old_hash, browser, after):
    after(hashers, "check_password", lambda: browser().log_in("ana@example.com"))
    made = browser()
    made.log_in("ana@example.com")
    assert made.is_logged_in
    assert stored_password(ana.user).startswith("md5$")
