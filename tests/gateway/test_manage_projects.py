"""Projects over the management API. Rows are those of the contract's black-box table."""

import json

import pytest
from django.utils import timezone

from accounts.models import ApiKey, AuditEvent, Project
from gateway.models import Token, UpstreamKey
from gateway.views.projects import ProjectViewSet
from gateway.views.tokens import TokenViewSet
from tests.client import ApiClient
from tests.gateway.conftest import KEY, MASKED

pytestmark = pytest.mark.django_db
UNKNOWN = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


def token_of(manager, project_id: str, **members) -> dict:
    body = {"project_id": project_id, "duration_hours": 24, **members}
    return manager.send("POST", "/manage/tokens", body, expect=201)


@pytest.mark.parametrize("spelling", ["api_key", "openai_api_key"])
def test_row_4_project_is_created_with_either_spelling_of_the_key(manager, spelling):
    body = {"name": "My Project", spelling: KEY}

    project = manager.send("POST", "/manage/projects", body, expect=201)

    row = UpstreamKey.objects.get()
    assert project.pop("created_at").endswith("Z") and project.pop("updated_at").endswith("Z")
    assert project == {
        "id": str(row.project_id),
        "name": "My Project",
        "api_key": MASKED,
        "upstream_keys": {"openai": MASKED},
        "is_active": True,
        "deactivated_at": None,
    }
    assert row.api_key.open() == KEY and KEY not in row.api_key.text


def test_row_4_name_of_an_active_project_is_taken(manager, managed):
    again = {"name": managed["name"], "api_key": KEY}
    reply = manager.send("POST", "/manage/projects", again, expect=409)
    assert reply["code"] == "name_taken" and reply["error"].startswith("name: ")
    other = manager.send("POST", "/manage/projects", {"name": "Other"}, expect=201)
    path = f"/manage/projects/{other['id']}"
    manager.send("PATCH", path, {"name": managed["name"]}, expect=409)

    manager.send("DELETE", f"/manage/projects/{managed['id']}", expect=204)
    manager.send("PATCH", path, {"name": managed["name"]})

    back = {"is_active": True}
    manager.send("PATCH", f"/manage/projects/{managed['id']}", back, expect=409)
    assert Project.objects.filter(name=managed["name"], archived_at=None).count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"api_key": KEY}, "name"),
        ({"name": "", "api_key": KEY}, "name"),
        ({"name": " ", "api_key": KEY}, "name"),
        ({"name": "p", "api_key": MASKED}, "api_key"),
        ({"name": "p", "openai_api_key": "ab*******"}, "openai_api_key"),
        ({"name": "p", "api_key": "two words"}, "api_key"),
        ({"name": "p", "api_key": "line\nfeed"}, "api_key"),
        ({"name": "p", "api_key": KEY, "openai_api_key": f"{KEY}2"}, "api_key"),
        ({"name": "p", "upstream_keys": {"gr oq": KEY}}, "upstream_keys"),
        ({"name": "p\x00"}, "name"),
        ({"name": 7}, "name"),
    ],
)
def test_bad_project_is_400_that_names_the_field_and_no_secret(manager, body, field):
    reply = manager.send("POST", "/manage/projects", body, expect=400)
    assert reply["code"] == "invalid_input"
    assert [name.split(".")[0] for name in reply["fields"]] == [field]
    assert reply["error"].startswith(field)
    assert KEY not in json.dumps(reply) and "two words" not in json.dumps(reply)
    assert not Project.objects.exists()


OBJECT = "Input should be a valid dictionary or object to extract fields from"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("", "A JSON object is required"),
        ("{", "The body is not valid JSON: unexpected end of data at character 1"),
        ('{"name": "x",}', "The body is not valid JSON: trailing comma"),
        ("[]", OBJECT),
        ("null", OBJECT),
        ('"x"', OBJECT),
    ],
)
def test_malformed_body_is_400_and_named_as_a_whole(manager, body, fault):
    reply = manager.send("POST", "/manage/projects", body, expect=400)
    assert reply["error"].startswith(fault)
    assert reply == {
        "error": reply["error"],
        "code": "invalid_input",
        "fields": {"body": reply["error"]},
    }


