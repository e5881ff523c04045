"""The audit log over the management API (row 27 of the contract's black-box table)."""

import pytest

from accounts.models import AuditEvent
from tests.gateway.conftest import KEY
from tests.gateway.test_manage_projects import UNKNOWN, token_of

pytestmark = pytest.mark.django_db


def events(manager, **query) -> list[dict]:
    return manager.read("/manage/audit", query)["events"]


def actions(manager, **query) -> list[str]:
    return [event["action"] for event in events(manager, **query)]


def test_each_change_is_one_event_with_the_id_of_its_request(manager, managed):
    token = token_of(manager, managed["id"])
    project, one = f"/manage/projects/{managed['id']}", f"/manage/tokens/{token['id']}"
    story = [
        ("PATCH", project, {"api_key": KEY}, 200, "project.update", "success"),
        ("PATCH", one, {"max_requests": 5}, 200, "token.update", "success"),
        ("PATCH", one, {"max_requests": -5}, 400, "token.update", "failure"),
        ("DELETE", one, None, 204, "token.revoke", "success"),
        ("POST", f"{project}/tokens/revoke", None, 200, "project.revoke_tokens", "success"),
        ("DELETE", project, None, 204, "project.delete", "success"),
        (
            "POST",
            "/manage/tokens",
            {"project_id": managed["id"], "duration_hours": 1},
            403,
            "token.create",
            "denied",
        ),
        ("DELETE", f"/manage/tokens/{UNKNOWN}", None, 404, "token.revoke", "failure"),
    ]
    for number, (method, path, body, status, action, outcome) in enumerate(story):
        headers = {"X-Request-ID": f"story-{number}", "User-Agent": "test/1"}
        manager.send(method, path, body, expect=status, headers=headers)
        [event] = events(manager, request_id=f"story-{number}")
        assert (event["action"], event["outcome"]) == (action, outcome)
        assert (event["method"], event["path"]) == (method, path)
        assert (event["actor"], event["user_agent"]) == ("management_token", "test/1")
        assert event["client_ip"] == "127.0.0.1"
    assert AuditEvent.objects.count() == len(story) + 2
    assert KEY not in str(AuditEvent.objects.values())


def test_reading_is_not_recorded(manager, managed):
    before = AuditEvent.objects.count()
    for path in ("/manage/projects", "/manage/tokens", "/manage/audit"):
        manager.read(path)
    assert AuditEvent.objects.count() == before


def test_one_event_is_shown_as_in_the_list(manager, managed):
    [event] = events(manager)
    assert manager.read(f"/manage/audit/{event['id']}") == event
    assert event["project_id"] == managed["id"] and event["timestamp"].endswith("Z")
    assert event["details"] == {"name": "My Project", "upstreams": ["openai"]}
    assert event["metadata"] == '{"name": "My Project", "upstreams": ["openai"]}'
    reply = manager.read(f"/manage/audit/{UNKNOWN}", expect=404)
    assert reply == {"error": "audit event not found", "code": "not_found"}


def test_filters(manager, managed):
    token = token_of(manager, managed["id"], name="needle")
    headers = {"X-Request-ID": "that-one"}
    manager.send("DELETE", f"/manage/tokens/{token['id']}", expect=204, headers=headers)
    other = manager.send("POST", "/manage/projects", {"name": "other"}, expect=201)
    newest_first = ["project.create", "token.revoke", "token.create", "project.create"]
    assert actions(manager) == newest_first
    assert actions(manager, action="token.create") == ["token.create"]
    assert actions(manager, project_id=other["id"]) == ["project.create"]
    assert actions(manager, token_id=token["id"]) == ["token.revoke", "token.create"]
    for name in ("request_id", "correlation_id"):
        assert actions(manager, **{name: "that-one"}) == ["token.revoke"]
    assert actions(manager, search="NEEDLE") == ["token.create"]
    assert actions(manager, method="DELETE", path=f"/manage/tokens/{token['id']}") == [
        "token.revoke"
    ]
    assert len(actions(manager, client_ip="127.0.0.1", actor="management_token")) == 4
    assert actions(manager, search="127.0.0.1") == newest_first
    middle = events(manager)[1]["timestamp"]
    assert actions(manager, start_time=middle) == newest_first[:2]
    assert actions(manager, end_time=middle) == newest_first[1:]
    for query in (
        {"outcome": "denied"},
        {"project_id": "x"},
        {"client_ip": "x"},
        {"client_ip": "192.0.2.1"},
        {"search": "%"},
        {"end_time": "1066-10-14T00:00:00Z"},
    ):
        assert actions(manager, **query) == [], query
    manager.read("/manage/audit", {"start_time": "yesterday"}, expect=400)


def test_pages_of_any_size_are_safe(manager, managed):
    for name in ("b", "c", "d", "e"):
        manager.send("POST", "/manage/projects", {"name": name}, expect=201)

    page = manager.read("/manage/audit", {"page": 2, "page_size": 2})

    assert len(page["events"]) == 2
    assert page["pagination"] == {
        "page": 2,
        "page_size": 2,
        "total_count": 5,
        "total_pages": 3,
        "has_next": True,
        "has_prev": True,
    }
    sizes = {"0": 20, "-1": 20, "101": 100, "9" * 15: 100}
    for sent, used in sizes.items():
        reply = manager.read("/manage/audit", {"page_size": sent})
        assert reply["pagination"]["page_size"] == used and len(reply["events"]) == 5
    for sent, used in {"0": 1, "-1": 1}.items():
        reply = manager.read("/manage/audit", {"page": sent})
        assert reply["pagination"]["page"] == used and len(reply["events"]) == 5
    beyond = manager.read("/manage/audit", {"page": 2**53 - 1, "page_size": 100})
    assert beyond["events"] == [] and beyond["pagination"]["has_next"] is False
    manager.read("/manage/audit", {"page": "x"}, expect=400)
