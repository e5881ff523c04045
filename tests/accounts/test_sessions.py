"""A person who is logged in works in the project that `X-Project-ID` names, by their role."""

import pytest

from accounts.models import Membership, Role, User
from tests.client import ApiClient
from tests.usage.calls import CALL
from usage.models import UsageLog

UNKNOWN = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


@pytest.fixture
def person(db_all):
    return User.objects.create_user("ada", password="x")


@pytest.fixture
def browser(person, project):
    client = ApiClient()
    client.force_login(person)
    client.defaults["HTTP_X_PROJECT_ID"] = str(project.id)
    return client


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN, Role.MEMBER])
def test_member_writes_rows_that_name_the_person(browser, person, project, role):
    Membership.objects.create(user=person, project=project, role=role)
    browser.send("POST", "/api/v1/log", CALL)
    log = UsageLog.objects.get()
    assert (log.project_id, log.api_key_id, log.user_id) == (project.id, None, person.id)
    assert len(browser.read("/api/v1/logs")) == 1


def test_viewer_reads_and_changes_nothing(browser, person, project, api):
    Membership.objects.create(user=person, project=project, role=Role.VIEWER)
    api.send("POST", "/api/v1/log", CALL)
    assert len(browser.read("/api/v1/logs")) == 1
    reply = browser.send("POST", "/api/v1/log", CALL, expect=403)
    assert reply == {"detail": "Permission to write this project's data is missing"}
    assert UsageLog.objects.count() == 1


def test_stranger_is_not_let_in(browser, person, other_project):
    Membership.objects.create(user=person, project=other_project)
    browser.read("/api/v1/logs", expect=401)
    browser.send("POST", "/api/v1/log", CALL, expect=401)


@pytest.mark.parametrize("project_id", ["", "x", UNKNOWN])
def test_unknown_project_is_refused(browser, person, project_id):
    browser.read("/api/v1/logs", HTTP_X_PROJECT_ID=project_id, expect=401)


def test_superuser_reads_every_project(browser, person, project):
    person.is_superuser = True
    person.save()
    assert browser.read("/api/v1/logs") == []


def test_session_needs_the_csrf_token(browser, person, project):
    Membership.objects.create(user=person, project=project)
    browser.handler.enforce_csrf_checks = True
    browser.send("POST", "/api/v1/log", CALL, expect=403)


def test_key_wins_over_the_session(browser, person, project, other_api):
    Membership.objects.create(user=person, project=project)
    browser.send("POST", "/api/v1/log", CALL, HTTP_X_API_KEY=other_api.key)
    assert UsageLog.objects.get().project_id == other_api.project.id
