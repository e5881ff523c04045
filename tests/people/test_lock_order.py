"""Changes of the same people, projects and keys at one moment wait, but not for each other."""

import threading

import pytest
from django.utils import timezone

from accounts import login_keys, projects
from accounts.admin import ProjectAdmin, UserAdmin
from accounts.models import Membership, Project, User
from accounts.people import account_deletion, address_proofs
from tests.people.conftest import PASSWORD, mails, reset_token, token_in
from tests.people.test_admin import PEOPLE, PROJECTS, change_person, project_form, rows_of
from tests.threads import at_once
from tests.waiting_sessions import waiting_sessions

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def member(ana, ben):
    """Ben, a member of Ana's project alone, with a key of a login there."""
    Project.objects.filter(pk=ben.account["project_id"]).update(archived_at=timezone.now())
    Membership.objects.create(user=ben.user, project_id=ana.account["project_id"], role="member")
    ben.log_in("ben@example.com")
    return ben


@pytest.fixture
def meanwhile(monkeypatch):
    """A function: what two requests return, of which the second comes while the first is at
    the function, and waits there until another one waits for it."""

    def run(first, second, *, owner, name: str) -> list:
        is_there, function = threading.Event(), getattr(owner, name)

        def pausing(*arguments, **named):
            if not is_there.is_set():
                is_there.set()
                waiting_sessions()
            return function(*arguments, **named)

        def later():
            is_there.wait(60)
            return second()

        monkeypatch.setattr(owner, name, pausing)
        return sorted(at_once(first, later))

    return run


@pytest.fixture
def other_boss(browser):
    User.objects.create_superuser("other", password=PASSWORD)
    made = browser()
    made.submit("/admin/login/", {"username": "other", "password": PASSWORD})
    return made


def delete_account(browser) -> int:
    body = {"password": PASSWORD}
    return browser.post_json("/api/v1/auth/delete-account", body).status_code


def test_member_is_removed_while_deleting_the_account(ana, member, meanwhile):
    path = f"/api/v1/projects/{ana.account['project_id']}/members/{member.user.id}"
    outcomes = meanwhile(
        lambda: ana.delete(path).status_code,
        lambda: delete_account(member),
        owner=login_keys,
        name="revoke_excess",
    )
    assert outcomes == [200, 200]
    assert not User.objects.filter(pk=member.user.pk).exists()


def test_claimed_account_is_removed_while_its_password_is_reset(person, ana, meanwhile):
    """A reset that proves the address removes whom the account added; they may remove it."""
    claimed = person("gus@example.com")
    project = claimed.account["project_id"]
    Membership.objects.create(user=ana.user, project_id=project, role="owner")
    claimed.log_in("gus@example.com")
    body = {"token": reset_token("gus@example.com"), "password": "another long password"}
    outcomes = meanwhile(
        lambda: ana.delete(f"/api/v1/projects/{project}/members/{claimed.user.pk}").status_code,
        lambda: claimed.post_json("/api/v1/password-reset/confirm", body).status_code,
        owner=login_keys,
        name="revoke_excess",
    )
    assert outcomes == [200, 200]
    assert [each.user_id for each in Membership.objects.filter(project=project)] == [ana.user.pk]


def test_invitation_is_accepted_while_deleting_the_account(ana, member, meanwhile):
    """The invitation of an owner, who still has the key of the registration."""
    User.objects.filter(pk=member.user.pk).update(email_verified_at=None)
    Membership.objects.filter(user=member.user, role="member").update(role="owner")
    path = f"/api/v1/projects/{ana.account['project_id']}/invitations"
    ana.send("POST", path, {"email": "ben@example.com", "role": "admin"})
    token = token_in(mails("ben@example.com")[-1])
    outcomes = meanwhile(
        lambda: member.post_json("/api/v1/invitations/accept", {"token": token}).status_code,
        lambda: delete_account(member),
        owner=address_proofs,
        name="mark_verified",
    )
    assert outcomes == [200, 200]
    assert not User.objects.filter(pk=member.user.pk).exists()


def act_on(boss, path: str, action: str, rows, **form) -> int:
    """The status of an action of a list on these rows."""
    form |= {"action": action, "_selected_action": [str(each.pk) for each in rows]}
    return boss.submit(path, form).status_code


