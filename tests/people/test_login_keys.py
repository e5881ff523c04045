"""Keys that logins give: what they may do, and that they end with the access they came from."""

import re

import pytest
from django.utils import timezone

from accounts.models import ApiKey, Membership, Project
from tests.client import ApiClient

LOGS = "/api/v1/logs"
CALL = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}


@pytest.fixture
def joined(ana, ben, browser):
    """A function: Ben joins Ana's project with a role; it returns the key of his next login."""

    def join(role: str) -> ApiClient:
        Project.objects.filter(pk=ben.account["project_id"]).update(archived_at=timezone.now())
        project = ana.account["project_id"]
        Membership.objects.create(user=ben.user, project_id=project, role=role)
        reply = browser().log_in("ben@example.com")
        assert reply["project_id"] == project
        return ApiClient(reply["api_key"])

    return join


def member_path(ana, ben) -> str:
    return f"/api/v1/projects/{ana.account['project_id']}/members/{ben.user.id}"


def test_the_key_of_a_member_who_is_removed_ends(ana, ben, joined):
    key = joined("admin")
    key.read(LOGS)
    ana.send("DELETE", member_path(ana, ben))
    key.read(LOGS, expect=401)
    ApiClient(ana.account["api_key"]).read(LOGS)


def test_the_key_of_a_member_who_leaves_ends(ana, ben, joined):
    key = joined("member")
    ben.send("DELETE", member_path(ana, ben))
    key.read(LOGS, expect=401)


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("member", 401), ("viewer", 401)])
def test_a_key_that_may_do_more_than_a_new_role_ends(ana, ben, joined, role, status):
    key = joined("owner")
    ana.send("PATCH", member_path(ana, ben), {"role": role})
    key.read(LOGS, expect=status)


def test_a_key_that_was_made_on_purpose_stays(ana, ben, joined):
    joined("admin")
    at = {"HTTP_X_PROJECT_ID": ana.account["project_id"]}
    made = ben.send("POST", "/api/v1/keys", {"name": "production"}, **at)["api_key"]
    ana.send("DELETE", member_path(ana, ben))
    ApiClient(made).read(LOGS)


def test_login_keys_of_a_person_whom_staff_deactivate_end(boss, ana, ben):
    # A project in use keeps an active owner.
    project = ana.account["project_id"]
    Membership.objects.create(user=ben.user, project_id=project, role="owner")
    counts = ("TOTAL_FORMS", "INITIAL_FORMS")
    zero = {f"{part}-{n}": 0 for part in ("memberships", "identities") for n in counts}
    form = {
        "username": ana.user.username,
        "email": ana.user.email,
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
        **zero,
    }
    key = ApiClient(ana.log_in("ana@example.com")["api_key"])
    assert boss.submit(f"/admin/accounts/user/{ana.user.id}/change/", form).status_code == 302
    key.read(LOGS, expect=401)


def test_a_key_that_waits_for_a_verified_address_is_not_active(ben, browser):
    tab = browser()
    tab.log_in(ben.email)
    count = tab.read("/api/v1/auth/me")["api_key"]["active"]
    waiting = ApiKey.objects.filter(created_by=ben.user).latest("id")
    ApiKey.objects.filter(id=waiting.id).update(is_pending=True)
    assert tab.read("/api/v1/auth/me")["api_key"]["active"] == count - 1


def test_a_members_key_reads_and_logs(joined):
    key = joined("member")
    key.send("POST", "/api/v1/log", CALL)
    assert len(key.read(LOGS)) == 1
    key.read("/api/v1/audit", expect=403)


@pytest.mark.parametrize(
    ("role", "scopes"), [("owner", ["all"]), ("admin", ["all"]), ("member", ["read", "log"])]
)
def test_a_key_without_scopes_has_the_most_that_its_maker_may_give(ana, ben, joined, role, scopes):
    joined(role)
    at = {"HTTP_X_PROJECT_ID": ana.account["project_id"]}
    made = ben.send("POST", "/api/v1/keys", {"name": "x"}, **at)
    assert made["scopes"] == scopes
    page = ben.get(f"/projects/{ana.account['project_id']}/keys").content.decode()
    boxes = [tag for tag in re.findall("<input[^>]*>", page) if 'name="scopes"' in tag]
    checked = [tag for tag in boxes if re.search(r"\schecked[\s>]", tag)]
    assert [re.search('value="([a-z]+)"', tag)[1] for tag in checked] == scopes
