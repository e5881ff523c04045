"""The audit log as people and keys read it, the admin's part, and the end of a project."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import key_uses
from accounts.models import (
    ApiKey,
    AuditEvent,
    KeyUse,
    Project,
    RequestWindow,
    RetiredKey,
    Tier,
)
from llmring_site.project_deletion import count_rows, owned_models

CALL = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}


def test_a_project_reads_its_own_events(ana, api, ben):
    made = api.send("POST", "/api/v1/keys", {"name": "k", "scopes": ["log"]})
    api.send("POST", f"/api/v1/keys/{made['id']}/revoke")
    events = api.read("/api/v1/audit")
    assert [each["action"] for each in events] == ["key.revoke", "key.create"]
    created = events[1]
    assert created["actor"] == f"key:{api.api_key_id}"
    assert (created["api_key_id"], created["client_ip"]) == (made["id"], "127.0.0.1")
    assert created["details"]["scopes"] == ["log"]
    assert made["api_key"] not in str(events)
    assert api.read("/api/v1/audit", {"action": "key.create"}) == events[1:]
    project = {"HTTP_X_PROJECT_ID": ana.account["project_id"]}
    actions = [each["action"] for each in ana.read("/api/v1/audit", **project)]
    assert actions[-2:] == ["key.create", "project.create"]
    ben.read("/api/v1/audit", **project, expect=401)


def test_a_person_reads_their_own_events(ana, ben):
    ana.log_in("ana@example.com", "wrong", expect=401)
    own = ana.read("/api/v1/auth/audit")
    assert (own[0]["action"], own[0]["outcome"]) == ("login.password", "failure")
    assert str(ben.user.id) not in str(own)


def test_members_are_not_let_into_the_admin(ana):
    """They see their projects through the API and their own pages; staff see all of them."""
    for path in ("/admin/", "/admin/accounts/project/", "/admin/accounts/apikey/"):
        login = ana.get(path)["Location"]
        assert login.startswith("/admin/login/")
        assert "logged in as ana@example.com, who is not staff" in ana.get(login).content.decode()


def test_the_admin_records_what_it_changes(boss, project):
    page = "/admin/accounts/apikey/add/"
    boss.submit(page, {"project": project.id, "name": "laptop", "scopes": ["log"]})
    key = ApiKey.objects.get()
    assert key.scopes == ["log"] and key.created_by.username == "boss"
    listing = "/admin/accounts/apikey/"
    form = {"action": "revoke", "_selected_action": [str(key.id)], "confirmed": "1"}
    boss.submit(listing, form)
    form = {"action": "archive", "_selected_action": [str(project.id)], "confirmed": "yes"}
    boss.submit("/admin/accounts/project/", form)
    project.refresh_from_db()
    assert project.archived_at is not None
    actions = AuditEvent.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == ["login.admin", "key.create", "key.revoke", "project.archive"]


def test_d07_a_moved_limit_is_on_record(boss, project):
    tier = Tier.objects.create(name="gold", requests_per_minute=10)
    inlines = {
        f"{name}-{kind}_FORMS": 0
        for name in ("memberships", "api_keys")
        for kind in ("TOTAL", "INITIAL")
    }
    page = f"/admin/accounts/project/{project.id}/change/"
    boss.submit(page, {"name": project.name, "tier": tier.pk, **inlines})
    form = {"name": "gold", "requests_per_minute": 20}
    boss.submit(f"/admin/accounts/tier/{tier.pk}/change/", form)

    moved, changed = AuditEvent.objects.order_by("id")[1:]
    assert (moved.action, moved.project_id) == ("project.tier", project.id)
    assert moved.details == {"old": None, "new": "gold"}
    assert changed.action == "tier.change"
    assert changed.details["old"]["requests_per_minute"] == 10
    assert changed.details["new"]["requests_per_minute"] == 20


def test_a_second_spelling_is_explained_in_the_admin(boss, ana, ben):
    page = f"/admin/accounts/user/{ben.user.id}/change/"
    form = {"username": "ben", "email": "ANA@example.com", "is_active": "on"}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    form |= {
        f"{name}-{kind}_FORMS": 0
        for name in ("memberships", "identities")
        for kind in ("TOTAL", "INITIAL")
    }
    text = boss.submit(page, form).content.decode()
    assert "Another person has this e-mail address." in text


def test_deleting_a_project_leaves_nothing_but_the_record(api, other_api):
    for client in (api, other_api):
        client.send("POST", "/api/v1/log/batch", {"logs": [CALL] * 25})
        conversation = client.send("POST", "/api/v1/conversations", {"title": "t"})
        messages = f"/api/v1/conversations/{conversation['id']}/messages"
        client.send("POST", messages, {"role": "user", "content": "x"})
        client.send("POST", "/api/v1/templates", {"name": "t"}, HTTP_IDEMPOTENCY_KEY="k")
        client.send("POST", "/api/v1/aliases/bind", {"alias": "a", "model": "p:m"})
    key_uses.write(now=50_000.0)
    RequestWindow.objects.create(holder=api.project.id, minute=timezone.now(), granted=1)
    before = count_rows(other_api.project)
    name = str(api.project.id)
    with pytest.raises(CommandError, match="in use"):
        call_command("deleteproject", name)
    out = io.StringIO()
    call_command("deleteproject", name, "--dry-run", stdout=out)
    assert "25 usage_logs" in out.getvalue() and Project.objects.filter(id=name).exists()
    call_command("deleteproject", name, "--archive", "--batch", "10", stdout=out)
    assert not Project.objects.filter(id=name).exists()
    assert set(count_rows(api.project).values()) == {0}
    assert not RequestWindow.objects.filter(holder=name).exists()
    assert count_rows(other_api.project) == before
    assert RetiredKey.objects.count() == 1 and KeyUse.objects.count() == 1
    assert AuditEvent.objects.filter(project_id=name, action="project.delete").count() == 1
    other_api.read("/api/v1/logs")


def test_every_table_with_a_project_is_deleted_from(db_all):
    """Those that refer to another one come before it."""
    names = [model._meta.db_table for model in owned_models()]
    for earlier, later in [
        ("tool_executions", "tools"),
        ("tools", "servers"),
        ("messages", "conversations"),
        ("receipt_logs", "receipts"),
    ]:
        assert names.index(earlier) < names.index(later)
    assert "audit_events" not in names


def test_unknown_and_ambiguous_names_are_refused(db_all):
    with pytest.raises(CommandError, match="no project nobody"):
        call_command("deleteproject", "nobody")
    for _ in range(2):
        Project.objects.create(name="twice")
    with pytest.raises(CommandError, match="several"):
        call_command("deleteproject", "twice")
