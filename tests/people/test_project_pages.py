"""The pages of projects: who sees them, what they show, what they do. Names are those of cases."""

import re
from datetime import UTC, datetime

import pytest

from accounts.models import Membership, Project, User
from tests.client import ApiClient
from tests.html_page import Page

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CALL = {"provider": "acme", "model": "m1", "input_tokens": 10, "output_tokens": 5}
KEY = re.compile(r"llmr_pk_[0-9a-f]{32}")
NOBODY = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
PAGES = ("", "/calls", "/keys", "/members", "/plan", "/connect", "/rename", "/archive", "/latency")


@pytest.fixture
def path(ana):
    return f"/projects/{ana.account['project_id']}"


@pytest.fixture
def join(ana, person):
    """Adds a person to Ana's project."""

    def add(role: str):
        made = person(f"{role}@example.com", is_verified=True)
        Membership.objects.create(user=made.user, project_id=ana.account["project_id"], role=role)
        return made

    return add


def look(browser, path: str, *, expect: int = 200, **query) -> Page:
    response = browser.get(path, query, HTTP_ACCEPT=BROWSER)
    assert response.status_code == expect, response.content[:2000]
    return Page(response.content.decode())


def form_of(browser, path: str) -> dict:
    """The hidden fields of a page's form, as a browser would send them."""
    html = browser.get(path).content.decode()
    found = re.search(r'name="form_id" value="([^"]+)"', html)
    return {
        "csrfmiddlewaretoken": browser.cookies["csrftoken"].value,
        **({"form_id": found[1]} if found else {}),
    }


def send(browser, path: str, **fields):
    return browser.post(path, {**form_of(browser, path), **fields}, HTTP_ACCEPT=BROWSER)


def test_root_sends_browsers_on_and_tells_clients_what_this_is(ana, browser, person, path):
    stranger = browser()
    reply = stranger.get("/", HTTP_ACCEPT=BROWSER)
    assert (reply.status_code, reply["Location"]) == (302, "/login")
    assert "no-store" in reply["Cache-Control"]
    reply = ana.get("/", HTTP_ACCEPT=BROWSER)
    assert (reply.status_code, reply["Location"]) == (302, path)
    for accept in ("*/*", "application/json"):
        reply = ana.get("/", HTTP_ACCEPT=accept)
        assert reply.status_code == 200 and "version" in reply.json()
        assert "Accept" in reply["Vary"]


def test_root_sends_who_is_in_no_project_to_create_one(ana, path):
    Project.objects.update(archived_at=datetime.now(UTC))
    assert ana.get("/", HTTP_ACCEPT=BROWSER)["Location"] == "/projects"
    User.objects.update(is_staff=True)
    assert ana.get("/", HTTP_ACCEPT=BROWSER)["Location"] == "/admin/"


@pytest.mark.parametrize("suffix", PAGES)
def test_every_page_is_for_members_only_and_kept_by_nobody(ana, ben, browser, path, suffix):
    for spelling in (path + suffix, f"{path}{suffix}/"):
        response = ana.get(spelling, HTTP_ACCEPT=BROWSER)
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
        assert {"Cookie", "HX-Request"} <= set(response["Vary"].split(", "))
    strange = ben.get(path + suffix, HTTP_ACCEPT=BROWSER)
    unknown = ben.get(f"/projects/{NOBODY}{suffix}", HTTP_ACCEPT=BROWSER)
    assert (strange.status_code, unknown.status_code) == (404, 404)
    assert "no-store" in strange["Cache-Control"]
    assert "ana" not in strange.content.decode().lower()
    nobody = browser().get(path + suffix, HTTP_ACCEPT=BROWSER)
    assert (
        nobody["Location"] == f"/login?next={path.replace('/', '%2F')}{suffix.replace('/', '%2F')}"
    )


