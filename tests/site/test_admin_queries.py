"""Any query string gets a page, and a search reads indexes."""

from urllib.parse import quote, urlencode, urljoin

import pytest
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.ids import uuid7
from tests.staff import superuser

LOGS = "/admin/usage/usagelog/"
CALL = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
ODD = [
    {"created_at__gte": "2026-11-01"},
    {"created_at__gte": "x", "created_at__lt": ""},
    {"created_at__gte": "0001-01-01T00:00:00+14:00"},
    {"created_at__year": "99999"},
    {"model": "\0"},
    {"q": "\0"},
    {"q": "\ud800".encode("utf-8", "surrogatepass")},
    {"p": "0"},
    {"p": "-1"},
    {"p": "99999999999999999999"},
    {"p": "x"},
    {"o": "99.-99.x"},
    {"unknown": "1"},
    {"model__regex": "("},
    {"model__contains__x": "1"},
    {"id": "x"},
    {"id__in": "1,2"},
    {"id__gte": "\0"},
    {"project_id": "not an id"},
    {"cost__gte": "NaN"},
    {"input_tokens": "1e999"},
    {"metadata__a": "1"},
    {"all": "1", "e": "1"},
    {"_facets": "True"},
]


@pytest.fixture
def root(db_all):
    return superuser()


def lists():
    for model in admin.site._registry:
        meta = model._meta
        yield reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")


@pytest.mark.slow
@pytest.mark.parametrize("path", [*lists()])
def test_odd_query_strings_get_a_page(root, path):
    """A page of its own, or one that it is sent on to: many to the same."""
    addresses, opened = [f"{path}?{urlencode(query)}" for query in ODD], set()
    for address in addresses:
        if address in opened:
            continue
        opened.add(address)
        response = root.get(address)
        if response.status_code == 302:
            addresses.append(urljoin(address, response["Location"]))
        else:
            assert response.status_code == 200, address


@pytest.mark.parametrize("query", ODD, ids=repr)
def test_odd_query_strings_are_no_failure_of_an_export(root, query):
    for kind in ("csv", "ndjson"):
        response = root.get(f"{LOGS}export/{kind}/?{urlencode(query)}")
        assert response.status_code in (200, 400), response.status_code
        if response.status_code == 200:
            list(response.streaming_content)


def test_dates_of_a_query_string_narrow_the_list(root, api):
    api.send("POST", "/api/v1/log", CALL)
    assert "0 logs" not in root.get(f"{LOGS}?created_at__gte=2026-01-01").content.decode()
    page = root.get(f"{LOGS}?created_at__gte=2099-01-01").content.decode()
    assert str(api.read("/api/v1/logs")[0]["id"]) not in page


def test_search_asks_one_field_after_the_other(root, api):
    log = api.send("POST", "/api/v1/log", CALL)["log_id"]
    for term in (log, str(api.project.id), str(api.api_key_id)):
        assert log in root.get(f"{LOGS}?q={term}").content.decode()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert log not in root.get(f"{LOGS}?q={uuid7()}").content.decode()
    assert not [query for query in queries.captured_queries if " OR " in query["sql"]]


def test_page_numbers_are_capped(root):
    assert root.get(f"{LOGS}?p=1001", follow=True).redirect_chain


def forms():
    """The pages that add a row, of models that have one, each with its fields."""
    for model in admin.site._registry:
        meta = model._meta
        names = [field.name for field in meta.fields]
        yield pytest.param(
            reverse(f"admin:{meta.app_label}_{meta.model_name}_add"), names, id=meta.label
        )


@pytest.mark.parametrize(("path", "names"), list(forms()))
def test_odd_query_strings_get_a_form(root, path, names):
    """Values of fields may be in the address, as of a link that fills the form."""
    for text in ["x", "[1]", '"', "0001-01-01"]:
        status = root.get(path, dict.fromkeys(names, text)).status_code
        assert status in (200, 403), text  # 403: nobody adds such a row


def test_choices_of_a_form_are_searched_for_any_text(root, project):
    names = {"app_label": "accounts", "model_name": "apikey", "field_name": "project"}
    found = root.read("/admin/autocomplete/", {**names, "term": f"{project.name}\0"})
    assert [each["id"] for each in found["results"]] == [str(project.id)]
    names["field_name"] = "digest"
    assert root.get("/admin/autocomplete/", names).status_code == 403


def test_no_row_is_viewed_outside_the_admin(root, project):
    """A view of Django's that nothing here links to."""
    kind = ContentType.objects.get_for_model(type(project))
    for id in (project.id, uuid7(), "x", "2", "\0"):
        assert root.get(f"/admin/r/{kind.id}/{quote(str(id))}/").status_code == 404, id
    assert root.get("/admin/r/999/1/").status_code == 404