def test_body_that_is_not_utf_8_has_a_documented_code(manager):
    reply = manager.send("POST", "/manage/projects", b'{"name": "\xff"}', expect=400)
    assert reply == {"error": "There was an error parsing the body", "code": "malformed_body"}


def test_row_5_key_is_never_shown_again(manager, managed):
    path = f"/manage/projects/{managed['id']}"
    replies = [
        managed,
        manager.read(path),
        manager.read("/manage/projects"),
        manager.send("PATCH", path, {"api_key": f"{KEY}2"}),
        manager.read("/manage/audit"),
    ]
    assert KEY not in json.dumps(replies)
    assert manager.read(path) == replies[3]
    assert replies[3]["api_key"] == "sk-proj-...XYZ2"
    assert UpstreamKey.objects.get().api_key.open() == f"{KEY}2"


def test_row_5_unknown_project_is_404(manager):
    for path in (f"/manage/projects/{UNKNOWN}", f"/manage/projects/{UNKNOWN}/"):
        reply = manager.read(path, expect=404)
        assert reply == {"error": "project not found", "code": "not_found"}
    manager.read("/manage/projects/x", expect=400)


def test_projects_are_listed_by_name(manager):
    for name in ("b", "a", "c"):
        manager.send("POST", "/manage/projects", {"name": name}, expect=201)
    listed = manager.read("/manage/projects")
    assert [project["name"] for project in listed] == ["a", "b", "c"]
    manager.send("DELETE", f"/manage/projects/{listed[1]['id']}", expect=204)
    for name in ("active_only", "activeOnly"):
        active = manager.read("/manage/projects", {name: "true"})
        assert [project["name"] for project in active] == ["a", "c"]
    first = manager.get("/manage/projects", {"limit": 2})
    assert [project["name"] for project in first.json()] == ["a", "b"]
    link = first.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')
    assert [project["name"] for project in manager.read(link)] == ["c"]


def test_lists_ask_as_often_for_many_as_for_one(manager, managed, django_assert_num_queries):
    for number in range(5):
        body = {"name": f"{number}", "api_key": KEY}
        manager.send("POST", "/manage/projects", body, expect=201)
        token_of(manager, managed["id"])
    with django_assert_num_queries(4):  # guesses, projects, keys, changes
        assert len(manager.read("/manage/projects")) == 6
    with django_assert_num_queries(2):
        assert len(manager.read("/manage/tokens")) == 5


def test_row_6_patch_changes_what_is_sent(manager, managed):
    path = f"/manage/projects/{managed['id']}"
    manager.send("PATCH", path, {"name": " "}, expect=400)
    renamed = manager.send("PATCH", path, {"name": " New Name "})
    assert renamed.pop("updated_at") > managed.pop("updated_at")
    assert renamed == {**managed, "name": "New Name"}
    manager.send("PATCH", path, {"api_key": renamed["api_key"]}, expect=400)
    kept = manager.send("PATCH", path, {"api_key": ""})
    assert (kept["name"], kept["api_key"]) == ("New Name", MASKED)
    assert manager.send("PATCH", path, {})["name"] == "New Name"
    assert UpstreamKey.objects.get().api_key.open() == KEY


def test_keys_of_other_upstreams_are_set_and_removed(manager, managed):
    path = f"/manage/projects/{managed['id']}"
    both = manager.send("PATCH", path, {"upstream_keys": {"groq": "gsk_0123456789abcdef"}})
    assert both["upstream_keys"] == {"groq": "gsk_0123...cdef", "openai": MASKED}
    one = manager.send("PATCH", path, {"upstream_keys": {"openai": None}})
    assert one["upstream_keys"] == {"groq": "gsk_0123...cdef"} and one["api_key"] == ""


def test_row_7_delete_revokes_and_keeps_the_project(manager, managed):
    token = token_of(manager, managed["id"])
    path = f"/manage/projects/{managed['id']}"
    for _ in range(2):
        manager.send("DELETE", path, expect=204)
    deleted = manager.read(path)
    assert deleted["is_active"] is False and deleted["deactivated_at"].endswith("Z")
    assert Token.objects.get().revoked_at is not None
    reply = manager.send(
        "POST",
        "/manage/tokens",
        {"project_id": managed["id"], "duration_hours": 1},
        expect=403,
    )
    assert reply == {
        "error": "cannot create tokens for inactive projects",
        "code": "project_inactive",
    }
    manager.send("PATCH", path, {"is_active": True})
    assert manager.read(f"/manage/tokens/{token['id']}")["is_active"] is False


