"""Tenancy, by walking every route: a stranger finds nothing of ours and changes nothing."""

import json
import re

import pytest
from django.apps import apps

from core.scoping import OwnedModel
from mcp.models import Prompt, Resource
from tests import openapi
from tests.mcp.conftest import SERVER
from tests.receipts import vectors

CALL = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1, "cost": 1}
# In these paths the name stands for one of the caller's own.
_OWN_NAMES = {"alias"}


@pytest.fixture
def ours(api, settings):
    """A row of ours for each parameter that stands in a path, and its id."""
    settings.RECEIPTS_PRIVATE_KEY = vectors.SEED
    settings.RECEIPTS_PUBLIC_KEY = vectors.PUBLIC
    settings.RECEIPTS_KEY_ID = "k-2025"
    server = api.send("POST", "/api/v1/mcp/servers", SERVER)
    tool = api.send(
        "POST", "/api/v1/mcp/tools", {"server_id": server["id"], "name": "add", "input_schema": {}}
    )
    execution = api.send(
        "POST", f"/api/v1/mcp/tools/{tool['id']}/execute", {"input": {}, "result": {"sum": 3}}
    )
    api.send("POST", "/api/v1/aliases/bind", {"alias": "fast", "model": "p:m"})
    log = api.send("POST", "/api/v1/log", CALL)
    receipt = api.send("POST", "/api/v1/receipts/generate", {"log_ids": [log["log_id"]]})
    owner = {"server_id": server["id"], "project_id": api.project.id}
    return {
        "alias": "fast",
        "conversation_id": api.send("POST", "/api/v1/conversations", {"title": "t"})["id"],
        "execution_id": execution["id"],
        "key_id": str(api.api_key_id),
        "log_id": log["log_id"],
        "price_id": api.send(
            "POST", "/api/v1/prices", {"provider": "p", "model": "m", "prices": {"input": "1"}}
        )["id"],
        "prompt_id": Prompt.objects.create(name="p", **owner).id,
        "receipt_id": receipt["receipt"]["receipt_id"],
        "resource_id": Resource.objects.create(uri="r:", name="r", **owner).id,
        "server_id": server["id"],
        "template_id": api.send("POST", "/api/v1/templates", {"name": "t"})["id"],
        "tool_id": tool["id"],
    }


def _is_for_keys(operation: dict) -> bool:
    """Whether keys open it; what people alone may do is told in tests/accounts."""
    return any("ApiKey" in alternative for alternative in operation.get("security", []))


def operations():
    """Method, path, parameter and an example body of every operation on one row."""
    for path, methods in openapi.document()["paths"].items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        if not names or path.startswith(("/registry/", "/manage/")):
            continue
        for method, operation in methods.items():
            if not _is_for_keys(operation):
                continue
            content = operation.get("requestBody", {}).get("content", {})
            examples = content.get("application/json", {}).get("examples", {})
            body = next(iter(examples.values()), {"value": {}})["value"]
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
        if "get" in methods and _is_for_keys(methods["get"]):
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
