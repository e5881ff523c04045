"""C02, C05: who is in a project, as what, and what each may do to the others."""

from functools import partial

import pytest

from accounts.models import ApiKey, AuditEvent, Membership, Project, User
from tests.client import ApiClient
from tests.people.conftest import PASSWORD, at_once


@pytest.fixture
def path(ana):
    return f"/api/v1/projects/{ana.account['project_id']}"


@pytest.fixture
def join(ana, person):
    """Adds a person to Ana's project."""

    def add(role: str, name: str = ""):
        made = person(f"{name or role}@example.com", is_verified=True)
        Membership.objects.create(user=made.user, project_id=ana.account["project_id"], role=role)
        return made

    return add


def role_of(made, ana) -> str | None:
    rows = Membership.objects.filter(user=made.user, project_id=ana.account["project_id"])
    return rows.values_list("role", flat=True).first()


def test_projects_are_created_renamed_and_archived(ana):
    [fault] = ana.send("POST", "/api/v1/projects", {"name": " "}, expect=422)["detail"]
    assert fault["loc"] == ["body", "name"]
    made = ana.send("POST", "/api/v1/projects", {"name": " search "})
    assert made["name"] == "search"
    assert (made["role"], made["archived_at"]) == ("owner", None)
    path = f"/api/v1/projects/{made['id']}"
    ana.send("PATCH", path, {"name": " "}, expect=422)
    assert ana.send("PATCH", path, {"name": "find"})["name"] == "find"
    assert [each["name"] for each in ana.read("/api/v1/projects")] == ["find", "My project"]
    _, key = ApiKey.issue(Project.objects.get(id=made["id"]))
    assert ApiClient(key).read("/api/v1/logs") == []
    assert ana.send("POST", f"{path}/archive")["archived_at"] is not None
    ApiClient(key).read("/api/v1/logs", expect=401)
    ana.send("PATCH", path, {"name": "x"}, expect=403)
    actions = AuditEvent.objects.filter(project_id=made["id"]).order_by("id")
    assert [each.action for each in actions] == [
        "project.create",
        "project.rename",
        "project.archive",
    ]


@pytest.mark.parametrize(
    ("method", "suffix"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("POST", "/archive"),
        ("POST", "/hand-over"),
        ("GET", "/members"),
        ("PATCH", "/members/{user}"),
        ("DELETE", "/members/{user}"),
        ("GET", "/invitations"),
        ("POST", "/invitations"),
        ("DELETE", "/invitations/{user}"),
        ("POST", "/invitations/{user}/resend"),
    ],
)
def test_strangers_find_no_project(ana, ben, path, method, suffix):
    before = list(Membership.objects.values())
    full = path + suffix.replace("{user}", str(ana.user.id))
    body = {"name": "x", "role": "viewer", "email": "x@example.com", "user_id": str(ben.user.id)}
    reply = ben.send(method, full, body if method in ("POST", "PATCH") else None, expect=404)
    assert reply == {"detail": "Project not found"}
    assert list(Membership.objects.values()) == before
    assert ben.read("/api/v1/projects")[0]["id"] != ana.account["project_id"]


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_c02_members_and_viewers_administer_nothing(ana, join, path, role):
    other = join(role)
    mine = f"{path}/members/{other.user.id}"
    for method, full, body in [
        ("PATCH", path, {"name": "x"}),
        ("POST", f"{path}/archive", None),
        ("POST", f"{path}/hand-over", {"user_id": str(other.user.id)}),
        ("PATCH", mine, {"role": "owner"}),
        ("DELETE", f"{path}/members/{ana.user.id}", None),
        ("GET", f"{path}/invitations", None),
        ("POST", f"{path}/invitations", {"email": "x@example.com", "role": "owner"}),
    ]:
        other.send(method, full, body, expect=403)
    assert role_of(other, ana) == role and role_of(ana, ana) == "owner"
    emails = [each["email"] for each in other.read(f"{path}/members")]
    assert emails == ["ana@example.com", f"{role}@example.com"]