def test_row_16_deactivation_refuses_the_api_keys_too(manager, managed):
    project = Project.objects.get(id=managed["id"])
    _, key = ApiKey.issue(project)
    path, client = f"/manage/projects/{managed['id']}", ApiClient(key)
    client.read("/api/v1/logs")
    assert manager.send("PATCH", path, {"is_active": False})["is_active"] is False
    client.read("/api/v1/logs", expect=401)
    manager.send("PATCH", path, {"is_active": True})
    client.read("/api/v1/logs")


def test_deactivation_revokes_tokens_when_asked(manager, managed):
    token_of(manager, managed["id"])
    path = f"/manage/projects/{managed['id']}"
    reply = manager.send("PATCH", path, {"revoke_tokens": True}, expect=400)
    assert reply["fields"] == {"revoke_tokens": "revoke_tokens requires is_active=false"}
    manager.send("PATCH", path, {"is_active": False, "revoke_tokens": True})
    assert Token.objects.get().revoked_at is not None
    assert AuditEvent.objects.first().details["revoked_count"] == 1


def test_row_15_bulk_revoke_counts(manager, managed):
    tokens = [token_of(manager, managed["id"]) for _ in range(3)]
    manager.send("DELETE", f"/manage/tokens/{tokens[0]['id']}", expect=204)
    path = f"/manage/projects/{managed['id']}/tokens/revoke"
    first, second = manager.send("POST", path), manager.send("POST", path)
    assert first == {"revoked_count": 2, "already_revoked_count": 1, "total_tokens": 3}
    assert second == {"revoked_count": 0, "already_revoked_count": 3, "total_tokens": 3}
    manager.send("POST", f"/manage/projects/{UNKNOWN}/tokens/revoke", expect=404)
    manager.read(path, expect=405)


def test_wrong_method_is_405_in_json(manager, managed):
    response = manager.put(f"/manage/projects/{managed['id']}", "{}")
    assert response.status_code == 405 and "DELETE" in response.headers["Allow"]
    assert response.json() == {"error": "Method Not Allowed", "code": "method_not_allowed"}
    assert manager.get("/manage/nothing").json() == {"error": "Not Found", "code": "not_found"}


@pytest.fixture
def meanwhile(monkeypatch):
    """Have something done after a request has looked up what its path names."""

    def do(view, act) -> None:
        look_up = view.get_object

        def then_act(self):
            found = look_up(self)
            act()
            return found

        monkeypatch.setattr(view, "get_object", then_act)

    return do


@pytest.mark.parametrize(
    "changes",
    [{"name": "Other"}, {"is_active": False, "revoke_tokens": True}, {"api_key": KEY}, {}],
)
def test_project_that_is_deleted_meanwhile_is_404(manager, managed, meanwhile, changes):
    meanwhile(ProjectViewSet, Project.objects.all().delete)
    reply = manager.send("PATCH", f"/manage/projects/{managed['id']}", changes, expect=404)
    assert reply == {"error": "project not found", "code": "not_found"}
    assert not UpstreamKey.objects.exists()


def test_project_that_is_archived_meanwhile_is_taken_back(manager, managed, meanwhile):
    """What is asked for holds, whatever was there when the request came."""
    meanwhile(ProjectViewSet, lambda: Project.objects.update(archived_at=timezone.now()))
    path = f"/manage/projects/{managed['id']}"
    assert manager.send("PATCH", path, {"is_active": True})["is_active"] is True
    assert manager.send("PATCH", path, {"name": "Other"})["is_active"] is False


def test_token_that_is_deleted_meanwhile_is_404(manager, managed, meanwhile):
    token = token_of(manager, managed["id"])
    meanwhile(TokenViewSet, Token.objects.all().delete)
    reply = manager.send("PATCH", f"/manage/tokens/{token['id']}", {"name": "x"}, expect=404)
    assert reply == {"error": "token not found", "code": "not_found"}
