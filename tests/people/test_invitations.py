"""C06: an invitation is for one address, once."""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, Invitation, Membership, Project, User
from accounts.people import address_proofs
from tests.people.conftest import PASSWORD, mails, token_in
from tests.threads import at_once
from tests.waiting_sessions import waiting_sessions

REFUSED = {"detail": "The invitation is invalid or has expired; ask for a new one"}


@pytest.fixture
def path(ana):
    return f"/api/v1/projects/{ana.account['project_id']}"


@pytest.fixture
def invite(ana, path):
    """Has Ana invite an address; returns the mailed token."""

    def send(email: str = "ben@example.com", role: str = "member", by=ana) -> str:
        send.id = by.send("POST", f"{path}/invitations", {"email": email, "role": role})["id"]
        return token_in(mails(email)[-1])

    return send


def accept(browser, token: str, *, expect: int = 200):
    return browser.send("POST", "/api/v1/invitations/accept", {"token": token}, expect=expect)


def roles(made) -> list[str]:
    return list(Membership.objects.filter(user=made.user).values_list("role", flat=True))


def test_c06_the_invited_joins_once(ana, ben, invite):
    token = invite("BEN@example.com")
    assert accept(ben, token)["role"] == "member"
    assert accept(ben, token, expect=400) == REFUSED
    assert sorted(roles(ben)) == ["member", "owner"]
    actions = AuditEvent.objects.filter(action__startswith="invitation.").order_by("id")
    assert [each.action for each in actions] == ["invitation.send", "invitation.accept"]
    header = {"HTTP_X_PROJECT_ID": ana.account["project_id"]}
    assert ben.read("/api/v1/logs", **header) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_claimed", [False, True])
def test_c06_nobody_waits_for_a_hash(person, browser, invite, locked_while_hashing, is_claimed):
    if is_claimed:
        person("ben@example.com")
    token = invite()
    del locked_while_hashing[:]
    browser().submit("/invitation", {"token": token, "password": "another password"})
    assert User.objects.get(email="ben@example.com").email_verified_at is not None
    assert locked_while_hashing and not any(locked_while_hashing)


def test_c06_a_misspelled_role_makes_no_member(ana, path):
    body = {"email": "ben@example.com", "rol": "viewer"}
    (fault,) = ana.send("POST", f"{path}/invitations", body, expect=422)["detail"]
    assert fault["loc"] == ["body", "rol"]
    assert not Invitation.objects.exists() and not mails("ben@example.com")


def test_c06_an_accepted_one_is_not_sent_again(ana, ben, path, invite):
    accept(ben, invite())
    ana.send("POST", f"{path}/invitations/{invite.id}/resend", expect=400)
    assert Invitation.objects.count() == 1


def test_c06_another_person_learns_nothing_and_it_stays_open(ben, cleo, invite):
    token = invite()
    reply = accept(cleo, token, expect=403)
    assert reply == {"detail": "The invitation is for another address; log in with that one"}
    accept(ben, token)
    assert roles(cleo) == ["owner"]


def test_c06_the_page_shows_who_is_logged_in_and_the_way_to_switch(cleo, browser, invite):
    page = cleo.submit("/invitation", {"token": invite()})
    text = page.content.decode()
    assert page.status_code == 403 and "for another address" in text
    assert "You are logged in as cleo@example.com" in text and 'href="/logout"' in text
    assert "Choose a password" not in text
    anonymous = browser().get("/invitation").content.decode()
    assert "Choose a password" in anonymous and 'href="/login?notice=invitation"' in anonymous


def test_c06_nobody_logged_in_has_to_log_in(browser, invite):
    accept(browser(), invite(), expect=401)


def test_c06_withdrawn_expired_resent_and_unknown_are_refused_alike(ana, ben, path, invite):
    first = invite()
    again = ana.send("POST", f"{path}/invitations/{invite.id}/resend")
    second = token_in(mails("ben@example.com")[-1])
    assert first != second
    assert accept(ben, first, expect=400) == REFUSED
    ana.send("DELETE", f"{path}/invitations/{again['id']}")
    assert accept(ben, second, expect=400) == REFUSED
    ana.send("POST", f"{path}/invitations/{again['id']}/resend", expect=400)
    third = invite()
    Invitation.objects.filter(id=invite.id).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert accept(ben, third, expect=400) == REFUSED
    assert accept(ben, "never-issued", expect=400) == REFUSED
    statuses = [each["status"] for each in ana.read(f"{path}/invitations")]
    assert statuses == ["expired", "withdrawn", "withdrawn"]
    assert roles(ben) == ["owner"]


def test_c06_an_inviter_who_may_not_any_more(ana, ben, cleo, path, invite):
    Membership.objects.create(user=cleo.user, project_id=ana.account["project_id"], role="admin")
    token = invite(by=cleo)
    ana.send("PATCH", f"{path}/members/{cleo.user.id}", {"role": "member"})
    assert accept(ben, token, expect=400) == REFUSED


def test_c06_old_links_do_not_bring_a_removed_member_back(ana, ben, path, invite):
    token = invite()
    accept(ben, token)
    ana.send("DELETE", f"{path}/members/{ben.user.id}")
    assert accept(ben, token, expect=400) == REFUSED


def test_c06_a_higher_role_is_not_lowered(ana, ben, invite):
    accept(ben, invite(role="admin"))
    assert accept(ben, invite(role="viewer"))["role"] == "admin"
    assert sorted(roles(ben)) == ["admin", "owner"]