def test_home_shows_this_projects_calls_alone(ana, ben, path):
    assert "No calls yet" in look(ana, path).text
    key = ApiClient(ana.account["api_key"])
    key.send("POST", "/api/v1/log", {**CALL, "cost": "0.25", "origin": "web", "latency_ms": 120})
    key.send("POST", "/api/v1/log", {**CALL, "model": "m2", "cost": "0.50"})
    other = ApiClient(ben.account["api_key"])
    other.send("POST", "/api/v1/log", {**CALL, "model": "theirs", "cost": "7"})
    page = look(ana, path)
    assert "theirs" not in page.text and "2 calls" in page.text
    last = page.tables["Last calls"][1:]
    assert [(row[1], row[3], row[5], row[6]) for row in last] == [
        ("acme:m2", "", "0.5", ""),
        ("acme:m1", "web", "0.25", "120 ms"),
    ]
    models = page.tables["Models by cost, US dollars"]
    assert models[-1] == ["total", "0.75", "2"]
    assert "120 ms" in page.text  # half of the calls within
    keys = page.tables["Keys by cost, US dollars"]
    assert keys[1][0] == "made at registration"
    address = dict(page.links)["m1"]
    assert address.startswith(f"{path}/calls?") and "model=m1" in address
    assert [row[1] for row in look(ana, address).tables["Calls"][1:]] == ["acme:m1"]


def test_home_lists_conversations_and_receipts(ana, path, settings):
    from tests.receipts import vectors

    settings.RECEIPTS_PRIVATE_KEY = vectors.SEED
    settings.RECEIPTS_PUBLIC_KEY = vectors.PUBLIC
    settings.RECEIPTS_KEY_ID = "k-2025"
    key = ApiClient(ana.account["api_key"])
    key.send("POST", "/api/v1/conversations", {"title": "<b>Plans</b>"})
    log = key.send("POST", "/api/v1/log", {**CALL, "cost": "0.25"})
    key.send("POST", "/api/v1/receipts/generate", {"log_ids": [log["log_id"]]})
    page = look(ana, path)
    assert page.tables["Conversations, those changed last first"][1][0] == "<b>Plans</b>"
    assert page.tables["Receipts, newest first"][1][1:3] == ["verified", "0.25"]
    from receipts.models import Receipt

    receipt = Receipt.objects.get()
    receipt.document = receipt.document.replace("0.25", "0.26")
    receipt.save()
    assert look(ana, path).tables["Receipts, newest first"][1][1] == "not valid"


def test_calls_are_filtered_and_paged(ana, path):
    key = ApiClient(ana.account["api_key"])
    batch = [{**CALL, "model": f"m{n % 2}", "origin": "web"} for n in range(60)]
    key.send("POST", "/api/v1/log/batch", {"logs": batch})
    page = look(ana, f"{path}/calls")
    assert len(page.tables["Calls"]) == 51
    older = look(ana, dict(page.links)["Older calls"])
    assert len(older.tables["Calls"]) == 11 and "Older calls" not in dict(older.links)
    assert len(look(ana, f"{path}/calls", model="m1", origin="web").tables["Calls"]) == 31
    assert "None found" in look(ana, f"{path}/calls", origin="none").text
    assert all(row[5] == "unknown" for row in page.tables["Calls"][1:])


def test_e01_a_wrong_filter_names_its_field(ana, path):
    page = look(ana, f"{path}/calls", expect=422, start_date="yesterday")
    assert "start_date:" in page.text
    assert look(ana, f"{path}/calls", expect=422, model="\x00")
    assert "exchanged" in look(ana, path, start="2026-02-02", end="2026-02-01").text


def test_names_are_never_markup(ana, path):
    Project.objects.update(name="<script>alert(1)</script>")
    made = send(ana, "/projects", name="<img src=x>")
    for address in (path, made["Location"], "/projects"):
        html = ana.get(address).content.decode()
        assert "<script>alert(1)" not in html and "<img src=x>" not in html
