"""Who may only look can only look: no button is offered, and nothing is accepted, B5."""

import io
import re

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.urls import resolve, reverse

from accounts.models import ApiKey, User
from core.ids import uuid7
from gateway import tokens
from registry_proxy.models import CustomPrice
from templates_app.models import ConversationTemplate
from tests.client import ApiClient
from tests.receipts import vectors
from tests.staff import staff
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
def test_b5_every_page_opens_and_none_is_a_form(looker, rows):
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


def staff_again(*permissions: str) -> ApiClient:
    User.objects.filter(username="staff").delete()
    return staff(*permissions)


def refused_links(browser, *paths: str) -> list[str]:
    """The links of pages that their reader may not follow; one of each view is followed.

    Whether a view opens depends on the reader, and a list links to it in every row.
    """
    one_of_each = {}
    for path in paths:
        reply = browser.get(path)
        assert reply.status_code == 200, path
        links = re.findall(r'href="(/admin/[^"?#]*)', reply.content.decode())
        one_of_each |= {resolve(link).view_name: link for link in sorted(links)}
    return [
        link for link in one_of_each.values() if browser.get(link).status_code in (403, 404, 500)
    ]


@pytest.fixture
def rows(api, settings):
    """A row of each kind whose page leads to others."""
    vectors.configure(settings)
    conversation = api.send("POST", "/api/v1/conversations", {"title": "t"})["id"]
    log = api.send("POST", "/api/v1/log", {**CALL, "conversation_id": conversation})["log_id"]
    api.send("POST", f"/api/v1/logs/{log}/correct", {"reason": "x", "cost": "1"})
    api.send("POST", "/api/v1/receipts/generate", {"log_ids": [log]})
    messages = f"/api/v1/conversations/{conversation}/messages"
    api.send("POST", messages, {"role": "user", "content": "x"})
    api.send("POST", "/api/v1/templates", {"name": "t"})
    api.send("POST", "/api/v1/aliases/bind", {"alias": "a", "model": "p:m"})
    call_command("demo", stdout=io.StringIO())  # MCP servers, tools and executions
    tokens.issue(api.project, expires_at=None)


@pytest.mark.slow
def test_b5_no_page_links_to_one_that_its_reader_may_not_open(rows):
    """By who may see this one list and its pages, and nothing else."""
    for model, name in names():
        if not model.objects.exists():
            continue
        browser = staff_again(f"view_{model._meta.model_name}")
        pages = [reverse(f"{name}_changelist")]
        pages += [reverse(f"{name}_change", args=[row.pk]) for row in model.objects.all()[:1]]
        assert refused_links(browser, *pages) == [], name


@pytest.mark.slow
@pytest.mark.parametrize("verbs", [["add"], ["delete"], ["view", "add"]])
def test_b5_pages_that_add_and_delete_lead_nowhere_else(rows, verbs):
    """Their titles name a list, which is for whoever may see it."""
    for model, name in names():
        browser = staff_again(*[f"{verb}_{model._meta.model_name}" for verb in verbs])
        pages = [reverse(f"{name}_add"), reverse(f"{name}_changelist")]
        pages += [reverse(f"{name}_delete", args=[row.pk]) for row in model.objects.all()[:1]]
        open_pages = [page for page in pages if browser.get(page).status_code == 200]
        assert refused_links(browser, *open_pages) == [], name


def test_b5_the_title_of_a_page_still_leads_to_a_list_that_is_open(project, db_all):
    html = staff("add_project", "view_project").get("/admin/accounts/project/add/").content
    assert b'href="/admin/accounts/project/"' in html
    html = staff_again("add_project").get("/admin/accounts/project/add/").content
    assert b'href="/admin/accounts/project/"' not in html and b"Projects" in html


def test_b5_a_row_is_not_saved_as_a_new_one(project, db_all):
    """The admin offers it nowhere; Django adds the row all the same."""
    browser = staff("add_apikey", "view_apikey", "view_project")
    form = {"project": project.id, "name": "laptop", "form_id": uuid7()}
    browser.post("/admin/accounts/apikey/add/", form)
    key = ApiKey.objects.get(name="laptop")
    page = reverse("admin:accounts_apikey_change", args=[key.pk])
    assert browser.post(page, {**form, "_saveasnew": "1"}).status_code == 403
    assert ApiKey.objects.filter(name="laptop").count() == 1


def test_b5_an_earlier_version_is_nothing_to_ask_for_without_the_permission(rows):
    """Refused alike, whether there is one or not."""
    template = ConversationTemplate.objects.first()
    browser = staff("view_usagelog")
    for id in (template.id, uuid7()):
        page = reverse("admin:templates_app_conversationtemplate_version", args=[id, 1])
        assert browser.get(page).status_code == 403


@pytest.mark.slow
def test_b5_the_dashboard_links_to_no_list_that_its_reader_may_not_open(rows):
    """A panel of one permission may speak of what needs another."""
    for permission in ("server", "call", "snapshot", "refresh", "usagelog"):
        assert refused_links(staff_again(f"view_{permission}"), "/admin/") == [], permission


def test_b5_who_only_makes_keys_or_tokens_is_led_nowhere_else(project, db_all):
    browser = staff("add_apikey", "add_token")
    home = browser.get("/admin/").content.decode()
    for kind in ("accounts/apikey", "gateway/token"):
        assert f'href="/admin/{kind}/add/"' in home and f'href="/admin/{kind}/"' not in home
        # Projects are not theirs to search: the form takes the id of one.
        html = browser.get(f"/admin/{kind}/add/").content.decode()
        assert re.search(r'<input type="text" name="project"', html), kind
        assert "admin-autocomplete" not in html
        form = {"project": "acme", "name": "laptop"}
        assert "not a valid UUID" in browser.post(f"/admin/{kind}/add/", form).content.decode()
        form = {"project": project.id, "name": "laptop"}
        html = browser.post(f"/admin/{kind}/add/", form).content.decode()
        assert "Copy" in html and f"/admin/{kind}/" not in html.replace(f"/admin/{kind}/add/", "")


def test_b5_who_may_change_logs_sees_them_on_the_dashboard_too(api):
    """The permission to change opens the list, as everywhere in the admin."""
    api.send("POST", "/api/v1/log", CALL)
    browser = staff("change_usagelog")
    assert "Cost per day by model" in browser.get("/admin/").content.decode()
    assert browser.get("/admin/dashboard/calls/").status_code == 200
    assert staff_again("add_apikey").get("/admin/dashboard/calls/").status_code == 403


@pytest.mark.parametrize(
    ("permissions", "is_offered", "status"),
    [
        (["view_project"], False, 403),
        (["view_project", "add_apikey"], True, 302),
        (["change_project", "view_apikey"], False, 403),
        (["add_apikey"], False, 302),
    ],
)
def test_b5_a_project_s_button_makes_a_key_for_whoever_may(
    project, permissions, is_offered, status
):
    browser = staff(*permissions)
    page = reverse("admin:accounts_project_change", args=[project.pk])
    button = f"/admin/accounts/project/{project.pk}/new-key/"
    assert (f'href="{button}"' in browser.get(page, follow=True).content.decode()) is is_offered
    reply = browser.get(button)
    assert reply.status_code == status
    if status == 302:
        assert browser.get(reply["Location"]).status_code == 200
    assert not ApiKey.objects.filter(project=project).exists()