def test_staff_delete_the_same_people_in_opposite_order(boss, other_boss, ana, ben, meanwhile):
    Project.objects.update(archived_at=timezone.now())
    people, form = [ana.user, ben.user], {"post": "yes"}
    outcomes = meanwhile(
        lambda: act_on(boss, f"{PEOPLE}?o=2", "delete_selected", people, **form),
        lambda: act_on(other_boss, f"{PEOPLE}?o=-2", "delete_selected", people, **form),
        owner=account_deletion.sessions,
        name="end_sessions",
    )
    assert outcomes == [302, 302]
    assert not User.objects.filter(is_superuser=False).exists()


def test_invitation_is_accepted_while_staff_delete_both(boss, ana, ben, meanwhile):
    """Staff delete whom an invitation is from and for, in an order that is not the request's."""
    path = f"/api/v1/projects/{ana.account['project_id']}/invitations"
    ana.send("POST", path, {"email": "ben@example.com", "role": "admin"})
    token = token_in(mails("ben@example.com")[-1])
    Project.objects.filter(pk=ben.account["project_id"]).update(archived_at=timezone.now())
    Membership.objects.create(
        user=User.objects.get(username="boss"), project_id=ana.account["project_id"], role="owner"
    )
    outcomes = meanwhile(
        lambda: ben.post_json("/api/v1/invitations/accept", {"token": token}).status_code,
        lambda: act_on(boss, PEOPLE, "delete_selected", [ana.user, ben.user], post="yes"),
        owner=address_proofs,
        name="mark_verified",
    )
    assert outcomes == [200, 302]
    assert not User.objects.filter(is_superuser=False).exists()


def test_staff_archive_the_same_projects_in_opposite_order(boss, other_boss, ana, ben, meanwhile):
    rows = list(Project.objects.all())
    Project.objects.filter(pk=rows[0].pk).update(name="another")
    outcomes = meanwhile(
        lambda: act_on(boss, f"{PROJECTS}?o=1", "archive", rows, confirmed="yes"),
        lambda: act_on(other_boss, f"{PROJECTS}?o=-1", "archive", rows, confirmed="yes"),
        owner=projects.audit,
        name="record",
    )
    assert outcomes == [302, 302]
    assert not Project.objects.filter(archived_at=None).exists()


def test_project_that_is_archived_during_a_form_of_staff_stays_so(boss, ana, meanwhile):
    """The form stores all columns of the project, as it has read them."""
    project = Project.objects.get(pk=ana.account["project_id"])
    form = project_form(project, name="renamed")
    outcomes = meanwhile(
        lambda: boss.submit(f"{PROJECTS}{project.pk}/change/", form).status_code,
        lambda: ana.post_json(f"/api/v1/projects/{project.pk}/archive", {}).status_code,
        owner=ProjectAdmin,
        name="save_form",
    )
    assert outcomes == [200, 302]
    project.refresh_from_db()
    assert project.name == "renamed" and project.archived_at is not None


def test_password_that_is_reset_during_a_form_of_staff_stays(boss, ana, browser, meanwhile):
    body = {"token": reset_token("ana@example.com"), "password": "another long password"}
    outcomes = meanwhile(
        lambda: change_person(boss, ana.user, first_name="Ana").status_code,
        lambda: browser().post_json("/api/v1/password-reset/confirm", body).status_code,
        owner=UserAdmin,
        name="save_form",
    )
    assert outcomes == [200, 302]
    ana.user.refresh_from_db()
    assert ana.user.first_name == "Ana" and ana.user.check_password("another long password")


def test_member_whom_staff_add_deletes_the_account(boss, ana, ben, meanwhile):
    Project.objects.filter(pk=ben.account["project_id"]).update(archived_at=timezone.now())
    project = Project.objects.get(pk=ana.account["project_id"])
    own = project.memberships.get()
    form = project_form(project, **rows_of("memberships", own))
    form |= {"memberships-TOTAL_FORMS": 2, "memberships-1-user": str(ben.user.id)}
    form |= {"memberships-1-project": str(project.pk), "memberships-1-role": "viewer"}
    outcomes = meanwhile(
        lambda: boss.submit(f"{PROJECTS}{project.pk}/change/", form).status_code,
        lambda: delete_account(ben),
        owner=ProjectAdmin,
        name="save_form",
    )
    assert outcomes == [200, 302]
    assert not User.objects.filter(pk=ben.user.pk).exists()
    assert [each.user for each in project.memberships.all()] == [ana.user]
