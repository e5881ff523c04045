"""Tenancy, by walking every route: a stranger finds nothing of ours and changes nothing."""

import json
import re

import pytest
from django.apps import apps

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


def test_keys_of_projects_manage_nothing(ours, api):
    paths = openapi.document()["paths"]
    managed = [(method, path) for path in paths if "/manage/" in path for method in paths[path]]
    assert len(managed) >= 12
    for method, path in managed:
        filled = re.sub(r"{\w+}", str(api.project.id), path)
        assert api.generic(method.upper(), filled).status_code == 401, (method, path)


@pytest.mark.parametrize("path", list(lists()))
def test_stranger_sees_none_of_our_rows_in_lists(ours, other_api, path):
    required = {
        "/api/v1/aliases/resolve": {"alias": "fast"},
    }
    reply = other_api.get(path, required.get(path))
    text = b"".join(reply.streaming_content) if reply.streaming else reply.content
    assert reply.status_code == 200
    # Between what JSON and CSV have around a value: some ids are short numbers.
    shown = [
        id
        for name, id in ours.items()
        if name not in _OWN_NAMES and re.search(rf'[":,\[]{id}[",}}\]]', text.decode())
    ]
    assert not shown


@pytest.mark.parametrize("path", list(lists()))
def test_key_that_has_never_written_gets_every_list(db_all, bridge_mode, path):
    """In `bridge` mode a key never seen before reads the lists of no project."""
    from tests.client import ApiClient

    query = {"alias": "x"} if path == "/api/v1/aliases/resolve" else None
    assert ApiClient("never-seen").get(path, query).status_code == 200
