"""Taking logs back in the admin: for those who may, with a reason, as through the API."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import User
from usage.models import UsageLog

CALL = {"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 1, "output_tokens": 1}


@pytest.fixture
def staff(db_all):
    user = User.objects.create_user("eve", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_usagelog"))
    return user


def void(client, log_id: str, reason: str) -> str:
    form = {"action": "void", "reason": reason, "_selected_action": log_id}
    page = reverse("admin:usage_usagelog_changelist")
    return client.post(page, form, follow=True).content.decode()


def total_cost(api) -> str:
    return api.read("/api/v1/stats")["summary"]["total_cost"]


def test_logs_are_taken_back_with_a_reason(api, client, staff):
    staff.user_permissions.add(Permission.objects.get(codename="correct_usagelog"))
    client.force_login(staff)
    log_id = api.send("POST", "/api/v1/log", {**CALL, "cost": 5})["log_id"]
    assert "No log was taken back" in void(client, log_id, " ")
    assert total_cost(api) == "5"
    assert "1 log taken back" in void(client, log_id, "a test call")
    assert total_cost(api) == "0"
    reversal = UsageLog.objects.get(entry_type="reversal")
    assert (reversal.correction_reason, reversal.correction_author) == (
        "a test call",
        f"user {staff.pk}",
    )
    assert "corrected already" in void(client, log_id, "again")
    assert UsageLog.objects.count() == 2


def test_without_the_permission_nothing_is_taken_back(api, client, staff):
    client.force_login(staff)
    log_id = api.send("POST", "/api/v1/log", {**CALL, "cost": 5})["log_id"]
    void(client, log_id, "a test call")
    assert UsageLog.objects.count() == 1


def test_nothing_is_taken_back_whose_history_cannot_be_written(api, client, staff, monkeypatch):
    staff.user_permissions.add(Permission.objects.get(codename="correct_usagelog"))
    client.force_login(staff)
    client.raise_request_exception = False
    log_id = api.send("POST", "/api/v1/log", {**CALL, "cost": 5})["log_id"]
    monkeypatch.delattr("django.contrib.admin.models.LogEntryManager.log_actions")
    void(client, log_id, "a test call")
    assert total_cost(api) == "5"
    assert UsageLog.objects.count() == 1