def test_c02_admins_do_not_touch_owners(ana, join, path):
    admin, member = join("admin"), join("member")
    refused = "Only an owner makes, demotes or removes owners"
    owner = f"{path}/members/{ana.user.id}"
    for method, full, body in [
        ("PATCH", f"{path}/members/{member.user.id}", {"role": "owner"}),
        ("PATCH", f"{path}/members/{admin.user.id}", {"role": "owner"}),
        ("PATCH", owner, {"role": "viewer"}),
        ("DELETE", owner, None),
        ("POST", f"{path}/invitations", {"email": "x@example.com", "role": "owner"}),
    ]:
        assert admin.send(method, full, body, expect=403) == {"detail": refused}
    admin.send("POST", f"{path}/archive", expect=403)
    admin.send("POST", f"{path}/hand-over", {"user_id": str(member.user.id)}, expect=403)
    admin.send("PATCH", f"{path}/members/{member.user.id}", {"role": "admin"})
    assert role_of(member, ana) == "admin" and role_of(ana, ana) == "owner"


@pytest.mark.parametrize("role", ["root", "", None, ["owner"]])
def test_c02_unknown_roles_are_422(ana, join, path, role):
    other = join("member")
    ana.send("PATCH", f"{path}/members/{other.user.id}", {"role": role}, expect=422)


def test_a_removed_member_sees_nothing_from_then_on(ana, join, path):
    other = join("member")
    header = {"HTTP_X_PROJECT_ID": ana.account["project_id"]}
    other.read("/api/v1/logs", **header)
    ana.send("DELETE", f"{path}/members/{other.user.id}")
    other.read(path, expect=404)
    other.read("/api/v1/logs", **header, expect=401)
    event = AuditEvent.objects.get(action="member.remove")
    assert (event.user_id, event.details["role"]) == (other.user.id, "member")


def test_staff_see_every_project_and_superusers_change_them(ana, ben, path):
    User.objects.filter(pk=ben.user.pk).update(is_staff=True)
    assert ana.account["project_id"] in [each["id"] for each in ben.read("/api/v1/projects")]
    assert ben.read(path)["role"] is None
    ben.send("PATCH", path, {"name": "x"}, expect=403)
    header = {"HTTP_X_PROJECT_ID": ana.account["project_id"]}
    assert ben.read("/api/v1/logs", **header) == []
    ben.send("POST", "/api/v1/keys", {}, **header, expect=403)
    User.objects.filter(pk=ben.user.pk).update(is_superuser=True)
    assert ben.send("PATCH", path, {"name": "x"})["name"] == "x"
    ben.send("POST", "/api/v1/keys", {}, **header)


# --- C05 ---------------------------------------------------------------------

HAND_OVER = {
    "detail": "A project keeps an owner: hand it over to another member, or archive it, first"
}


def test_c05_the_last_owner_is_told_what_to_do(ana, join, path):
    join("admin")
    mine = f"{path}/members/{ana.user.id}"
    assert ana.send("DELETE", mine, expect=409) == HAND_OVER
    assert ana.send("PATCH", mine, {"role": "admin"}, expect=409) == HAND_OVER
    deletion = {"password": PASSWORD}
    assert ana.send("POST", "/api/v1/auth/delete-account", deletion, expect=409) == HAND_OVER
    assert role_of(ana, ana) == "owner" and ana.is_logged_in
    assert not AuditEvent.objects.filter(action="person.delete").exists()


def test_c05_handing_over_is_one_step(ana, join, path):
    other = join("member")
    ana.send("POST", f"{path}/hand-over", {"user_id": str(other.user.id)})
    assert (role_of(ana, ana), role_of(other, ana)) == ("admin", "owner")
    ana.send("DELETE", f"{path}/members/{ana.user.id}")
    assert Membership.objects.filter(project_id=ana.account["project_id"]).count() == 1


def test_c05_an_owner_of_an_archived_project_may_leave(ana, path):
    ana.send("POST", f"{path}/archive")
    ana.send("DELETE", f"{path}/members/{ana.user.id}")
    assert not Membership.objects.exists()


