"""People and their projects in the admin: what staff change there, and what is recorded of it."""

import io
import json
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import (
    ApiKey,
    AuditEvent,
    BrowserSession,
    Identity,
    Membership,
    Project,
    Tier,
    User,
)
from core.ids import uuid7
from llmring_site import first_accounts
from tests.client import ApiClient
from tests.people.conftest import BROWSER, PASSWORD, mails, reset_token, token_in
from tests.people.provider import log_in

PEOPLE = "/admin/accounts/user/"
PROJECTS = "/admin/accounts/project/"
GROUPS = "/admin/auth/group/"
CONFIRM = "/api/v1/password-reset/confirm"
PERSON_INLINES = ("memberships", "identities")
PROJECT_INLINES = ("memberships", "api_keys")
NEW = "another long sentence"


def join(owner, other, role: str) -> Membership:
    """Make a person a member of another one's project."""
    project_id = UUID(owner.account["project_id"])
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


def change_own_password(browser, old: str):
    form = {"old_password": old, "new_password1": NEW, "new_password2": NEW}
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
    log_in(browser(), provider)
    assert not ana.is_logged_in
    ApiClient(ana.account["api_key"]).read("/api/v1/logs", expect=401)
    assert recorded("person.take_over")


def project_form(project, **form) -> dict:
    return {"name": project.name, "tier": "", **inlines(PROJECT_INLINES), **form}


def rows_of(name: str, *rows, **changes) -> dict:
    """The form of an inline: the rows as they are, the first one with changes."""
    form = {f"{name}-TOTAL_FORMS": len(rows), f"{name}-INITIAL_FORMS": len(rows)}
    for n, row in enumerate(rows):
        columns = {"id": row.id, "user": row.user_id}
        if name == "memberships":
            columns |= {"project": row.project_id, "role": row.role}
        if n == 0:
            columns |= changes
        form |= {f"{name}-{n}-{column}": str(value) for column, value in columns.items()}
    return form


def test_groups_are_on_record_with_their_permissions(boss):
    view, change = (Permission.objects.get(codename=f"{verb}_user") for verb in ("view", "change"))
    boss.submit(f"{GROUPS}add/", {"name": "ops", "permissions": [view.pk]})
    group = Group.objects.get()
    form = {"name": "operators", "permissions": [view.pk, change.pk]}
    boss.submit(f"{GROUPS}{group.pk}/change/", form)
    boss.submit(f"{GROUPS}{group.pk}/delete/", {"post": "yes"})
    made, changed, deleted = AuditEvent.objects.filter(action__startswith="group.").order_by("id")
    first = {"name": "ops", "permissions": ["accounts.view_user"]}
    second = ["accounts.change_user", "accounts.view_user"]
    assert (made.action, made.details["new"]) == ("group.create", first)
    assert (changed.action, changed.details["old"]) == ("group.change", first)
    assert changed.details["new"] == {"name": "operators", "permissions": second}
    assert (deleted.action, deleted.details) == ("group.delete", {"name": "operators"})


def test_a_person_s_groups_and_permissions_are_on_record(boss, ana):
    permission = Permission.objects.get(codename="change_user")
    group = Group.objects.create(name="ops")
    form = {"is_staff": "on", "user_permissions": [permission.pk], "groups": [group.pk]}
    change_person(boss, ana.user, **form)
    event = AuditEvent.objects.get(action="person.change")
    assert event.details["old"] == {"is_staff": False, "groups": [], "user_permissions": []}
    assert event.details["new"] == {
        "is_staff": True,
        "groups": ["ops"],
        "user_permissions": ["accounts.change_user"],
    }


