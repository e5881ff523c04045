"""Odd requests of managers: never a 500, never half done, and no secret in the reply."""

import pytest

from accounts.models import Allowance, Project
from gateway.models import Token
from tests import odd_bodies, odd_requests
from tests.gateway.test_manage_projects import UNKNOWN, token_of

pytestmark = pytest.mark.django_db
PROJECT = {"name": "p", "upstream_keys": {}}
TOKEN = {"name": "t", "project_id": UNKNOWN, "duration_hours": 1}


@pytest.mark.parametrize(
    ("path", "valid"),
    [("/manage/projects", PROJECT), ("/manage/tokens", TOKEN)],
    ids=["project", "token"],
)
def test_bodies_at_the_edges_of_json_are_400(manager, path, valid):
    bodies = odd_bodies.refused(valid, "name", "upstream_keys")
    for name, (body, _) in bodies.items():
        if path == "/manage/tokens" and name in _OF_THE_OBJECT:
            continue  # tokens have no such member
        reply = manager.send("POST", path, body, expect=400)
        assert reply["error"] and reply["code"], name
    assert not Project.objects.exists() and not Token.objects.exists()
    assert not Allowance.objects.exists()


_OF_THE_OBJECT = {"NUL in an object", "NUL in a name", "depth"}


def is_for_managers(path: str, operation: dict) -> bool:
    return path.startswith("/manage/")


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "operation"), odd_requests.operations(is_for_managers))
def test_no_route_fails(manager, managed, method, path, operation):
    token = token_of(manager, managed["id"])
    ids = {"project_id": managed["id"], "token_id": token["id"], "event_id": UNKNOWN}
    odd_requests.check(manager, method, path, operation, ids)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"],
)
def test_bodies_are_json_whatever_their_type_says(manager, content_type):
    """`curl -d` without a header says that it sends a form; llm-proxy looks at no type."""
    body = '{"name": "of curl", "api_key": "sk-of-curl-0123456789"}'
    created = manager.send("POST", "/manage/projects", body, expect=201, content_type=content_type)
    assert Project.objects.get(id=created["id"]).name == "of curl"
    renamed = manager.send(
        "PATCH",
        f"/manage/projects/{created['id']}",
        '{"name": "renamed"}',
        content_type=content_type,
    )
    assert renamed["name"] == "renamed"
    refused = manager.send(
        "POST", "/manage/projects", "name=p", expect=400, content_type=content_type
    )
    assert refused["code"] == "invalid_input" and refused["error"].startswith("The body is not")


def test_too_large_body_is_413_in_the_same_shape(manager, settings):
    settings.MAX_BODY_BYTES = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024
    reply = manager.send("POST", "/manage/projects", {"name": "x" * 2000}, expect=413)
    assert reply == {"error": "The body is larger than 1024 bytes", "code": "body_too_large"}