def test_c06_registering_by_the_link_fixes_the_address_and_verifies_it(
    ana, browser, invite, settings
):
    settings.REGISTRATION = "invited"
    settings.REQUIRE_EMAIL_VERIFICATION = True
    token = invite("new@example.com")
    page = browser()
    reply = page.submit(
        "/invitation", {"token": token, "password": PASSWORD, "email": "other@example.com"}
    )
    assert reply.status_code == 302 and page.is_logged_in
    user = User.objects.get(email="new@example.com")
    assert user.email_verified_at is not None
    assert Membership.objects.get(user=user).role == "member"
    assert not User.objects.filter(email="other@example.com").exists()
    browser().submit("/invitation", {"token": token, "password": PASSWORD}, follow=True)
    assert Membership.objects.filter(user=user).count() == 1


def test_c06_registering_by_the_link_with_a_verified_account_means_to_log_in(ben, browser, invite):
    page = browser()
    reply = page.submit("/invitation", {"token": invite(), "password": "another password"})
    assert reply.status_code == 409 and not page.is_logged_in
    browser().log_in("ben@example.com")


def test_c06_the_token_is_stored_as_a_digest_and_the_mail_names_the_rest(ana, invite):
    token = invite()
    assert token.encode() not in bytes(Invitation.objects.get().digest)
    mail = mails("ben@example.com")[-1]
    assert "ana@example.com invites you to My project" in mail.subject


def test_the_mail_says_that_its_inviter_has_only_claimed_the_address(person):
    mallory = person("ceo@corp.test")
    path = f"/api/v1/projects/{mallory.account['project_id']}/invitations"
    mallory.send("POST", path, {"email": "ben@example.com"})
    subject = mails("ben@example.com")[-1].subject
    assert subject.startswith("ceo@corp.test (address not confirmed) invites you")


def test_b02_4_a_claimed_account_is_taken_over_by_the_invited(ana, person, browser, invite):
    """Mallory claims the victim's address; the victim then accepts an invitation to it."""
    from tests.client import ApiClient

    mallory = person("victim@example.com")
    key = ApiClient(mallory.account["api_key"])
    key.read("/api/v1/logs")
    page = browser()
    page.submit(
        "/invitation", {"token": invite("victim@example.com"), "password": "the victim's own"}
    )
    assert page.is_logged_in and not mallory.is_logged_in
    key.read("/api/v1/logs", expect=401)
    mallory.log_in("victim@example.com", expect=401)
    page.log_in("victim@example.com", "the victim's own")


@pytest.mark.parametrize("is_in_use", [True, False], ids=["project in use", "project archived"])
def test_an_invitation_does_not_open_an_account_that_was_set_inactive(
    ana, ben, person, browser, invite, is_in_use
):
    """Nor does it take over its project, which Ben is left to own."""
    claimed = person("new@example.com")
    project_id = claimed.account["project_id"]
    Membership.objects.create(user=ben.user, project_id=project_id, role="owner")
    if not is_in_use:
        Project.objects.filter(id=project_id).update(archived_at=timezone.now())
    User.objects.filter(pk=claimed.user.pk).update(is_active=False)
    page = browser()
    token = invite("new@example.com")
    reply = page.submit("/invitation", {"token": token, "password": "another password"})
    assert reply.status_code == 409 and not page.is_logged_in
    assert roles(claimed) == ["owner"] and sorted(roles(ben)) == ["owner", "owner"]
    assert not User.objects.get(pk=claimed.user.pk).check_password("another password")
    assert not AuditEvent.objects.filter(action="person.take_over").exists()


def test_an_invitation_does_not_forge_lines_of_its_mail(ana, browser, path, invite):
    ana.send("PATCH", path, {"name": "x\nBcc: y\n\nClick\u2028\u202ehere"})
    invite()
    message = mails("ben@example.com")[-1]
    assert message.subject == "ana@example.com invites you to x Bcc: y Click here on LLMRing"
    assert "to the project x Bcc: y Click here at http" in message.body


@pytest.mark.parametrize(
    "name",
    [
        *("Win at https://evil.test/a", "evil.test", "www.evil.test", "write to me@evil"),
        *("EVIL.IO now", "evil\uff0etest", "evil\u3002test", "evil\u200d.test", "ftp://1"),
    ],
)
def test_an_invitation_carries_no_address_of_others(ana, path, invite, name):
    ana.send("PATCH", path, {"name": name})
    token = invite()
    message = mails("ben@example.com")[-1]
    assert message.subject == "ana@example.com invites you to a project on LLMRing"
    assert "as member, to a project at http://localhost:8000.\n" in message.body
    assert message.body.count("://") == 2 and token in message.body


@pytest.mark.parametrize(
    ("name", "mailed"),
    [
        *[(name, name) for name in ("gpt-4.1 tests", "v2.0", "R. & D.", "نمی\u200cدانم", "日本語")],
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
    ],
)
def test_an_invitation_names_the_project_in_few_characters(ana, path, invite, name, mailed):
    ana.send("PATCH", path, {"name": name})
    invite()
    assert f" to the project {mailed} at http" in mails("ben@example.com")[-1].body


@pytest.mark.django_db(transaction=True)
def test_invitation_that_is_accepted_while_it_is_sent_again_ends_in_no_circle(
    ana, ben, invite, path, monkeypatch
):
    """Both need the project and the invitation: who has the one must not wait for the other."""
    token, is_locked = invite(), threading.Event()
    mark_verified = address_proofs.mark_verified

    def wait_for_the_other(*arguments):
        is_locked.set()
        waiting_sessions()
        mark_verified(*arguments)

    def resend():
        is_locked.wait(60)
        return ana.post_json(f"{path}/invitations/{invite.id}/resend", {}).status_code

    monkeypatch.setattr(address_proofs, "mark_verified", wait_for_the_other)
    outcomes = at_once(
        lambda: ben.post_json("/api/v1/invitations/accept", {"token": token}).status_code, resend
    )
    assert sorted(outcomes) == [200, 200] and sorted(roles(ben)) == ["member", "owner"]