def test_projects_are_made_and_renamed_on_record(boss):
    boss.submit(f"{PROJECTS}add/", {"name": "made", "tier": "", **inlines(PROJECT_INLINES)})
    project = Project.objects.get()
    manager = ApiClient()
    manager.force_login(User.objects.get(username="boss"))
    before = manager.read(f"/manage/projects/{project.id}")["updated_at"]
    boss.submit(f"{PROJECTS}{project.id}/change/", project_form(project, name="renamed"))
    made, renamed = AuditEvent.objects.filter(project_id=project.id).order_by("id")
    assert (made.action, made.details) == ("project.create", {"name": "made"})
    assert (renamed.action, renamed.details["old"]) == ("project.rename", "made")
    assert manager.read(f"/manage/projects/{project.id}")["updated_at"] > before


def test_a_role_that_staff_change_is_on_record_with_the_old_one(boss, ana, ben):
    row, own = join(ana, ben, "member"), Membership.objects.get(user=ana.user)
    form = project_form(row.project, **rows_of("memberships", row, own, role="owner"))
    boss.submit(f"{PROJECTS}{row.project_id}/change/", form)
    event = AuditEvent.objects.get(action="member.role")
    assert (event.project_id, event.user_id) == (row.project_id, ben.user.id)
    assert event.details == {"old": "member", "new": "owner"}


def test_a_refused_form_of_a_project_keeps_what_was_typed(boss, ana):
    own = Membership.objects.select_related("project").get(user=ana.user)
    page = f"{PROJECTS}{own.project_id}/change/"
    form = project_form(own.project, name="renamed", **rows_of("memberships", own, role="viewer"))
    shown = boss.submit(page, form)
    assert shown.status_code == 200 and "keeps an owner" in shown.text
    assert 'value="renamed"' in shown.text and "changed successfully" not in shown.text
    own.refresh_from_db()
    assert (own.role, own.project.name) == ("owner", Project.objects.get(id=own.project_id).name)
    assert not recorded("project.rename", "member.role")
    assert "changed successfully" not in boss.get(page).text


def test_a_refused_form_of_a_person_keeps_what_was_typed(boss, ana):
    own = Membership.objects.get(user=ana.user)
    form = {"first_name": "Renamed", **rows_of("memberships", own, role="viewer")}
    shown = change_person(boss, ana.user, **form)
    assert "keeps an owner" in shown.text and 'value="Renamed"' in shown.text
    own.refresh_from_db()
    assert own.role == "owner" and not recorded("person.change", "member.role")


def test_a_membership_stays_in_its_project(boss, ana, ben, cleo):
    row, own = join(ana, ben, "member"), Membership.objects.get(user=ben.user, role="owner")
    changes = {"project": cleo.account["project_id"], "role": "viewer"}
    change_person(boss, ben.user, **rows_of("memberships", row, own, **changes))
    moved = Membership.objects.get(pk=row.pk)
    assert (moved.project_id, moved.role) == (row.project_id, "viewer")


def test_members_whom_staff_add_and_remove_are_on_record(boss, ana, ben):
    own = Membership.objects.get(user=ana.user)
    form = rows_of("memberships", own)
    form |= {"memberships-TOTAL_FORMS": 2, "memberships-1-user": str(ben.user.id)}
    form |= {"memberships-1-project": str(own.project_id), "memberships-1-role": "admin"}
    boss.submit(f"{PROJECTS}{own.project_id}/change/", project_form(own.project, **form))
    added = Membership.objects.get(project=own.project, user=ben.user)
    form = project_form(own.project, **rows_of("memberships", added, own, DELETE="on"))
    boss.submit(f"{PROJECTS}{own.project_id}/change/", form)
    events = AuditEvent.objects.filter(action__startswith="member.").order_by("id")
    assert [(each.action, each.user_id, each.details) for each in events] == [
        ("member.add", ben.user.id, {"new": "admin"}),
        ("member.remove", ben.user.id, {"role": "admin"}),
    ]


