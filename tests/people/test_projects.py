"""C02, C05: who is in a project, as what, and what each may do to the others."""

from functools import partial

import pytest
from django.utils import timezone

from accounts.models import ApiKey, AuditEvent, Membership, Project, User
from core.ids import uuid7
from tests import openapi
from tests.client import ApiClient
from tests.people.conftest import PASSWORD
from tests.threads import at_once

FORMSETS = ("memberships", "api_keys")


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
    for _ in range(2):
        assert ana.send("PATCH", path, {"name": "find"})["name"] == "find"
    assert AuditEvent.objects.filter(action="project.rename").count() == 1
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


INVISIBLE = ["\u200b", "\u2060\ufeff", "\u3164", "\u2800 \u2800", "\u202e", "\u0301"]


@pytest.mark.parametrize("name", INVISIBLE)
def test_a_name_that_nobody_sees_is_none(ana, path, name, boss, browser):
    [fault] = ana.send("POST", "/api/v1/projects", {"name": name}, expect=422)["detail"]
    assert (fault["loc"], fault["type"]) == (["body", "name"], "invisible")
    ana.send("PATCH", path, {"name": name}, expect=422)
    form = {"name": name, "form_id": uuid7()}
    assert ana.submit("/projects", form).status_code == 422
    assert ana.submit(path.replace("/api/v1", "") + "/rename", form).status_code == 422
    management = {f"{kind}-{count}_FORMS": 0 for kind in FORMSETS for count in ("TOTAL", "INITIAL")}
    reply = boss.submit("/admin/accounts/project/add/", {"name": name} | management)
    assert reply.status_code == 200 and "visible character" in reply.content.decode()
    assert Project.objects.get().name == "My project"
    body = {"email": "eve@example.com", "password": PASSWORD, "organization": name}
    made = browser().send("POST", "/api/v1/register", body)
    assert Project.objects.get(id=made["project_id"]).name == "My project"


@pytest.mark.parametrize("name", ["x", "-", "日本", "🚀", "e\u0301", "\u200bx", "नमस्ते"])
def test_a_name_needs_one_visible_character(ana, name):
    assert ana.send("POST", "/api/v1/projects", {"name": name})["name"] == name


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


@pytest.fixture
def keys_of(ana, browser):
    """Has a member of Ana's project log in and make a key there; both keys as clients."""

    def make(member):
        project_id = ana.account["project_id"]
        others = Project.objects.filter(memberships__user=member.user).exclude(id=project_id)
        others.update(archived_at=timezone.now())
        logged_in = browser().log_in(member.email)
        assert logged_in["project_id"] == project_id
        header = {"HTTP_X_PROJECT_ID": project_id}
        own = member.send("POST", "/api/v1/keys", {"scopes": ["read"]}, **header)
        return ApiClient(logged_in["api_key"]), ApiClient(own["api_key"])

    return make


@pytest.mark.parametrize("who", ["owner", "member"])
def test_a_removed_members_login_key_ends_and_keys_made_on_purpose_stay(
    ana, join, path, keys_of, who
):
    other = join("admin")
    login_key, own_key = keys_of(other)
    login_key.read("/api/v1/logs")
    remover = ana if who == "owner" else other
    remover.send("DELETE", f"{path}/members/{other.user.id}")
    login_key.read("/api/v1/logs", expect=401)
    own_key.read("/api/v1/logs")
    event = AuditEvent.objects.get(action="key.revoke")
    row = ApiKey.objects.get(id=event.api_key_id)
    assert (row.created_by_id, row.is_from_login, row.state) == (other.user.id, True, "revoked")


@pytest.mark.parametrize(
    ("role", "status"), [("owner", 200), ("admin", 200), ("member", 401), ("viewer", 401)]
)
def test_a_login_key_ends_with_the_role_that_it_needs(ana, join, path, keys_of, role, status):
    other = join("admin")
    login_key, _ = keys_of(other)
    ana.send("PATCH", f"{path}/members/{other.user.id}", {"role": role})
    login_key.read("/api/v1/keys", expect=status)


