import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests.registry_proxy import samples
from tests.registry_proxy.upstream import reply


@pytest.fixture
def admin(client, db_all):
    client.force_login(User.objects.create_superuser("admin"))
    return client


def test_snapshots_are_listed_and_shown(admin, refreshed):
    snapshot = refreshed(8, 19)
    listed = admin.get("/admin/registry_proxy/snapshot/").content.decode()
    assert "2026.08.19" in listed
    html = admin.get(f"/admin/registry_proxy/snapshot/{snapshot.id}/change/").content.decode()
    assert "anthropic:claude-opus-4-1-20250805" in html


@pytest.mark.parametrize("term", ["2025-08-20", "0" * 64, "7d444840-9dc0-11d1-b245-5ffdce74fad2"])
def test_snapshots_can_be_searched(admin, refreshed, term):
    refreshed(8, 19)
    response = admin.get("/admin/registry_proxy/snapshot/", {"q": term})
    assert response.status_code == 200
    assert ("2026.08.19" in response.content.decode()) == (term == "2025-08-20")


@pytest.mark.parametrize("model", ["snapshot", "refresh"])
def test_nothing_can_be_added_or_changed(admin, refreshed, model):
    snapshot = refreshed(8, 19)
    pk = snapshot.id if model == "snapshot" else 1
    assert admin.get(f"/admin/registry_proxy/{model}/add/").status_code == 403
    assert admin.post(f"/admin/registry_proxy/{model}/{pk}/change/").status_code == 403
    assert admin.post(f"/admin/registry_proxy/{model}/{pk}/delete/").status_code == 403


def test_the_last_contact_is_shown(admin, refreshed):
    refreshed(8, 19)
    assert admin.get("/admin/registry_proxy/refresh/").status_code == 200


def test_the_list_takes_as_many_queries_for_many_snapshots(admin, refreshed):
    def queries() -> int:
        with CaptureQueriesContext(connection) as result:
            admin.get("/admin/registry_proxy/snapshot/")
        return len(result)

    refreshed(8, 19)
    queries()
    before = queries()
    for price in (1.0, 2.0, 3.0):
        members = {"dollars_per_million_tokens_input": price}
        refreshed(8, 20, openai=samples.changed("openai", samples.MINI, **members))
    assert queries() == before


def test_old_prices_and_problems_are_visible(admin, refreshed, upstream):
    upstream.broken["google/models.json"] = lambda: reply(500)
    refreshed(8, 19)
    listed = admin.get("/admin/registry_proxy/snapshot/").content.decode()
    assert "prices under 30 days old" in listed.lower()
    page = admin.get("/admin/registry_proxy/refresh/1/change/").content.decode()
    assert "google/models.json: status 500; its last copy is kept" in page


def test_changes_of_a_snapshot_are_a_table(admin, refreshed):
    refreshed(8, 19)
    members = {"dollars_per_million_tokens_input": 9.5}
    changed = samples.changed("openai", samples.MINI, **members)
    snapshot = refreshed(8, 20, openai=changed)
    html = admin.get(f"/admin/registry_proxy/snapshot/{snapshot.id}/change/").content.decode()
    [row] = re.findall(r"<tr>(<td.*?)</tr>", html, re.DOTALL)
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", row)
    assert cells[:3] == ["price_changed", samples.MINI, "dollars_per_million_tokens_input"]
    assert cells[4] == "9.5"