def test_a_page_of_a_project_with_many_members_and_keys_takes_no_more_queries(boss, ana, ben, cleo):
    own = Membership.objects.select_related("project").get(user=ana.user)
    page, counts = f"{PROJECTS}{own.project_id}/change/", []
    boss.get(page)  # content types are read once in a process
    for other in (ben, cleo):
        row = join(ana, other, "member")
        key, _ = ApiKey.issue(own.project, name=f"key of {other.user}")
        with CaptureQueriesContext(connection) as queries:
            html = boss.get(page).text
        counts.append(len(queries))
        assert f'/admin/accounts/user/{other.user.pk}/change/">{other.user}</a>' in html
        assert f'/admin/accounts/apikey/{key.pk}/change/">{key.name}</a>' in html
        assert html.count(key.name) == 1 and str(row) not in html  # no title over the row
    assert counts[0] == counts[1]


def test_a_member_is_added_once(boss, ana, ben):
    """The page was opened before Ben accepted an invitation: it does not list him."""
    own = Membership.objects.get(user=ana.user)
    form = rows_of("memberships", own)
    form |= {"memberships-TOTAL_FORMS": 2, "memberships-1-user": str(ben.user.id)}
    form |= {"memberships-1-project": str(own.project_id), "memberships-1-role": "admin"}
    join(ana, ben, "viewer")
    page = boss.submit(f"{PROJECTS}{own.project_id}/change/", project_form(own.project, **form))
    assert page.status_code == 200
    assert "This person is a member of the project already." in page.text
    assert own.project.memberships.get(user=ben.user).role == "viewer"


@pytest.mark.parametrize("id", ["1", "None", "١٢٣"])
def test_what_is_no_id_is_explained_in_a_form(boss, ana, id):
    own = Membership.objects.get(user=ana.user)
    form = rows_of("memberships", own)
    form |= {"memberships-TOTAL_FORMS": 2, "memberships-1-user": id, "memberships-1-role": "admin"}
    path = f"{PROJECTS}{own.project_id}/change/"
    page = boss.submit(path, project_form(own.project, **form))
    assert page.status_code == 200 and "is not a valid UUID" in page.text
    page = boss.submit("/admin/accounts/apikey/add/", key_form(project=id))
    assert page.status_code == 200 and "is not a valid UUID" in page.text
    assert own.project.memberships.count() == 1


def test_a_provider_s_identity_that_staff_remove_is_on_record(boss, ana):
    row = Identity.objects.create(user=ana.user, provider="github", subject="1")
    change_person(boss, ana.user, **rows_of("identities", row, DELETE="on"))
    assert not Identity.objects.exists()
    event = AuditEvent.objects.get(action="identity.unlink")
    assert (event.user_id, event.details) == (ana.user.id, {"provider": "github"})


def test_a_deleted_tier_is_on_record(boss):
    tier = Tier.objects.create(name="gone")
    boss.submit(f"/admin/accounts/tier/{tier.pk}/delete/", {"post": "yes"})
    assert not Tier.objects.filter(pk=tier.pk).exists()
    assert AuditEvent.objects.get(action="tier.delete").details == {"name": "gone"}


def test_a_changed_key_is_on_record_with_what_it_was(boss, project):
    key, _ = ApiKey.issue(project, name="laptop")
    page = f"/admin/accounts/apikey/{key.id}/change/"
    boss.submit(page, {"name": "laptop", "scopes": ["log"], "expires_at_0": "", "expires_at_1": ""})
    event = AuditEvent.objects.get(action="key.change")
    changes = {"old": {"scopes": ["all"]}, "new": {"scopes": ["log"]}}
    assert event.details == {"hint": key.hint, **changes}


def key_form(**changes: object) -> dict:
    return {"name": "laptop", "scopes": ["log"], "expires_at_0": "", "expires_at_1": "", **changes}


PAST = {"expires_at_0": "2020-01-01", "expires_at_1": "00:00:00"}


def test_staff_make_no_key_that_has_expired(boss, project):
    form = key_form(project=project.id, **PAST)
    page = boss.submit("/admin/accounts/apikey/add/", form)
    assert "The time is past; a key is ended by revoking it." in page.text
    assert not ApiKey.objects.filter(name="laptop").exists()


