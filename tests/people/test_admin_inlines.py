"""The inlines of the admin show a page of their rows: a project may have thousands."""

import os
import re

import pytest

from accounts.models import ApiKey, AuditEvent, Membership, Project, User
from core.ids import uuid7
from tests.people.test_admin import PROJECT_INLINES, PROJECTS, inlines
from tests.staff import staff, superuser


@pytest.fixture
def big(db) -> Project:
    """A project of an owner, 50 members and 51 keys."""
    project = Project.objects.create(name="big")
    people = [
        User(username=f"p{n:02}", email=f"p{n:02}@example.com", password="!") for n in range(51)
    ]
    User.objects.bulk_create(people)
    Membership.objects.bulk_create(
        [Membership(user=user, project=project, role="member") for user in people]
    )
    Membership.objects.filter(user__username="p00").update(role="owner")
    keys = [
        ApiKey(id=uuid7(), project=project, name=f"key-{n:02}", digest=os.urandom(32))
        for n in range(51)
    ]
    ApiKey.objects.bulk_create(keys)
    return project


def shown(browser, project: Project, query: str = "") -> tuple[list[str], list[str]]:
    """The members and the keys on the page of a project."""
    html = browser.get(f"{PROJECTS}{project.pk}/change/{query}").content.decode()
    return (
        re.findall(r'href="/admin/accounts/user/[^"]+/change/">(p\d\d)@', html),
        re.findall(r">(key-\d\d)</a>", html),
    )


def form_of(row: Membership, role: str, page: str) -> dict:
    """The form of a project's page that shows this one member."""
    rows = {"memberships-TOTAL_FORMS": 1, "memberships-INITIAL_FORMS": 1, "memberships-page": page}
    member = {"id": row.pk, "project": row.project_id, "role": role}
    rows |= {f"memberships-0-{name}": value for name, value in member.items()}
    return {"name": "big", **inlines(PROJECT_INLINES), **rows}


def test_a_page_shows_fifty_members_and_keys_and_links_to_the_others(big):
    browser = superuser()
    members, keys = shown(browser, big)
    assert members == [f"p{n:02}" for n in range(50)]
    assert keys == [f"key-{n:02}" for n in range(50, 0, -1)]  # newest first
    html = browser.get(f"{PROJECTS}{big.pk}/change/").content.decode()
    assert 'href="?memberships-page=2#memberships-group"' in html
    assert 'href="?api_keys-page=2#api_keys-group"' in html
    members, keys = shown(browser, big, "?memberships-page=2&api_keys-page=2")
    assert (members, keys) == (["p50"], ["key-00"])


@pytest.mark.parametrize("page", ["0", "3", "-1", "x", "²", "9" * 5_000], ids=lambda text: text[:3])
def test_what_is_no_page_is_the_first(big, page):
    assert len(shown(superuser(), big, f"?memberships-page={page}")[0]) == 50


def test_a_role_of_a_later_page_is_changed(big):
    last = Membership.objects.get(user__username="p50")
    path = f"{PROJECTS}{big.pk}/change/?memberships-page=2"
    assert superuser().post(path, form_of(last, "viewer", "2")).status_code == 302
    last.refresh_from_db()
    assert last.role == "viewer" and big.memberships.count() == 51
    event = AuditEvent.objects.get(action="member.role")
    assert (event.user_id, event.details) == (last.user_id, {"old": "member", "new": "viewer"})


def test_a_member_who_has_moved_to_another_page_meanwhile_is_changed(big):
    """Somebody left: the second page that was opened before is none now."""
    last = Membership.objects.get(user__username="p50")
    Membership.objects.get(user__username="p01").delete()
    path = f"{PROJECTS}{big.pk}/change/?memberships-page=2"
    assert superuser().post(path, form_of(last, "viewer", "2")).status_code == 302
    last.refresh_from_db()
    assert last.role == "viewer"


def test_nobody_of_another_project_is_changed_by_their_membership(big):
    owner = User.objects.get(username="p00")
    other = Project.objects.create(name="other")
    row = Membership.objects.create(user=owner, project=other, role="owner")
    reply = superuser().post(f"{PROJECTS}{big.pk}/change/", form_of(row, "viewer", "1"))
    assert reply.status_code == 200  # with an error
    row.refresh_from_db()
    assert row.role == "owner"


def test_members_are_links_for_whoever_may_follow_them(big):
    browser = staff("view_project", "view_membership")
    html = browser.get(f"{PROJECTS}{big.pk}/change/").content.decode()
    assert "p07@example.com" in html and "/admin/accounts/user/" not in html


def test_a_person_of_many_projects_has_pages_too(db):
    user = User.objects.create_user("p00")
    projects = [Project(id=uuid7(), name=f"project-{n:02}") for n in range(51)]
    Project.objects.bulk_create(projects)
    Membership.objects.bulk_create(
        [Membership(user=user, project=project, role="owner") for project in projects]
    )
    page = f"/admin/accounts/user/{user.pk}/change/"
    html = superuser().get(page, {"memberships-page": "2"}).content.decode()
    assert set(re.findall(r">(project-\d\d)<", html)) == {"project-50"}
