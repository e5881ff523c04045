"""Keys in the admin: shown once on a page that is never cached, revoked by those who may."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.models import ApiKey, KeyUse, Project, Tier
from core.ids import uuid7
from tests.client import ApiClient
from tests.staff import staff
from tests.usage.calls import CALL

KEYS = "/admin/accounts/apikey/"
PROJECTS = "/admin/accounts/project/"


@pytest.mark.parametrize(
    ("permissions", "state"),
    [(["view_apikey"], "active"), (["view_apikey", "change_apikey"], "revoked")],
)
def test_revoking_needs_permission_to_change(api, permissions, state):
    form = {"action": "revoke", "_selected_action": [str(api.api_key_id)], "confirmed": "yes"}
    reply = staff(*permissions).post(KEYS, form)
    assert reply.status_code == (302 if state == "revoked" else 403)
    assert ApiKey.objects.get().state == state


def test_history_has_no_revocation_that_failed(api, monkeypatch):
    browser = staff("view_apikey", "change_apikey")
    browser.raise_request_exception = False
    monkeypatch.delattr("accounts.keys.revoke_keys")
    form = {"action": "revoke", "_selected_action": [str(api.api_key_id)], "confirmed": "yes"}
    assert browser.post(KEYS, form).status_code == 500
    assert ApiKey.objects.get().state == "active"
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("permissions", "is_archived"),
    [(["view_project"], False), (["view_project", "change_project"], True)],
)
def test_archiving_needs_permission_to_change(project, permissions, is_archived):
    form = {"action": "archive", "_selected_action": [str(project.id)], "confirmed": "yes"}
    reply = staff(*permissions).post(PROJECTS, form)
    assert reply.status_code == (302 if is_archived else 403)
    project.refresh_from_db()
    assert bool(project.archived_at) == is_archived


def test_archived_projects_are_listed_apart(project, other_project):
    Project.objects.filter(id=project.id).update(archived_at=timezone.now())
    browser = staff("view_project")
    for is_empty, listed in [("0", project), ("1", other_project)]:
        html = browser.get(PROJECTS, {"archived_at__isempty": is_empty}).content.decode()
        shown = [each for each in (project, other_project) if str(each.id) in html]
        assert shown == [listed]


def test_keys_are_listed_by_their_state(project):
    past, later = (timezone.now() + timedelta(days=days) for days in (-1, 1))
    states = {
        "active": {"expires_at": later},
        "expired": {"expires_at": past},
        "revoked": {"expires_at": past, "revoked_at": past, "is_pending": True},
        "pending": {"is_pending": True, "expires_at": past},
    }
    for state, columns in states.items():
        key, _ = ApiKey.issue(project, name=f"of-{state}", **columns)
        assert key.state == state
    browser = staff("view_apikey")
    for state in states:
        html = browser.get(KEYS, {"state": state}).content.decode()
        assert re.findall(r">of-(\w+)<", html) == [state]
    assert len(re.findall(r">of-", browser.get(KEYS, {"state": "odd"}).content.decode())) == 4


def test_a_project_without_a_tier_counts_no_logs(api):
    """Nothing is counted for it, which is not 0."""
    browser, page = staff("view_project"), f"{PROJECTS}{api.project.id}/change/"
    api.send("POST", "/api/v1/log", CALL)
    assert "not counted without a tier" in browser.get(page).content.decode()
    Project.objects.update(tier=Tier.objects.create(name="small", logs_per_month=9))
    api.send("POST", "/api/v1/log/batch", {"logs": [CALL] * 2})
    html = browser.get(page).content.decode()
    assert "not counted" not in html
    assert re.search(r"Logs this month\s*<.*?>\s*2\s*<", html, re.DOTALL | re.IGNORECASE)


def test_b4_form_sent_twice_makes_one_key(db_all, project):
    browser = staff("add_apikey", "view_apikey", "view_project")
    page = browser.get(f"{KEYS}add/?project={project.id}").content.decode()
    form_id = re.search(r'name="form_id" value="([^"]+)"', page)[1]
    assert f'value="{project.id}" selected' in page
    form = {"project": project.id, "name": "laptop", "form_id": form_id}
    first = browser.post(f"{KEYS}add/", form).content.decode()
    key = re.search(r"llmr_pk_[0-9a-f]{32}", first)[0]
    again = browser.post(f"{KEYS}add/", form, follow=True).content.decode()
    assert "made its key already" in again and key not in again
    assert ApiKey.objects.count() == 1


def test_other_integrity_errors_are_not_reported_as_a_form_sent_twice(db_all, project, monkeypatch):
    taken, text = ApiKey.issue(project)
    monkeypatch.setattr("accounts.api_keys.generate", lambda: text)
    browser = staff("add_apikey", "view_apikey", "view_project")
    form = {"project": project.id, "name": "laptop", "form_id": uuid7()}
    page = browser.post(f"{KEYS}add/", form, follow=True)
    assert "No key was made" in page.content.decode()
    assert ApiKey.objects.get() == taken


def test_b4_new_key_is_shown_once_and_leaves_no_trace(db_all, project):
    browser = staff("add_apikey", "view_apikey", "change_apikey", "view_project")
    reply = browser.post(f"{KEYS}add/", {"project": project.id, "name": "laptop"})
    key = re.search(r"llmr_pk_[0-9a-f]{32}", reply.content.decode())[0]
    assert ApiClient(key).read("/api/v1/logs") == []
    assert "no-store" in reply["Cache-Control"] and "no-transform" in reply["Cache-Control"]
    secret = key.removeprefix("llmr_pk_")[4:]
    assert secret not in str(reply.cookies) + str(browser.cookies)
    assert not [entry for entry in LogEntry.objects.all() if secret in str(vars(entry))]
    assert secret not in str([session.get_decoded() for session in Session.objects.all()])
    row = ApiKey.objects.get()
    for page in (KEYS, f"{KEYS}{row.id}/change/", f"{KEYS}{row.id}/history/", f"{KEYS}add/"):
        assert secret not in browser.get(page, follow=True).content.decode()


def test_b4_revoking_asks_first_and_names_the_key(api):
    browser = staff("view_apikey", "change_apikey", "view_project")
    ApiKey.objects.update(name="laptop")
    day = api.send("POST", "/api/v1/log", {**CALL, "cost": 0.25})["timestamp"][:10]
    form = {"action": "revoke", "_selected_action": [str(api.api_key_id)]}
    question = browser.post(KEYS, form).content.decode()
    assert "laptop" in question and "ours" in question and day in question
    assert ApiKey.objects.get().state == "active"
    browser.post(KEYS, {**form, "confirmed": "yes"})
    assert ApiKey.objects.get().state == "revoked"
    assert LogEntry.objects.get().user.username == "staff"


def test_keys_are_made_on_their_project_and_show_use_and_spend(api):
    browser = staff("view_project", "add_apikey", "view_apikey")
    project = f"/admin/accounts/project/{api.project.id}"
    assert f"{project}/new-key/" in browser.get(f"{project}/change/").content.decode()
    reply = browser.get(f"{project}/new-key/")
    assert reply["Location"] == f"{KEYS}add/?project={api.project.id}"
    day = api.send("POST", "/api/v1/log", {**CALL, "cost": 0.25})["timestamp"][:10]
    api.send("POST", "/api/v1/log", CALL)
    for page in (KEYS, f"{KEYS}{api.api_key_id}/change/"):
        html = browser.get(page).content.decode()
        assert day in html and "0.25, and 1 unpriced calls" in html


def test_times_of_a_key_are_written_alike_in_the_list_and_on_its_page(api):
    api.read("/api/v1/logs")  # a use
    used = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
    KeyUse.objects.update_or_create(key_id=api.api_key_id, defaults={"last_used_at": used})
    end = timezone.now().replace(microsecond=123456) + timedelta(days=1)
    ApiKey.objects.update(previous_expires_at=end)
    browser = staff("view_apikey")
    assert "2026-01-02 03:04:05Z" in browser.get(KEYS).content.decode()
    html = browser.get(f"{KEYS}{api.api_key_id}/change/").content.decode()
    assert "2026-01-02 03:04:05Z" in html and f"{end:%Y-%m-%d %H:%M:%S}Z" in html
    assert "+00:00" not in html


def test_new_key_button_needs_the_permission_to_add_keys(api):
    browser = staff("view_project")
    project = f"/admin/accounts/project/{api.project.id}"
    assert "new-key" not in browser.get(f"{project}/change/").content.decode()
    assert browser.get(f"{project}/new-key/").status_code == 403


def test_archived_project_gets_no_key(db_all, project):
    Project.objects.filter(pk=project.pk).update(archived_at=timezone.now())
    browser = staff("add_apikey", "view_apikey", "view_project")
    reply = browser.post(f"{KEYS}add/", {"project": project.id, "name": "laptop"})
    assert "The project is archived" in reply.content.decode()
    assert not ApiKey.objects.exists()
    page = f"/admin/accounts/project/{project.id}"
    assert "new-key" not in browser.get(f"{page}/change/").content.decode()
    assert browser.get(f"{page}/new-key/").status_code == 403


def test_revoking_a_row_id_that_is_not_a_uuid_is_refused(api):
    form = {"action": "revoke", "_selected_action": ["not-a-uuid"], "confirmed": "yes"}
    reply = staff("view_apikey", "change_apikey").post(KEYS, form)
    assert reply.status_code == 400
    assert ApiKey.objects.get().state == "active"
