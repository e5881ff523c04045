"""The pages of projects: who sees them, what they show, what they do. Names are those of cases."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import ApiKey, AuditEvent, Invitation, Membership, Project, Tier, User
from tests.client import ApiClient
from tests.html_page import Page
from tests.people.conftest import BROWSER, PASSWORD, look, mails, token_in

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

    vectors.configure(settings)
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
    assert "First day:" in page.text
    assert look(ana, f"{path}/calls", expect=422, model="\x00")
    assert "swapped" in look(ana, path, start="2026-02-02", end="2026-02-01").text


def test_names_are_never_markup(ana, path):
    Project.objects.update(name="<script>alert(1)</script>")
    made = send(ana, "/projects", name="<img src=x>")
    for address in (path, made["Location"], "/projects"):
        html = ana.get(address).content.decode()
        assert "<script>alert(1)" not in html and "<img src=x>" not in html


def made_key(browser, path: str, **fields) -> tuple[str, object]:
    """A key made on the page, and the page that shows it."""
    reply = send(browser, f"{path}/keys", **{"name": "laptop", "scopes": ["log"], **fields})
    assert reply.status_code == 200, reply.content[:2000]
    found = set(KEY.findall(reply.content.decode()))
    assert len(found) == 1
    return found.pop(), reply


def test_e03_a_key_is_shown_once_and_works(ana, path):
    key, reply = made_key(ana, path)
    assert {"no-store", "no-transform"} <= set(reply["Cache-Control"].split(", "))
    html = reply.content.decode()
    assert f"X-API-Key: {key}" in html and f"LLMRING_API_KEY={key}" in html
    assert key not in html.split("<title>")[1].split("</title>")[0]
    ApiClient(key).send("POST", "/api/v1/log", CALL)
    for address in ("", "/keys", "/calls", "/connect", "/members"):
        assert key not in ana.get(path + address).content.decode()
    row = look(ana, f"{path}/keys").tables["Keys, newest first"][1]
    assert row[:4] == ["laptop", f"{key[:12]}…", "log", "active"]
    assert "llmr_pk_…" in look(ana, f"{path}/keys").text  # the lines have a placeholder
    event = AuditEvent.objects.filter(action="key.create").order_by("id").last()
    assert key not in f"{event.path} {event.details} {event.reason}"
    assert event.actor == f"user:{ana.user.id}"


def test_e04_the_form_of_a_key_makes_one_key(ana, path):
    fields = {**form_of(ana, f"{path}/keys"), "name": "laptop", "scopes": ["log"]}
    first = ana.post(f"{path}/keys", fields)
    again = ana.post(f"{path}/keys", fields)
    assert (first.status_code, again.status_code) == (200, 409)
    text = again.content.decode()
    assert "has made its key already" in text and not KEY.search(text)
    assert ApiKey.objects.filter(name="laptop").count() == 1
    assert AuditEvent.objects.filter(action="key.create", details__name="laptop").count() == 1


def test_what_a_key_cost_this_month_is_written_as_on_the_dashboard(ana, path):
    ApiClient(ana.account["api_key"]).send("POST", "/api/v1/log", {**CALL, "cost": "19742.25"})
    assert "19,742.25" in look(ana, f"{path}/keys").text


def test_a_keys_scopes_and_end_are_those_of_the_form(ana, path):
    today = datetime.now(UTC).date()
    made_key(ana, path, last_day=today.isoformat(), scopes=["read", "log"])
    key = ApiKey.objects.get(name="laptop")
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(days=1)
    assert (key.scopes, key.expires_at) == (["read", "log"], midnight)
    past = (today - timedelta(days=1)).isoformat()
    for wrong in ({"last_day": past}, {"scopes": ["root"]}, {"scopes": []}, {"last_day": "x"}):
        reply = send(ana, f"{path}/keys", **{"name": "odd", "scopes": ["log"], **wrong})
        assert reply.status_code == 422
    assert send(ana, f"{path}/keys", name="odd", scopes=["log"], form_id="x").status_code == 422
    assert not ApiKey.objects.filter(name="odd").exists()


@pytest.mark.parametrize(("role", "scopes"), [("admin", ["all"]), ("member", ["read", "log"])])
def test_the_form_of_a_key_begins_with_what_the_person_may_give(join, path, role, scopes):
    member = join(role)
    html = member.get(f"{path}/keys", HTTP_ACCEPT=BROWSER).content.decode()
    boxes = re.findall(r'<input[^>]*name="scopes"[^>]*>', html)
    ticked = [
        re.search('value="([^"]+)"', box)[1] for box in boxes if re.search(r"\schecked\b(?!:)", box)
    ]
    assert ticked == scopes
    made_key(member, path, scopes=ticked)
    assert ApiKey.objects.get(name="laptop").scopes == scopes


def test_a_key_is_revoked_after_a_question(ana, ben, path):
    key, _ = made_key(ana, path)
    row = ApiKey.objects.get(name="laptop")
    address = f"{path}/keys/{row.id}/revoke"
    assert "laptop" in look(ana, address).text and ApiClient(key).get("/api/v1/logs")
    assert dict(look(ana, f"{path}/keys").links)["Revoke laptop Revoke"] == address
    own = f"/projects/{ben.account['project_id']}"
    assert ben.get(f"{own}/keys/{row.id}/revoke").status_code == 404
    reply = send(ana, address)
    assert reply["Location"] == f"{path}/keys?notice=revoked"
    assert "The key is revoked" in look(ana, reply["Location"]).text
    ApiClient(key).send("POST", "/api/v1/log", CALL, expect=401)
    assert send(ana, address).status_code == 302  # again: it stays revoked
    assert AuditEvent.objects.filter(action="key.revoke", api_key_id=row.id).count() == 1


def test_e04_a_key_is_rotated_once_with_an_overlap(ana, path):
    old, _ = made_key(ana, path)
    row = ApiKey.objects.get(name="laptop")
    address = f"{path}/keys/{row.id}/rotate"
    fields = {**form_of(ana, address), "overlap_seconds": "3600"}
    reply = ana.post(address, fields)
    new = KEY.search(reply.content.decode())[0]
    assert new != old
    for key in (old, new):
        ApiClient(key).send("POST", "/api/v1/log", CALL)
    again = ana.post(address, fields)
    assert again.status_code == 409 and not KEY.search(again.content.decode())
    row.refresh_from_db()
    left = row.previous_expires_at - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(hours=1)
    assert AuditEvent.objects.filter(action="key.rotate", api_key_id=row.id).count() == 1
    assert "its old value until" in look(ana, f"{path}/keys").text


def test_the_spend_of_a_key_is_that_of_the_month(ana, path):
    key, _ = made_key(ana, path)
    ApiClient(key).send("POST", "/api/v1/log", {**CALL, "cost": "0.125"})
    row = look(ana, f"{path}/keys").tables["Keys, newest first"][1]
    assert row[5] == "0.125" and row[6] == "never"


@pytest.mark.slow
def test_a_viewer_sees_no_buttons_that_would_be_refused(ana, join, path):
    viewer = join("viewer")
    for suffix in ("", "/calls", "/members", "/plan", "/connect"):
        page = look(viewer, path + suffix)
        addresses = [address for _, address in page.links if address.startswith(path)]
        for address in addresses:
            assert viewer.get(address, HTTP_ACCEPT=BROWSER).status_code == 200, address
        assert "Invite" not in page.text and f"{path}/keys" not in addresses
    key = ApiKey.objects.first()
    for refused in (
        *("/keys", f"/keys/{key.id}/revoke", f"/keys/{key.id}/rotate", "/rename", "/archive"),
        f"/members/{ana.user.id}/role",
        f"/members/{ana.user.id}/remove",
        f"/members/{ana.user.id}/hand-over",
    ):
        assert "Permission to" in look(viewer, path + refused, expect=403).text
        reply = viewer.post(path + refused, form_of(viewer, path), HTTP_ACCEPT=BROWSER)
        assert reply.status_code == 403
    reply = viewer.post(
        f"{path}/members",
        {**form_of(viewer, "/projects"), "email": "x@example.com", "role": "owner"},
    )
    assert reply.status_code == 403 and not Invitation.objects.exists()
    key.refresh_from_db()
    assert key.state == "active"


def test_an_admin_has_the_buttons_of_admins_but_makes_no_owner(ana, join, path):
    admin = join("admin")
    page = look(admin, f"{path}/members")
    addresses = [address for _, address in page.links if address.startswith(path)]
    for address in addresses:
        assert admin.get(address, HTTP_ACCEPT=BROWSER).status_code == 200, address
    assert f"{path}/members/{ana.user.id}/role" not in addresses
    reply = send(admin, f"{path}/members", email="x@example.com", role="owner")
    assert reply.status_code == 422
    reply = send(admin, f"{path}/members/{ana.user.id}/role", role="viewer")
    assert reply.status_code == 403
    assert Membership.objects.get(user=ana.user, project_id=ana.account["project_id"]).role == (
        "owner"
    )


def test_an_archived_project_has_no_pages(ana, path):
    reply = send(ana, f"{path}/archive")
    assert reply["Location"] == "/projects?notice=archived"
    page = look(ana, reply["Location"])
    assert "My project (archived)" in page.text
    assert "The project is archived" in look(ana, path, expect=403).text


def test_e04_an_invitation_is_mailed_once_and_leads_to_the_project(ana, ben, path):
    fields = {**form_of(ana, f"{path}/members"), "email": "ben@example.com", "role": "viewer"}
    before = len(mails("ben@example.com"))
    first = ana.post(f"{path}/members", fields)
    again = ana.post(f"{path}/members", fields)
    assert first["Location"] == f"{path}/members?notice=invited"
    assert again.status_code == 409 and "already" in again.content.decode()
    assert len(mails("ben@example.com")) == before + 1
    assert [each.status for each in Invitation.objects.all()] == ["open"]
    token = token_in(mails("ben@example.com")[-1])
    joined = ben.submit("/invitation", {"token": token})
    assert ben.get(joined["Location"], HTTP_ACCEPT=BROWSER)["Location"] == path
    assert "My project" in look(ben, path).text
    page = look(ana, f"{path}/members")
    assert "Leave" not in page.text  # the last owner cannot
    assert "Leave" in look(ben, f"{path}/members").text
    members = page.tables["Members"]
    assert [row[:2] for row in members[1:]] == [
        ["ana@example.com (you)", "owner"],
        ["ben@example.com", "viewer"],
    ]


def test_invitations_are_sent_again_and_withdrawn(ana, path):
    send(ana, f"{path}/members", email="ben@example.com", role="member")
    first = Invitation.objects.get()
    assert send(ana, f"{path}/invitations/{first.id}/resend").status_code == 302
    assert len(mails("ben@example.com")) == 2
    second = Invitation.objects.exclude(id=first.id).get()
    assert send(ana, f"{path}/invitations/{second.id}/withdraw").status_code == 302
    assert {each.status for each in Invitation.objects.all()} == {"withdrawn"}
    assert send(ana, f"{path}/invitations/{second.id}/withdraw").status_code == 400
    assert ana.get(f"{path}/invitations/{NOBODY}/withdraw").status_code == 404


def test_roles_are_changed_and_members_removed_or_leave(ana, join, path):
    member, viewer = join("member"), join("viewer")
    reply = send(ana, f"{path}/members/{member.user.id}/role", role="admin")
    assert "The role is changed" in look(ana, reply["Location"]).text
    assert Membership.objects.get(user=member.user, project_id=path[10:]).role == "admin"
    send(ana, f"{path}/members/{member.user.id}/remove")
    look(member, path, expect=404)
    leaving = f"{path}/members/{viewer.user.id}/remove"
    assert "Leave the project?" in look(viewer, leaving).text
    assert send(viewer, leaving)["Location"] == "/projects?notice=left"
    last = send(ana, f"{path}/members/{ana.user.id}/remove")
    assert last.status_code == 409 and "keeps an owner" in last.content.decode()


def test_d2_links_are_named_as_they_read(ana, join, path):
    """Who speaks to the computer says what the link shows, not how it is described."""
    join("member")
    send(ana, f"{path}/members", email="cleo@example.com", role="viewer")
    named = []
    for page in ("keys", "members"):
        html = ana.get(f"{path}/{page}").content.decode()
        named += re.findall(r'<a [^>]*aria-label="([^"]+)"[^>]*>([^<]+)</a>', html)
    assert {"Rotate", "Change role", "Hand over", "Send again"} <= {text for _, text in named}
    assert [each for each in named if each[1].casefold() not in each[0].casefold()] == []


def test_only_an_owner_is_offered_to_hand_over(ana, join, path, boss):
    """A superuser acts as an owner, but has nothing to hand over."""
    admin = join("admin")
    offered = [b"hand-over" in each.get(f"{path}/members").content for each in (ana, admin, boss)]
    assert offered == [True, False, False]
    assert send(boss, f"{path}/members/{admin.user.id}/hand-over").status_code == 403


def test_a_project_is_handed_over(ana, join, path):
    member = join("member")
    address = f"{path}/members/{member.user.id}/hand-over"
    assert send(ana, address).status_code == 302
    roles = dict(Membership.objects.filter(project_id=path[10:]).values_list("user__email", "role"))
    assert roles == {"ana@example.com": "admin", "member@example.com": "owner"}
    assert send(member, f"{path}/archive").status_code == 302


def test_e04_projects_are_created_once_renamed_and_switched(ana, path):
    Tier.objects.get_or_create(name="free")
    fields = {**form_of(ana, "/projects"), "name": "search"}
    first, again = ana.post("/projects", fields), ana.post("/projects", fields)
    assert (first.status_code, again.status_code) == (302, 409)
    made = Project.objects.get(name="search")
    assert first["Location"] == f"/projects/{made.id}"
    assert dict(look(ana, path).links)["swap_horiz search"] == f"/projects/{made.id}"
    for name in ("find", "seek"):  # of two renamings the later one stands
        assert send(ana, f"/projects/{made.id}/rename", name=name).status_code == 302
    made.refresh_from_db()
    assert made.name == "seek" and made.tier.name == "free"
    assert send(ana, "/projects", name=" ").status_code == 422


def test_plan_shows_what_is_used_and_left(ana, path):
    tier = Tier.objects.create(name="small", logs_per_month=1_000, requests_per_minute=60)
    Project.objects.filter(id=path[10:]).update(tier=tier)
    key = ApiClient(ana.account["api_key"])
    key.send("POST", "/api/v1/log/batch", {"logs": [CALL] * 3})
    page = look(ana, f"{path}/plan")
    for text in ("Tier small", "3 of 1,000", "997", "60"):
        assert text in page.text
    Project.objects.update(tier=None)
    page = look(ana, f"{path}/plan")
    assert "No limits" in page.text and "no limit, and not counted" in page.text
    assert "X-RateLimit" not in page.text  # its replies have none


def test_e01_a_part_of_a_page_sends_the_whole_tab_to_the_login(ana, browser, path):
    reply = browser().get(
        f"{path}/latency",
        HTTP_HX_REQUEST="true",
        HTTP_HX_CURRENT_URL=f"http://testserver{path}?start=2026-02-01",
    )
    assert reply.status_code == 200 and reply.content == b""
    back = f"{path}?start=2026-02-01".replace("/", "%2F").replace("?", "%3F").replace("=", "%3D")
    assert reply["HX-Redirect"] == f"/login?next={back}"
    assert "no-store" in reply["Cache-Control"] and "HX-Request" in reply["Vary"]
    made = browser()
    landed = made.submit(reply["HX-Redirect"], {"name": "ana@example.com", "password": PASSWORD})
    assert landed["Location"] == f"{path}?start=2026-02-01"


def test_e01_a_refused_part_is_a_text(ana, ben, join, path):
    viewer = join("viewer")
    reply = viewer.get(f"{path}/keys", HTTP_HX_REQUEST="true")
    assert (reply.status_code, reply["Content-Type"]) == (403, "text/plain; charset=utf-8")
    assert "manage this project's keys" in reply.content.decode()
    part = ana.get(f"{path}/latency", HTTP_HX_REQUEST="true").content.decode()
    assert part.strip().startswith("<section") and "<html" not in part


def test_e01_a_form_from_before_another_login_does_nothing(ana, ben, path):
    fields = {**form_of(ana, f"{path}/keys"), "name": "stale", "scopes": ["log"]}
    for who in ("ana@example.com", "ben@example.com"):  # in another tab of the same browser
        ana.submit("/logout", {})
        assert ana.submit("/login", {"name": who, "password": PASSWORD}).status_code == 302
        reply = ana.post(f"{path}/keys", fields, HTTP_ACCEPT=BROWSER)
        assert reply.status_code == 403
        assert "reload the page" in Page(reply.content.decode()).text
    assert not ApiKey.objects.filter(name="stale").exists()


def test_e01_an_expired_session_leads_to_the_login_and_back(ana, path):
    fields = {**form_of(ana, f"{path}/keys"), "name": "late", "scopes": ["log"]}
    del ana.cookies["sessionid"]
    reply = ana.post(f"{path}/keys", fields)
    next_path = f"{path}/keys".replace("/", "%2F")
    assert reply["Location"] == f"/login?next={next_path}&notice=ended"
    assert "Your session had ended when the form arrived" in look(ana, reply["Location"]).text
    assert not ApiKey.objects.filter(name="late").exists()
    reply = ana.submit(reply["Location"], {"name": ana.user.email, "password": PASSWORD})
    assert reply["Location"] == f"{path}/keys"


def test_e02_after_logout_the_old_cookie_opens_nothing(ana, browser, path):
    cookie = ana.session
    assert ana.get("/logout").status_code == 200 and look(ana, path)  # a GET does nothing
    ana.submit("/logout", {})
    replay = browser()
    replay.cookies["sessionid"] = cookie
    for suffix in PAGES:
        assert replay.get(path + suffix)["Location"].startswith("/login?next=")


def test_every_form_needs_its_token(ana, path):
    key = ApiKey.objects.filter(project_id=path[10:]).first()
    for address in ("/projects", f"{path}/keys", f"{path}/keys/{key.id}/revoke", f"{path}/members"):
        assert ana.post(address, {"form_id": uuid.uuid4()}).status_code == 403
    key.refresh_from_db()
    assert key.state == "active"


def test_staff_reads_and_a_superuser_does_everything(ana, person, path):
    boss = person("boss@example.com", is_verified=True)
    User.objects.filter(pk=boss.user.pk).update(is_staff=True)
    assert look(boss, path) and look(boss, f"{path}/keys", expect=403)
    User.objects.filter(pk=boss.user.pk).update(is_superuser=True)
    made_key(boss, path)


def test_homes_of_many_rows_take_no_more_queries(ana, path):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    key = ApiClient(ana.account["api_key"])
    counts = []
    for _ in range(2):
        for n in range(5):
            key.send("POST", "/api/v1/log", {**CALL, "model": f"m{n}", "cost": "0.1"})
            key.send("POST", "/api/v1/conversations", {"title": "t"})
            ApiKey.issue(Project.objects.get(id=path[10:]))
        for suffix in ("", "/calls", "/keys"):
            with CaptureQueriesContext(connection) as queries:
                look(ana, path + suffix)
            counts.append(len(queries))
    assert counts[:3] == counts[3:]


def test_e04_a_sign_up_that_is_sent_twice_makes_one_account(browser, db_all):
    made = browser()
    fields = {**form_of(made, "/sign-up"), "email": "eve@example.com", "password": PASSWORD}
    first = made.post("/sign-up", fields)
    assert KEY.search(first.content.decode())
    again = made.post("/sign-up", fields)  # a new session has another token
    other = browser().submit("/sign-up", {"email": "EVE@example.com", "password": PASSWORD})
    assert (first.status_code, again.status_code, other.status_code) == (200, 403, 409)
    user = User.objects.get()
    assert Membership.objects.filter(user=user).count() == ApiKey.objects.count() == 1


def test_counts_of_what_is_not_settled_lead_to_their_calls(ana, path):
    key = ApiClient(ana.account["api_key"])
    key.send("POST", "/api/v1/log", CALL)
    failed = {"provider": "acme", "model": "broken", "usage_status": "failed"}
    key.send("POST", "/api/v1/log", failed)
    page = look(ana, path)
    assert "failed calls 1" in page.text
    address = dict(page.links)["failed calls"]
    row = look(ana, address).tables["Calls"][1:]
    assert [(each[1], each[7]) for each in row] == [("acme:broken", "usage failed")]
