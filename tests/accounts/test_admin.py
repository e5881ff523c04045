"""Keys in the admin: shown once on a page that nobody keeps, revoked by those who may."""

import re

import pytest
from django.contrib.auth.models import Permission

from accounts.models import ApiKey, User
from tests.client import ApiClient

KEYS = "/admin/accounts/apikey/"


def staff(*permissions: str):
    user = User.objects.create_user("staff", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = ApiClient()
    client.force_login(user)
    return client


def test_new_key_is_on_a_page_that_is_not_kept(db_all, project):
    browser = staff("add_apikey", "view_apikey", "view_project")
    reply = browser.post(f"{KEYS}add/", {"project": project.id, "name": "laptop"})
    assert reply.status_code == 200
    assert "no-store" in reply["Cache-Control"]
    key = re.search(r"llmr_pk_[0-9a-f]{32}", reply.content.decode())[0]
    assert key not in str(reply.cookies)
    assert ApiClient(key).read("/api/v1/logs") == []
    row = ApiKey.objects.get()
    for page in (KEYS, f"{KEYS}{row.id}/change/"):
        assert key not in browser.get(page).content.decode()


@pytest.mark.parametrize(
    ("permissions", "state"),
    [(["view_apikey"], "active"), (["view_apikey", "change_apikey"], "revoked")],
)
def test_revoking_needs_permission_to_change(api, permissions, state):
    form = {"action": "revoke", "_selected_action": [str(api.api_key_id)]}
    staff(*permissions).post(KEYS, form)
    assert ApiKey.objects.get().state == state
