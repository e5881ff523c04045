"""The admin: every page opens, records are only looked at, strangers are kept out."""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import ApiKey, User
from tests.client import ApiClient
from tests.usage.calls import CALL


@pytest.fixture
def browser(db_all):
    client = ApiClient()
    User.objects.create_superuser("boss", password="a long password")
    assert client.login(username="boss", password="a long password", request=_request())
    return client


def _request():
    from django.test import RequestFactory

    return RequestFactory().get("/admin/login/")


def pages(kind: str):
    for model in admin.site._registry:
        yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}")


@pytest.mark.slow
def test_every_list_opens_and_searches(browser):
    for page in [reverse("admin:index"), *pages("changelist")]:
        assert browser.get(page).status_code == 200, page
    for page in pages("changelist"):
        for term in ("word", "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "\x00", "%"):
            assert browser.get(page, {"q": term}).status_code == 200, (page, term)


def test_rows_are_named_as_they_are(browser):
    row = User.objects.create_user("ana@example.com")
    page = browser.get(reverse("admin:accounts_user_change", args=[row.pk])).content.decode()
    assert "ana@example.com" in page and "Ana@example.com" not in page


def test_help_texts_are_no_markup():
    """They are rendered as HTML, which loses `user:<id>`."""
    fields = [field for model in admin.site._registry for field in model._meta.get_fields()]
    assert [field for field in fields if "<" in str(getattr(field, "help_text", ""))] == []


def test_logs_are_shown_by_date_and_found_by_id(browser, api):
    reply = api.send(
        "POST",
        "/api/v1/log",
        {**CALL, "cost": 0.5, "id_at_origin": "call 7", "metadata": {"a": "<b>"}},
    )
    page = reverse("admin:usage_usagelog_changelist")
    year, month, day = reply["timestamp"][:10].split("-")
    hierarchy = {"created_at__year": year, "created_at__month": month, "created_at__day": day}
    for query in (
        {},
        hierarchy,
        {"q": reply["log_id"]},
        {"q": str(api.project.id)},
        {"q": "call 7"},
    ):
        assert reply["log_id"] in browser.get(page, query).content.decode(), query
    for query in ({"created_at__year": int(year) - 1}, {"q": "call 8"}, {"model__icontains": "x"}):
        assert reply["log_id"] not in browser.get(page, query).content.decode(), query
    detail = browser.get(
        reverse("admin:usage_usagelog_change", args=[reply["log_id"]])
    ).content.decode()
    assert "0.5" in detail and "&lt;b&gt;" in detail


def test_records_cannot_be_added_changed_or_deleted(browser, api):
    log_id = api.send("POST", "/api/v1/log", CALL)["log_id"]
    for name, arguments in (("add", []), ("delete", [log_id])):
        page = reverse(f"admin:usage_usagelog_{name}", args=arguments)
        assert browser.get(page).status_code == 403
        assert browser.post(page, {"post": "yes"}).status_code == 403
    change = reverse("admin:usage_usagelog_change", args=[log_id])
    assert browser.post(change, {"model": "forged"}).status_code == 403


def test_list_does_not_count_or_scan_the_table(browser, api, django_assert_max_num_queries):
    for _ in range(3):
        api.send("POST", "/api/v1/log", CALL)
    with django_assert_max_num_queries(17) as seen:
        browser.get(reverse("admin:usage_usagelog_changelist"))
    statements = [query["sql"] for query in seen.captured_queries if "usage_logs" in query["sql"]]
    assert statements and not any("COUNT(" in sql or "DISTINCT" in sql for sql in statements)


def test_new_key_is_shown_once(browser, project):
    form = {"project": project.id, "name": "laptop", "expires_at_0": "", "expires_at_1": ""}
    page = browser.post(reverse("admin:accounts_apikey_add"), form, follow=True).content.decode()
    key = re.search(r"llmr_pk_[0-9a-f]{32}", page)[0]
    assert ApiClient(key).read("/api/v1/logs") == []
    row = ApiKey.objects.get(name="laptop")
    for page in ("changelist", "change"):
        arguments = [row.id] if page == "change" else []
        html = browser.get(
            reverse(f"admin:accounts_apikey_{page}", args=arguments)
        ).content.decode()
        assert key not in html and row.hint in html


def test_keys_are_revoked_by_action_and_never_deleted(browser, api):
    page = reverse("admin:accounts_apikey_changelist")
    form = {"action": "revoke", "_selected_action": [str(api.api_key_id)], "confirmed": "yes"}
    browser.post(page, form)
    assert ApiKey.objects.get(id=api.api_key_id).state == "revoked"
    assert (
        browser.get(reverse("admin:accounts_apikey_delete", args=[api.api_key_id])).status_code
        == 403
    )


def test_guessing_passwords_is_stopped(db_all):
    User.objects.create_superuser("boss", password="a long password")
    client, page = ApiClient(), reverse("admin:login")
    for _ in range(5):
        client.post(page, {"username": "boss", "password": "wrong"})
    right = client.post(page, {"username": "boss", "password": "a long password"})
    assert right.status_code == 429


def _models_with_actions():
    return [model for model, page in admin.site._registry.items() if page.actions]


@pytest.mark.parametrize("model", _models_with_actions(), ids=lambda model: model._meta.label)
def test_permission_to_view_changes_nothing(db_all, rf, model):
    """Roles by actions: who may only look is offered no action at all."""
    reader = User.objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    request = rf.get("/")
    request.user = reader
    page = admin.site._registry[model]
    assert list(page.get_actions(request)) == []
    superuser = User.objects.create_superuser("root", password="x")
    request.user = superuser
    assert set(page.actions) <= set(page.get_actions(request))


def test_pages_have_an_icon(client, db_all):
    """Without one, browsers ask for /favicon.ico and report that there is none."""
    shown = client.get(reverse("admin:login")).content.decode()
    address = re.search(r'rel="icon"[^>]*href="([^"]+)"', shown)[1]
    icon = client.get(address)
    assert icon.headers["Content-Type"] == "image/svg+xml"
    assert b"".join(icon.streaming_content).startswith(b"<svg")
