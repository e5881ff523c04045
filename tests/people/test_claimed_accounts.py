"""An account with an unproven address may be a trap that somebody set for the address's owner."""

import pytest
from django.utils import timezone

from accounts.models import Identity, Membership, Project, User
from tests.client import ApiClient
from tests.people.conftest import PASSWORD, mails, reset_token, token_in
from tests.people.provider import log_in

NEW = "another long sentence"
VICTIM, MALLORY = "victim@example.com", "mallory@example.org"


def reset(browser, email: str) -> None:
    body = {"token": reset_token(email), "password": NEW}
    browser().send("POST", "/api/v1/password-reset/confirm", body)


@pytest.fixture
def trap(person):
    """Mallory's browser, in an account with the victim's address."""
    return person(VICTIM)


def test_a_reset_ends_the_providers_that_the_opener_connected(provider, trap, ana, browser):  # noqa: F811
    Identity.objects.create(user=ana.user, provider="github", subject="ana")
    provider.google = {"sub": "mallory", "email": MALLORY, "email_verified": True}
    assert log_in(trap, provider, link="1").status_code == 302
    reset(browser, VICTIM)
    assert Identity.objects.get().user == ana.user
    later = browser()
    log_in(later, provider)
    assert later.read("/api/v1/auth/me")["email"] == MALLORY


def test_a_reset_ends_the_memberships_that_the_opener_gave(trap, person, browser):
    other = person(MALLORY, is_verified=True)
    project = trap.account["project_id"]
    Membership.objects.create(user=other.user, project_id=project, role="owner")
    reset(browser, VICTIM)
    assert other.get(f"/api/v1/projects/{project}").status_code == 404
    ApiClient(trap.account["api_key"]).read("/api/v1/logs", expect=401)


def test_a_reset_of_a_proven_account_ends_neither(ana, ben, browser):
    project = ana.account["project_id"]
    Membership.objects.create(user=ben.user, project_id=project, role="member")
    Identity.objects.create(user=ana.user, provider="github", subject="ana")
    reset(browser, "ana@example.com")
    assert ben.get(f"/api/v1/projects/{project}").status_code == 200
    assert Identity.objects.count() == 1


def test_an_accepted_invitation_is_a_proof_like_the_mailed_link(ana, person, browser):
    new = person("new@example.com")
    path = f"/api/v1/projects/{ana.account['project_id']}/invitations"
    ana.send("POST", path, {"email": "new@example.com", "role": "member"})
    token = token_in(mails("new@example.com")[-1])
    new.send("POST", "/api/v1/invitations/accept", {"token": token})
    reset(browser, "new@example.com")
    ApiClient(new.account["api_key"]).read("/api/v1/logs")


@pytest.mark.parametrize("has_other_owner", [False, True])
def test_an_invitation_opens_no_deactivated_account(ana, ben, person, browser, has_other_owner):
    new = person("new@example.com")
    project = new.account["project_id"]
    if has_other_owner:
        Membership.objects.create(user=ben.user, project_id=project, role="owner")
    else:
        Project.objects.filter(pk=project).update(archived_at=timezone.now())
    User.objects.filter(pk=new.user.pk).update(is_active=False)
    path = f"/api/v1/projects/{ana.account['project_id']}/invitations"
    ana.send("POST", path, {"email": "new@example.com", "role": "member"})
    form = {"token": token_in(mails("new@example.com")[-1]), "password": NEW}
    assert browser().submit("/invitation", form).status_code == 409
    assert User.objects.get(pk=new.user.pk).check_password(PASSWORD)
    assert Membership.objects.filter(project_id=project).count() == 1 + has_other_owner


@pytest.mark.parametrize("address", ["root@example.com", "Root@Example.com"])
def test_nobody_registers_the_user_name_of_another(browser, db_all, address):
    User.objects.create_superuser("root@example.com", password=PASSWORD)
    body = {"email": address, "password": "a sentence of an attacker"}
    browser().send("POST", "/api/v1/register", body, expect=409)
    form = {"username": "root@example.com", "password": PASSWORD}
    assert browser().submit("/admin/login/", form).status_code == 302


def test_a_user_name_is_not_told_where_addresses_are_verified(browser, db_all, settings):
    settings.REQUIRE_EMAIL_VERIFICATION = True
    User.objects.create_superuser("root@example.com", password=PASSWORD)
    body = {"email": "root@example.com", "password": "a sentence of an attacker"}
    reply = browser().send("POST", "/api/v1/register", body)
    assert reply["api_key_active"] is False
    assert User.objects.count() == 1


def test_a_providers_login_does_not_take_the_user_name_of_another(provider, browser, db_all):  # noqa: F811
    User.objects.create_superuser("root@example.com", password=PASSWORD)
    provider.google = {"sub": "g", "email": "root@example.com", "email_verified": True}
    assert log_in(browser(), provider).status_code == 409
    assert User.objects.count() == 1