@pytest.mark.parametrize("change", [PAST, {"scopes": []}])
def test_staff_end_a_key_by_revoking_it_alone(boss, project, change):
    """As `PATCH /keys/{id}` refuses a time that is past and an empty list of scopes."""
    key, text = ApiKey.issue(project, name="laptop")
    page = boss.submit(f"/admin/accounts/apikey/{key.id}/change/", key_form(**change))
    assert "a key is ended by revoking it" in page.text
    ApiClient(text).read("/api/v1/logs")


def test_staff_do_not_revive_an_expired_key(boss, project):
    """As `PATCH /keys/{id}`, which changes no more than its name."""
    key, text = ApiKey.issue(project, name="laptop")
    ApiKey.objects.filter(id=key.id).update(expires_at=timezone.now() - timedelta(days=1))
    page = f"/admin/accounts/apikey/{key.id}/change/"
    assert 'name="expires_at_0"' not in boss.get(page).text
    assert boss.submit(page, key_form(name="old laptop")).status_code == 302
    key.refresh_from_db()
    assert (key.name, key.scopes, key.state) == ("old laptop", ["all"], "expired")
    ApiClient(text).read("/api/v1/logs", expect=401)


def test_whoever_logs_in_at_the_admin_s_login_gets_to_the_admin(boss, browser):
    """The address of the login is what people keep; nothing in it says where to go next."""
    form = {"username": "boss", "password": PASSWORD}
    reply = browser().submit("/admin/login/", form)
    assert (reply.status_code, reply["Location"]) == (302, "/admin/")


def test_a_form_that_arrives_after_the_session_is_said_not_to_be_taken(boss, browser):
    boss.get(f"{GROUPS}add/")
    token = boss.cookies["csrftoken"].value
    del boss.cookies["sessionid"]
    reply = boss.post(f"{GROUPS}add/", {"name": "late", "csrfmiddlewaretoken": token})
    assert reply["Location"] == f"/admin/login/?next={GROUPS}add/"
    assert "Your session had ended when the form arrived" in boss.get(reply["Location"]).text
    assert not Group.objects.filter(name="late").exists()
    # Neither a page that is opened, nor logging out, nor a wrong password, says so.
    stranger = browser()
    stranger.get(f"{GROUPS}add/")
    stranger.get("/admin/login/")
    token = stranger.cookies["csrftoken"].value
    stranger.post("/admin/logout/", {"csrfmiddlewaretoken": token})
    assert "session had ended" not in stranger.get("/admin/login/").text
    wrong = stranger.submit("/admin/login/", {"username": "boss", "password": "wrong"})
    assert "session had ended" not in wrong.text


def choose(boss, action: str, *projects, **fields):
    """The list after its action, or what the action asks first."""
    form = {"action": action, "_selected_action": [str(each) for each in projects], **fields}
    return boss.submit(f"{PROJECTS}?q=My", form, follow=True, HTTP_ACCEPT=BROWSER)


@pytest.mark.slow
def test_projects_are_archived_after_a_question_and_brought_back(boss, ana, ben):
    projects = [each.account["project_id"] for each in (ana, ben)]
    key = ApiClient(ana.account["api_key"])
    asked = choose(boss, "archive", *projects).content.decode()
    assert "refused within a second" in asked and asked.count("<li>My project</li>") == 2
    key.read("/api/v1/logs")
    reply = choose(boss, "archive", *projects, confirmed="yes")
    assert "2 projects archived" in reply.content.decode()
    # Back on the list as it was filtered.
    assert reply.redirect_chain == [(f"{PROJECTS}?q=My", 302)]
    key.read("/api/v1/logs", expect=401)
    assert "none of the selected" in choose(boss, "archive", projects[0]).content.decode()
    assert "work again" in choose(boss, "restore", projects[0]).content.decode()
    key.read("/api/v1/logs", expect=401)
    reply = choose(boss, "restore", *projects[:1], confirmed="yes")
    assert "1 project brought back" in reply.content.decode()
    key.read("/api/v1/logs")
    assert "none of the selected" in choose(boss, "restore", projects[0]).content.decode()
    assert [str(each.id) for each in Project.objects.exclude(archived_at=None)] == projects[1:]
    assert len(recorded("project.archive")) == 2 and len(recorded("project.restore")) == 1
    event = AuditEvent.objects.get(action="project.restore")
    assert str(event.project_id) == projects[0] and event.user_id is not None


