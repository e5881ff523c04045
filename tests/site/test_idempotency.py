"""`Idempotency-Key` on the POSTs that store, outside of conversations and templates.

Source: docs/http-contract.md, section "Retries".
"""

import json

import pytest
from django.apps import apps
from django.db import connection

from aliases.models import AliasRevision
from core.models import IdempotentRequest
from registry_proxy import refreshing
from tests import openapi
from tests.client import ApiClient
from tests.mcp.conftest import SERVER, no_sessions_left, scheduled
from tests.receipts import vectors
from tests.receipts.conftest import empty_key_cache, signing
from tests.receipts.ledger import log
from tests.registry_proxy.upstream import restart
from tests.threads import at_once

__all__ = ["empty_key_cache", "no_sessions_left", "scheduled", "signing"]
pytestmark = pytest.mark.usefixtures("signing")

KEY = {"HTTP_IDEMPOTENCY_KEY": "order-7"}
PRICE = {"provider": "azure", "model": "my-*", "prices": {"input": 2}}
USED = {"model": "gpt-4o-mini", "input_tokens": 100, "output_tokens": 50, "cost": 0.001}
UNPRICED = {"model": "m", "input_tokens": 1, "output_tokens": 1}
REASON = {"reason": "wrong"}

TOOL = {"server_id": "<server>", "name": "new", "input_schema": {}}

# The route, a body, and another one.
REQUESTS = {
    "alias": (
        "/api/v1/aliases/bind",
        {"alias": "a", "model": "openai:m"},
        {"alias": "a", "model": "openai:n"},
    ),
    "aliases": (
        "/api/v1/aliases/bulk_upsert?profile=dev",
        [{"alias": "a", "model": "openai:m"}],
        [],
    ),
    "signed receipt": ("/api/v1/receipts", vectors.signed_flat(), vectors.signed_nested()),
    "receipt of a draft": ("/api/v1/receipts", USED, {**USED, "cost": 1}),
    "batch receipt": (
        "/api/v1/receipts/generate",
        {"since_last_receipt": True},
        {"since_last_receipt": True, "description": "d"},
    ),
    "price": ("/api/v1/prices", PRICE, {**PRICE, "prices": {"input": 3}}),
    "correction": ("/api/v1/logs/<log>/correct", {**REASON, "cost": "0.2"}, REASON),
    "voiding": ("/api/v1/logs/<log>/void", REASON, {"reason": "other"}),
    "MCP server": ("/api/v1/mcp/servers", SERVER, {**SERVER, "name": "other"}),
    "MCP tool": ("/api/v1/mcp/tools", TOOL, {**TOOL, "name": "other"}),
    "lists of an MCP server": (
        "/api/v1/mcp/servers/<server>/refresh",
        {"tools": [{"name": "sub", "input_schema": {}}]},
        {"tools": []},
    ),
    "recorded execution": (
        "/api/v1/mcp/tools/<tool>/execute",
        {"input": {}, "output": {"sum": 3}},
        {"input": {}, "output": {"sum": 4}},
    ),
}


@pytest.fixture(params=REQUESTS.values(), ids=REQUESTS.keys())
def request_(request, api):
    """The path and both bodies, with the ids of a new log, MCP server and tool."""
    server = api.send("POST", "/api/v1/mcp/servers", {**SERVER, "name": "first"})["id"]
    tool = {"server_id": server, "name": "add", "input_schema": {}}
    ids = {
        "<log>": log(api),
        "<server>": server,
        "<tool>": api.send("POST", "/api/v1/mcp/tools", tool)["id"],
    }
    text = json.dumps(request.param)
    for placeholder, id in ids.items():
        text = text.replace(placeholder, id)
    return json.loads(text)


def stored() -> dict[str, int]:
    """The number of rows of each table, and of the changes of aliases."""
    rows = {model._meta.db_table: model.objects.count() for model in apps.get_models()}
    del rows["idempotent_requests"]
    return rows | {"revisions": sum(AliasRevision.objects.values_list("revision", flat=True))}


def with_slash(path: str) -> str:
    path, mark, query = path.partition("?")
    return f"{path}/{mark}{query}"