def test_an_owner_who_hands_over_keeps_the_keys_of_an_admin(ana, join, path, browser):
    login_key = ApiClient(browser().log_in(ana.email)["api_key"])
    ana.send("POST", f"{path}/hand-over", {"user_id": str(join("member").user.id)})
    login_key.read("/api/v1/keys")


def test_a_login_key_of_another_project_stays(ana, join, path, browser):
    other = join("member")
    login_key = ApiClient(browser().log_in(other.email)["api_key"])
    ana.send("DELETE", f"{path}/members/{other.user.id}")
    login_key.read("/api/v1/logs")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_login_during_a_removal_leaves_no_key_that_works(ana, join, path, browser):
    project_id = ana.account["project_id"]
    other = join("admin")
    own = Project.objects.filter(memberships__user=other.user).exclude(id=project_id)
    own.update(archived_at=timezone.now())
    body = {"email": other.email, "password": PASSWORD}
    for _ in range(10):
        Membership.objects.get_or_create(
            user=other.user, project_id=project_id, defaults={"role": "admin"}
        )
        at_once(
            lambda: browser().post_json("/api/v1/login", body),
            lambda: ana.delete(f"{path}/members/{other.user.id}"),
        )
        working = ApiKey.objects.usable().filter(created_by=other.user).exclude(scopes=[])
        assert not working.exists()


def form_of_person(made, **changes) -> dict:
    """What the admin's page of a person sends, with the person's memberships."""
    form = {"username": made.user.username, "email": made.email, "is_active": "on"}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    form |= {"identities-TOTAL_FORMS": 0, "identities-INITIAL_FORMS": 0}
    rows = Membership.objects.filter(user=made.user)
    form |= {"memberships-TOTAL_FORMS": len(rows), "memberships-INITIAL_FORMS": len(rows)}
    for number, row in enumerate(rows):
        columns = {"id": row.id, "user": row.user_id, "project": row.project_id, "role": row.role}
        form |= {f"memberships-{number}-{name}": value for name, value in columns.items()}
    form |= changes
    return {name: value for name, value in form.items() if value is not None}


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"is_active": None},
        {"memberships-0-role": "viewer"},
        {"memberships-0-DELETE": "on"},
    ],
    ids=["set inactive", "demoted", "removed"],
)
def test_login_keys_end_with_access_that_the_admin_takes_away(join, browser, keys_of, change):
    User.objects.create_superuser("boss", password=PASSWORD)
    boss, other = browser(), join("admin")
    boss.submit("/admin/login/", {"username": "boss", "password": PASSWORD})
    login_key, own_key = keys_of(other)
    Membership.objects.filter(user=other.user, role="owner").delete()  # of an archived project
    page = f"/admin/accounts/user/{other.user.id}/change/"
    boss.submit(page, form_of_person(other))
    login_key.read("/api/v1/logs")
    assert boss.submit(page, form_of_person(other, **change)).status_code == 302
    login_key.read("/api/v1/logs", expect=401)
    own_key.read("/api/v1/logs")


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
    ana.send("POST", f"{path}/hand-over", {"user_id": str(ana.user.id)})
    assert (role_of(ana, ana), role_of(other, ana)) == ("owner", "member")
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


@pytest.mark.django_db(transaction=True)
def test_an_account_that_is_deleted_several_times_at_once_is_deleted_once(ana, path):
    ana.send("POST", f"{path}/archive")
    body = {"password": PASSWORD}
    calls = [partial(ana.post_json, "/api/v1/auth/delete-account", body)] * 4
    assert {reply.status_code for reply in at_once(*calls)} <= {200, 401}
    assert AuditEvent.objects.filter(action="person.delete").count() == 1


def test_a_project_is_not_handed_over_to_who_is_deactivated(ana, join, path):
    other = join("admin")
    other.send("POST", f"/api/v1/projects/{other.account['project_id']}/archive")
    User.objects.filter(pk=other.user.pk).update(is_active=False)
    ana.send("POST", f"{path}/hand-over", {"user_id": str(other.user.id)}, expect=409)
    assert role_of(ana, ana) == "owner"
    paths = openapi.document()["paths"]
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
