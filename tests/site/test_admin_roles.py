"""Who may only look can only look: no button is offered, and nothing is accepted, B5."""

import re

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import ApiKey, User
from registry_proxy.models import CustomPrice
from tests.client import ApiClient
from usage.models import UsageLog

CALL = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}


@pytest.fixture
def looker(db_all):
    user = User.objects.create_user("looker", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = ApiClient()
    client.force_login(user)
    return client


def names():
    for model in admin.site._registry:
        yield model, f"admin:{model._meta.app_label}_{model._meta.model_name}"


@pytest.mark.slow
def test_b5_every_page_opens_and_none_is_a_form(looker, api):
    api.send("POST", "/api/v1/log", CALL)
    for model, name in names():
        html = looker.get(reverse(f"{name}_changelist")).content.decode()
        assert 'name="action"' not in html and "addlink" not in html, name
        assert looker.get(reverse(f"{name}_add")).status_code == 403, name
        for row in model.objects.all()[:1]:
            html = looker.get(reverse(f"{name}_change", args=[row.pk])).content.decode()
            assert 'name="_save"' not in html and "Set a price" not in html, name


def test_b5_every_post_of_an_admin_is_refused(looker, api):
    log = api.send("POST", "/api/v1/log", CALL)["log_id"]
    for model, name in names():
        page = admin.site._registry[model]
        for row in model.objects.all()[:1]:
            change = reverse(f"{name}_change", args=[row.pk])
            assert looker.post(change, {"name": "forged"}).status_code == 403, name
        assert looker.post(reverse(f"{name}_add"), {}).status_code == 403, name
        for action in [*(page.actions or ()), "delete_selected"]:
            form = {"action": action, "_selected_action": [log], "confirmed": "yes", "reason": "x"}
            assert looker.post(reverse(f"{name}_changelist"), form).status_code == 403, action
    price = {"provider": "p", "model": "m", "input": "1", "valid_from": "2026-01-01", "save": "1"}
    assert looker.post(reverse("admin:usage_usagelog_price"), price).status_code == 403
    assert (UsageLog.objects.count(), CustomPrice.objects.count()) == (1, 0)
    assert ApiKey.objects.get().state == "active"
    assert not LogEntry.objects.exists()


def test_b5_export_follows_the_permission_to_view(looker, api):
    api.send("POST", "/api/v1/log", CALL)
    page = looker.get(reverse("admin:usage_usagelog_changelist")).content.decode()
    [csv, _] = re.findall(r'href="([^"]*/export/\w+/[^"]*)"', page)
    assert looker.get(csv).status_code == 200


def test_b5_what_a_superuser_does_is_recorded(api):
    log = api.send("POST", "/api/v1/log", CALL)["log_id"]
    client = ApiClient()
    client.force_login(User.objects.create_superuser("root", password="x"))
    page = reverse("admin:usage_usagelog_changelist")
    client.post(page, {"action": "void", "_selected_action": [log], "reason": "a test"})
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("root", log)
    assert "a test" in entry.change_message