def test_repeated_request_gets_the_first_reply_and_stores_nothing(api, request_):
    path, body, other = request_
    before = stored()
    first = api.send("POST", path, body, **KEY)
    after = stored()
    assert after != before
    assert api.send("POST", with_slash(path), body, **KEY) == first
    reply = api.send("POST", path, other, expect=409, **KEY)
    assert reply == {"detail": "Idempotency-Key was used before for a different request"}
    assert stored() == after
    assert IdempotentRequest.objects.get().project_id == api.project.id


def test_requests_of_one_key_at_once_store_once(api, request_):
    path, body, _ = request_

    def send() -> tuple[int, dict]:
        response = ApiClient(api.key).post(path, body, "application/json", **KEY)
        return response.status_code, response.json()

    (first, *others) = at_once(*[send] * 4)
    assert first[0] == 200 and others == [first] * 3
    after = stored()
    assert api.send("POST", path, body, **KEY) == first[1]
    assert stored() == after


@pytest.mark.parametrize("key", ["k" * 256, "a\x00b"], ids=["long", "NUL"])
def test_unusable_key_is_refused_before_anything_is_stored(api, request_, key):
    path, body, _ = request_
    before = stored()
    reply = api.send("POST", path, body, expect=422, HTTP_IDEMPOTENCY_KEY=key)
    assert reply["detail"][0]["loc"] == ["header", "Idempotency-Key"]
    assert stored() == before


def test_refused_request_leaves_the_key_free(api, request_):
    path, body, _ = request_
    api.send("POST", path, b"{", expect=422, **KEY)
    assert not IdempotentRequest.objects.exists()
    api.send("POST", path, body, **KEY)


def test_keys_of_projects_do_not_meet(api, other_api):
    path = "/api/v1/aliases/bind"
    api.send("POST", path, {"alias": "a", "model": "openai:m"}, **KEY)
    theirs = other_api.send("POST", path, {"alias": "b", "model": "openai:n"}, **KEY)
    assert theirs["project_id"] == str(other_api.project.id)
    price = api.send("POST", "/api/v1/prices", PRICE, **KEY)
    assert other_api.send("POST", "/api/v1/prices", PRICE, **KEY)["id"] != price["id"]


def test_request_for_another_profile_is_another_request(api):
    path, body = "/api/v1/aliases/bulk_upsert", [{"alias": "a", "model": "openai:m"}]
    api.send("POST", f"{path}?profile=dev", body, **KEY)
    api.send("POST", f"{path}?profile=prod", body, expect=409, **KEY)
    assert {row["profile"] for row in api.read("/api/v1/aliases")} == {"dev"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/receipts", UNPRICED),
        ("/api/v1/receipts/generate", {"since_last_receipt": True}),
        ("/api/v1/logs/<log>/correct", {**REASON, **UNPRICED}),
        (
            "/conversations/log",
            {
                "messages": [],
                "response": {"content": "a"},
                "metadata": {"provider": "p", **UNPRICED},
            },
        ),
    ],
    ids=["draft", "generate", "correct", "call"],
)
def test_upstream_is_never_asked_inside_the_transaction(api, monkeypatch, path, body):
    path = path.replace("<log>", log(api))
    asked_inside = []
    ask = refreshing.refresh

    def refresh(**options):
        asked_inside.append(connection.in_atomic_block)
        return ask(**options)

    restart()  # as a process that has not asked yet
    monkeypatch.setattr(refreshing, "refresh", refresh)
    api.send("POST", path, body, **KEY)
    assert asked_inside == [False]


def test_every_post_that_stores_documents_the_header():
    def takes_key(operation: dict) -> bool:
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        return "Idempotency-Key" in names

    paths = openapi.document()["paths"]
    # What people do in their sessions has no retrying clients.
    posts = {
        path: methods["post"]
        for path, methods in paths.items()
        if "post" in methods and any("ApiKey" in each for each in methods["post"]["security"])
    }
    assert {path for path, operation in posts.items() if not takes_key(operation)} == {
        "/api/v1/keys",  # replies hold keys, which are not kept
        "/api/v1/keys/{key_id}/revoke",
        "/api/v1/mcp/prompts/{prompt_id}/render",
        "/api/v1/receipts/issue",
        "/api/v1/receipts/preview",
        "/mcp",  # JSON-RPC, whose clients know no such header
    }