def test_a_question_about_keys_goes_back_to_the_filtered_list(boss, ana):
    path = "/admin/accounts/apikey/?q=made"
    form = {"action": "revoke", "_selected_action": [str(ApiKey.objects.get().id)]}
    asked = boss.submit(path, form).content.decode()
    assert f'action="{path}"' in asked and f'href="{path}"' in asked
    reply = boss.submit(path, {**form, "confirmed": "yes"})
    assert reply["Location"] == path and ApiKey.objects.get().revoked_at is not None


def test_the_audit_log_leads_to_what_it_is_about(boss, ana):
    event = AuditEvent.objects.filter(action="key.create").get()
    project, key = Project.objects.get(), ApiKey.objects.get()
    link = f'/admin/accounts/project/{project.pk}/change/">{project.name}</a>'
    assert link in boss.get("/admin/accounts/auditevent/").text
    html = boss.get(f"/admin/accounts/auditevent/{event.pk}/change/").text
    assert link in html and f"/admin/accounts/apikey/{key.pk}/change/" in html
    own = AuditEvent.objects.filter(user_id=ana.user.pk).first()
    person = f'/admin/accounts/user/{ana.user.pk}/change/">ana@example.com</a>'
    assert person in boss.get(f"/admin/accounts/auditevent/{own.pk}/change/").text


def test_the_audit_log_names_what_is_gone_without_a_link(boss):
    gone = {name: uuid7() for name in ("project_id", "user_id", "api_key_id")}
    event = AuditEvent.objects.create(action="x", outcome="success", actor="anonymous", **gone)
    html = boss.get(f"/admin/accounts/auditevent/{event.pk}/change/").text
    for id in gone.values():
        assert str(id) in html and f"/{id}/change/" not in html


def test_the_end_of_a_session_is_on_record_once(boss, ana):
    boss.submit("/admin/", {})
    boss.post("/admin/logout/", {"csrfmiddlewaretoken": boss.cookies["csrftoken"].value})
    event = AuditEvent.objects.get(action="logout")
    assert event.actor == f"user:{User.objects.get(username='boss').id}"


def test_who_deletes_their_account_does_not_log_out_as_nobody(ana):
    ana.send("POST", f"/api/v1/projects/{ana.account['project_id']}/archive")
    ana.send("POST", "/api/v1/auth/delete-account", {"password": PASSWORD})
    assert not ana.is_logged_in
    assert recorded("person.delete", "logout") == ["person.delete"]


def run(command: str, *arguments: str, **options) -> list[str]:
    """Run a command; the actions of the events that it records."""
    before = AuditEvent.objects.count()
    call_command(command, *arguments, stdout=io.StringIO(), stderr=io.StringIO(), **options)
    events = AuditEvent.objects.order_by("id")[before:]
    assert {each.actor for each in events} <= {f"command:{command}"}
    return [each.action for each in events]


def test_what_commands_make_is_on_record(db_all, tmp_path, project):
    assert run("createkey", "acme") == ["project.create", "key.create"]
    assert run("createkey", "acme") == ["key.create"]
    assert run("createtoken", "--project", "other") == ["project.create", "token.create"]
    file = tmp_path / "logs.ndjson"
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    file.write_text(json.dumps({**call, "logged_at": "2026-01-01T00:00:00Z"}))
    logs = [str(file), "--project", str(project.id)]
    assert run("importlogs", *logs) == ["key.create"]
    assert run("importlogs", *logs) == []
    superuser = {"username": "root", "email": "root@example.com", "interactive": False}
    assert run("createsuperuser", **superuser) == ["person.create"]


