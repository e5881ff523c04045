"""Tenancy, by walking every route: a stranger finds nothing of ours and changes nothing."""

import json
import re

import pytest
from django.apps import apps

from accounts.api_keys import is_id
from core.ids import uuid7
from core.scoping import OwnedModel
from tests import openapi

# In these paths the name stands for one of the caller's own.
_OWN_NAMES = {"alias"}


def operations():
    """Method, path, parameter and an example body of every operation on one row."""
    for path, methods in openapi.document()["paths"].items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if not names or path.startswith(("/registry/", "/manage/")):
            continue
        for method, operation in methods.items():
            if not openapi.is_for_keys(operation):
                continue
            body = next(iter(openapi.examples(operation)), {})
            yield pytest.param(method.upper(), path, names[0], body, id=f"{method} {path}")


def rows(project) -> str:
    """Everything that the project owns, as text."""
    owned = [model for model in apps.get_models() if issubclass(model, OwnedModel)]
    return json.dumps(
        {
            model._meta.label: [
                str(sorted(row.items()))
                for row in model.objects.filter(project_id=project.id).order_by("pk").values()
            ]
            for model in owned
        }
    )


@pytest.mark.parametrize(("method", "path", "name", "body"), list(operations()))
def test_stranger_finds_and_changes_nothing(ours, api, other_api, method, path, name, body):
    before = rows(api.project)
    response = other_api.generic(
        method,
        path.replace(f"{{{name}}}", str(ours[name])),
        json.dumps(body) if method in ("POST", "PUT", "PATCH") else "",
        content_type="application/json",
    )
    if name not in _OWN_NAMES:
        assert response.status_code == 404, response.content
    assert rows(api.project) == before


def lists():
    for path, methods in openapi.document()["paths"].items():
        if path.startswith("/manage/") or "{" in path:
            continue
        if "get" in methods and openapi.is_for_keys(methods["get"]):
            yield path


_NAME_OF_ID = re.compile(r"(^|_)ids?$")


def bodies_with_ids():
    """Method, path and body of every operation, and a member of its body that takes an id."""
    for path, methods in openapi.document()["paths"].items():
        for method, operation in methods.items():
            if not openapi.is_for_keys(operation):
                continue
            body = next(iter(openapi.examples(operation)), {})
            for name, schema in openapi.members(operation).items():
                if _NAME_OF_ID.search(name):
                    case = f"{method} {path} {name}"
                    is_list = "array" in json.dumps(schema)
                    yield pytest.param(method.upper(), path, body, name, is_list, id=case)


def answer(client, method: str, path: str, body: dict, id: str) -> tuple[int, str]:
    """The reply to a body; of a refusal also the words, with the same one for the id."""
    response = client.generic(method, path, json.dumps(body), content_type="application/json")
    is_refused = response.status_code >= 400
    return response.status_code, response.content.decode().replace(id, "ID") if is_refused else ""


@pytest.mark.parametrize(("method", "path", "body", "name", "is_list"), list(bodies_with_ids()))
def test_row_of_ours_is_answered_as_one_that_does_not_exist(
    ours, theirs, api, other_api, method, path, body, name, is_list
):
    """In bodies: neither a status nor words tell a stranger that an id is one of ours."""
    before = rows(api.project)
    for parameter, id in theirs.items():
        path = path.replace(f"{{{parameter}}}", str(id))
    for id in (str(id) for id in ours.values() if is_id(str(id))):
        nobodys = str(uuid7())
        of_ours = {**body, name: [id] if is_list else id}
        of_nobody = {**body, name: [nobodys] if is_list else nobodys}
        reply = answer(other_api, method, path, of_ours, id)
        assert reply == answer(other_api, method, path, of_nobody, nobodys), id
        assert reply[0] < 500
    assert rows(api.project) == before


def test_keys_of_projects_manage_nothing(ours, api):
    paths = openapi.document()["paths"]
    managed = [(method, path) for path in paths if "/manage/" in path for method in paths[path]]
    assert len(managed) >= 12
    for method, path in managed:
        filled = re.sub(r"{\w+}", str(api.project.id), path)
        assert api.generic(method.upper(), filled).status_code == 401, (method, path)


def test_stranger_sees_none_of_our_rows_in_lists(ours, other_api):
    required = {
        "/api/v1/aliases/resolve": {"alias": "fast"},
    }
    seen = {}
    for path in lists():
        reply = other_api.get(path, required.get(path))
        text = b"".join(reply.streaming_content) if reply.streaming else reply.content
        assert reply.status_code == 200, path
        # Between what JSON and CSV have around a value: some ids are short numbers.
        seen[path] = [
            id
            for name, id in ours.items()
            if name not in _OWN_NAMES and re.search(rf'[":,\[]{id}[",}}\]]', text.decode())
        ]
    assert seen and not any(seen.values()), seen


@pytest.mark.parametrize("path", list(lists()))
def test_key_that_has_never_written_gets_every_list(db_all, bridge_mode, path):
    """In `bridge` mode a key never seen before reads the lists of no project."""
    from tests.client import ApiClient

    query = {"alias": "x"} if path == "/api/v1/aliases/resolve" else None
    assert ApiClient("never-seen").get(path, query).status_code == 200
