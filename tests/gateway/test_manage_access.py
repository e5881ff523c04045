"""Who may manage: the holder of the management token, and superusers."""

import pytest
from django.test import Client

from accounts.models import AuditEvent, User
from tests.client import ApiClient
from tests.gateway.conftest import MANAGEMENT_TOKEN, bearer

pytestmark = pytest.mark.django_db
PATHS = ("/manage/projects", "/manage/tokens", "/manage/audit")


@pytest.mark.parametrize("path", PATHS)
def test_row_3_right_token_opens_in_any_case_of_the_scheme(manager, path):
    for scheme in ("Bearer", "bearer", "BEARER"):
        manager.read(path, headers={"Authorization": f"{scheme} {MANAGEMENT_TOKEN}"})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("authorization", "error"),
    [
        (None, "missing or invalid Authorization header"),
        ("Basic YTpi", "missing or invalid Authorization header"),
        ("Bearer", "missing or invalid Authorization header"),
        ("Bearer wrong", "invalid management token"),
        (f"bearer {MANAGEMENT_TOKEN}x", "invalid management token"),
    ],
)
def test_row_3_anything_else_is_401_in_json(manager, anonymous, path, authorization, error):
    headers = {"Authorization": authorization} if authorization else {}
    response = anonymous.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json()["error"] == error and response.json()["code"] == "not_authenticated"


def test_key_of_a_project_manages_nothing(manager, api):
    api.read("/manage/tokens", expect=401)
    bearer(api.key).read("/manage/tokens", expect=401)


def test_without_a_management_token_the_server_says_how_to_set_one(db_all, settings):
    settings.MANAGEMENT_TOKEN = ""
    for text in ("", "x"):
        assert bearer(text).get("/manage/projects").status_code == 401
    error = bearer("x").read("/manage/projects", expect=401)["error"]
    assert "set MANAGEMENT_TOKEN" in error


def test_guesses_are_recorded_and_limited_by_address(manager):
    for number in range(10):
        bearer(f"guess {number}").read("/manage/tokens", expect=401, REMOTE_ADDR="192.0.2.9")
    refused = bearer(MANAGEMENT_TOKEN).get("/manage/tokens", REMOTE_ADDR="192.0.2.9")
    assert refused.status_code == 429 and refused.json()["code"] == "too_many_guesses"
    assert refused.headers["Retry-After"] == "60"
    manager.read("/manage/tokens", REMOTE_ADDR="192.0.2.10")
    events = AuditEvent.objects.filter(action="manage.access")
    assert {(row.outcome, row.actor, row.client_ip) for row in events} == {
        ("denied", "anonymous", "192.0.2.9")
    }
    assert events.count() == 10 and "guess" not in str(events.values())


def test_guesses_from_one_network_of_ipv6_count_together(manager):
    for number in range(10):
        bearer("guess").read("/manage/tokens", expect=401, REMOTE_ADDR=f"2001:db8::{number:x}")
    manager.read("/manage/tokens", REMOTE_ADDR="2001:db8::ffff:1", expect=429)
    manager.read("/manage/tokens", REMOTE_ADDR="2001:db8:0:1::1")


def test_superuser_manages_by_session_with_csrf_token(manager):
    boss = User.objects.create_superuser("boss", password="x")
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(boss)
    assert browser.get("/manage/projects").status_code == 200
    body = {"data": {"name": "p"}, "content_type": "application/json"}

    refused = browser.post("/manage/projects", **body)

    assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
    browser.get("/admin/")  # gives the cookie
    token = browser.cookies["csrftoken"].value
    elsewhere = {"X-CSRFToken": token, "Origin": "https://elsewhere.example"}
    refused = browser.post("/manage/projects", **body, headers=elsewhere)
    assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
    made = browser.post("/manage/projects", **body, headers={"X-CSRFToken": token})
    assert made.status_code == 201
    event = AuditEvent.objects.get(action="project.create")
    assert event.actor == f"user:{boss.id}" and event.user_id == boss.id


@pytest.mark.parametrize("is_staff", [True, False])
def test_other_people_do_not_manage(db_all, is_staff):
    browser = ApiClient()
    browser.force_login(User.objects.create_user("ann", is_staff=is_staff))
    reply = browser.read("/manage/projects", expect=403)
    assert reply == {"error": "Only superusers manage projects and tokens", "code": "not_permitted"}
