"""Actions of the admin on "all" rows of a list: the first thousand, and the page says so."""

import os
import re

import pytest
from django.contrib.admin.models import LogEntry

from accounts.models import ApiKey, AuditEvent, Project, Tier
from core.ids import uuid7
from tests.staff import staff, superuser

KEYS = "/admin/accounts/apikey/"
PROJECTS = "/admin/accounts/project/"
TIERS = "/admin/accounts/tier/"
SAID = "Only the first 1,000 of the selected rows are taken: repeat the action for the others."


def select_all(browser, path: str, action: str, row) -> str:
    """Choose an action for all rows of a list; return the page that asks for confirmation."""
    form = {"action": action, "_selected_action": [str(row.pk)], "select_across": "1"}
    return browser.post(path, form).content.decode()


def confirm(browser, path: str, question: str) -> str:
    """Submit the confirmation form unchanged; return the page that follows."""
    form: dict[str, list[str]] = {}
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', question)
    for name, value in [*hidden, ("confirmed", "yes")]:
        form.setdefault(name, []).append(value)
    return browser.post(path, form, follow=True).content.decode()


def test_all_keys_of_many_pages_are_revoked_a_thousand_at_a_time(project, other_project):
    new = [
        ApiKey(id=uuid7(), project=project, name=f"bulk-{n}", digest=os.urandom(32))
        for n in range(1_001)
    ]
    ApiKey.objects.bulk_create(new)
    other, _ = ApiKey.issue(other_project, name="another")
    browser, listed = staff("view_apikey", "change_apikey"), f"{KEYS}?q=bulk-&state=active"
    question = select_all(browser, listed, "revoke", new[0])
    assert SAID in question and question.count("_selected_action") == 1_000
    assert "1,000 keys revoked" in confirm(browser, listed, question)
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
    assert AuditEvent.objects.filter(action="key.revoke").count() == 1_000
    question = select_all(browser, listed, "revoke", new[0])
    assert SAID not in question
    assert "1 key revoked" in confirm(browser, listed, question)
    assert ApiKey.objects.get(revoked_at=None) == other


@pytest.fixture
def two_at_a_time(monkeypatch):
    monkeypatch.setattr("core.admin.MAX_CHOSEN", 2)


def test_all_projects_are_archived_a_bounded_number_at_a_time(two_at_a_time, db):
    new = [Project.objects.create(name=f"bulk-{n}") for n in range(3)]
    browser = staff("view_project", "change_project")
    question = select_all(browser, PROJECTS, "archive", new[0])
    assert "Only the first 2 of the selected rows" in question
    assert "2 projects archived" in confirm(browser, PROJECTS, question)
    assert Project.objects.filter(archived_at=None).count() == 1
    assert AuditEvent.objects.filter(action="project.archive").count() == 2


def test_all_tiers_of_a_search_are_deleted_a_bounded_number_at_a_time(two_at_a_time, db):
    new = [Tier.objects.create(name=f"bulk-{n}") for n in range(3)]
    before = Tier.objects.count()
    browser, listed = superuser(), f"{TIERS}?q=bulk-"
    question = select_all(browser, listed, "delete_selected", new[0])
    assert "Only the first 2 of the selected rows" in question
    confirm(browser, listed, question)
    assert Tier.objects.count() == before - 2
    assert Tier.objects.filter(name__startswith="bulk-").count() == 1
    assert AuditEvent.objects.filter(action="tier.delete").count() == 2


def test_revoking_a_revoked_key_adds_no_log_entry(api):
    browser = staff("view_apikey", "change_apikey")
    form = {"action": "revoke", "_selected_action": [str(api.api_key_id)], "confirmed": "yes"}
    pages = [browser.post(KEYS, form, follow=True).content.decode() for _ in range(2)]
    assert "1 key revoked" in pages[0] and "0 keys revoked" in pages[1]
    assert LogEntry.objects.count() == 1