@pytest.mark.parametrize(
    "taken",
    [
        {"username": "root", "email": "ANA@example.com"},
        {"username": "Ana@Example.com", "email": "root@example.com"},
    ],
    ids=["address", "name"],
)
def test_no_command_makes_a_superuser_of_somebody_elses_name_or_address(ana, taken):
    with pytest.raises(CommandError, match="Another person has this"):
        run("createsuperuser", **taken, interactive=False)
    assert User.objects.count() == 1


def test_the_demo_is_on_record(db_all):
    assert run("demo") == ["project.create", "key.create"]
    assert run("demo") == []
    assert run("demo", "--remove") == ["project.delete"]


def test_what_the_first_start_makes_is_on_record(db_all, capsys):
    first_accounts.create()
    assert recorded() == ["person.create", "project.create", "key.create"]
    first_accounts.create()
    assert len(recorded()) == 3


@pytest.fixture
def clerk(browser, db_all):
    """The browser of staff who manage people and groups, and are no superuser."""
    user = User.objects.create_user("clerk", password=PASSWORD, is_staff=True)
    names = [f"{verb}_{kind}" for verb in ("view", "add", "change") for kind in ("user", "group")]
    user.user_permissions.set(Permission.objects.filter(codename__in=[*names, "delete_user"]))
    made = browser()
    made.submit("/admin/login/", {"username": "clerk", "password": PASSWORD})
    made.user = user
    return made


def test_staff_give_no_access_to_the_server(clerk, ana):
    """Neither to others nor to themselves: superusers do."""
    everything = [permission.pk for permission in Permission.objects.all()]
    group = Group.objects.create(name="ops")
    clerk.user.groups.add(group)
    form = {"is_staff": "on", "is_superuser": "on", "user_permissions": everything}
    change_person(clerk, ana.user, first_name="Ana", groups=[group.pk], **form)
    ana.user.refresh_from_db()
    assert (ana.user.first_name, ana.user.is_staff, ana.user.is_superuser) == ("Ana", False, False)
    assert not ana.user.groups.exists() and not ana.user.user_permissions.exists()
    clerk.submit(f"{GROUPS}{group.pk}/change/", {"name": "clerks", "permissions": everything})
    group.refresh_from_db()
    assert group.name == "clerks" and not group.permissions.exists()


def test_only_superusers_manage_staff(clerk, boss):
    """A password or an address that is set for one of them would open their account."""
    root = User.objects.get(username="boss")
    for user in (root, clerk.user):
        page = f"{PEOPLE}{user.id}/"
        assert clerk.get(f"{page}change/").status_code == 200
        token = {"csrfmiddlewaretoken": clerk.cookies["csrftoken"].value}
        new = {"password1": NEW, "password2": NEW, "usable_password": "true", **token}
        assert clerk.post(f"{page}change/", {"email": "me@example.com", **token}).status_code == 403
        assert clerk.post(f"{page}password/", new).status_code == 403
        assert clerk.post(f"{page}delete/", {"post": "yes", **token}).status_code == 403
        assert delete_in_list(clerk, user).status_code == 403
    root.refresh_from_db()
    assert root.check_password(PASSWORD) and root.email == ""
    assert User.objects.filter(pk=clerk.user.pk).exists()


def test_people_are_added_by_whoever_may_change_them(clerk, ana):
    """Django asks for both; a form that is sent as a change adds nobody, either."""
    clerk.user.user_permissions.remove(Permission.objects.get(codename="change_user"))
    assert b"/admin/accounts/user/add/" not in clerk.get(PEOPLE).content
    form = {"username": "x", "password1": NEW, "password2": NEW, "usable_password": "true"}
    token = {"csrfmiddlewaretoken": clerk.cookies["csrftoken"].value}
    page = f"{PEOPLE}{ana.user.id}/change/"
    form |= {**inlines(PERSON_INLINES), **token, "_saveasnew": "1"}
    assert clerk.post(page, form).status_code == 403
    assert not User.objects.filter(username="x").exists()