def test_c05_the_admin_explains_its_refusal(ana, browser):
    """Set inactive, demoted in a form, deleted: each by a superuser in the admin."""
    boss = User.objects.create_superuser("boss", password=PASSWORD)
    admin = browser()
    admin.submit("/admin/login/", {"username": "boss", "password": PASSWORD})
    page = f"/admin/accounts/user/{ana.user.id}/change/"
    membership = Membership.objects.get(user=ana.user)
    inlines = {
        "identities-TOTAL_FORMS": 0,
        "identities-INITIAL_FORMS": 0,
        "memberships-TOTAL_FORMS": 1,
        "memberships-INITIAL_FORMS": 1,
        "memberships-0-id": membership.id,
        "memberships-0-user": ana.user.id,
        "memberships-0-project": membership.project_id,
    }
    form = {"username": ana.user.username, "email": ana.email, "date_joined_0": "2026-01-01"}
    form |= {"date_joined_1": "00:00:00", **inlines}
    for change in [
        {"memberships-0-role": "owner"},  # is_active is not ticked
        {"is_active": "on", "memberships-0-role": "viewer"},
        {"is_active": "on", "memberships-0-role": "owner", "memberships-0-DELETE": "on"},
    ]:
        reply = admin.submit(page, {**form, **change}, follow=True)
        assert "A project keeps an owner" in reply.content.decode(), change
    delete = f"/admin/accounts/user/{ana.user.id}/delete/"
    reply = admin.submit(delete, {"post": "yes"}, follow=True)
    assert "A project keeps an owner" in reply.content.decode()
    ana.user.refresh_from_db()
    assert ana.user.is_active and role_of(ana, ana) == "owner"
    admin.submit(page, {**form, "is_active": "on", "memberships-0-role": "owner"})
    event = AuditEvent.objects.get(action="person.change")
    assert event.actor == f"user:{boss.id}"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moves", ["demote", "leave", "leave and removed"])
def test_c05_of_two_owners_who_go_at_once_one_stays(ana, join, path, moves):
    other = join("owner", "other")

    def go(browser, target, method) -> int:
        full = f"{path}/members/{target.user.id}"
        body = '{"role": "viewer"}'
        return browser.generic(method, full, body, content_type="application/json").status_code

    for _ in range(17):  # 50 rounds in all
        Membership.objects.update_or_create(
            user=ana.user, project_id=ana.account["project_id"], defaults={"role": "owner"}
        )
        Membership.objects.update_or_create(
            user=other.user, project_id=ana.account["project_id"], defaults={"role": "owner"}
        )
        first, second = {
            "demote": ((ana, other, "PATCH"), (other, ana, "PATCH")),
            "leave": ((ana, ana, "DELETE"), (other, other, "DELETE")),
            "leave and removed": ((ana, ana, "DELETE"), (ana, other, "DELETE")),
        }[moves]
        outcomes = at_once(partial(go, *first), partial(go, *second))
        owners = Membership.objects.filter(role="owner", project_id=ana.account["project_id"])
        assert owners.count() == 1, outcomes
        # Who comes second is the last owner, or no owner and no member any more.
        assert sorted(outcomes)[0] == 200 and sorted(outcomes)[1] in (403, 404, 409), outcomes


def test_a_project_is_not_handed_over_to_who_is_deactivated(ana, join, path, anonymous):
    other = join("admin")
    other.send("POST", f"/api/v1/projects/{other.account['project_id']}/archive")
    User.objects.filter(pk=other.user.pk).update(is_active=False)
    ana.send("POST", f"{path}/hand-over", {"user_id": str(other.user.id)}, expect=409)
    assert role_of(ana, ana) == "owner"
    paths = anonymous.read("/openapi.json")["paths"]
    assert "409" in paths["/api/v1/projects/{project_id}/hand-over"]["post"]["responses"]


def test_a_project_that_is_taken_back_has_the_members_that_it_still_has(ana, path, boss):
    """The management API knows projects without people; staff give it an owner."""
    ana.send("POST", f"{path}/archive")
    ana.send("POST", "/api/v1/auth/delete-account", {"password": PASSWORD})
    id = ana.account["project_id"]
    manager = ApiClient()
    manager.force_login(User.objects.get(username="boss"))
    manager.send("PATCH", f"/manage/projects/{id}", {"is_active": True})
    assert Project.objects.get(pk=id).archived_at is None
    assert not Membership.objects.filter(project_id=id).exists()
