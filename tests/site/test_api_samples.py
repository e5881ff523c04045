"""The samples of /docs: each is right as it is, and harmless."""

import json
import re
from datetime import UTC, datetime

import pytest

from receipts import server_keys
from tests import openapi
from tests.gateway.conftest import KEY, manager
from tests.receipts import vectors

__all__ = ["manager"]


def _is_for_people(operation: dict) -> bool:
    return operation.get("security") == [{"PersonSession": []}]


def samples():
    for path, operations in openapi.document()["paths"].items():
        for method, operation in operations.items():
            # Of accounts, projects and the gateway's management: tests/people, tests/gateway.
            needs_key = any("ApiKey" in each for each in operation.get("security", []))
            if not needs_key and "accounts" in operation["tags"] or _is_for_people(operation):
                continue
            for kind, media in operation.get("requestBody", {}).get("content", {}).items():
                examples = media.get("examples", {})
                yield pytest.param(
                    *(method.upper(), path, kind),
                    [example["value"] for example in examples.values()],
                    id=f"{method.upper()} {path} {kind}",
                )


@pytest.fixture
def signing(settings):
    """The key that signed the sample of a receipt: the sample is of its server."""
    server_keys.clear_cache()
    vectors.configure(settings)
    yield
    server_keys.clear_cache()


@pytest.fixture
def rows(api, signing, manager):
    """The path's names, with ids of rows of the caller."""
    server = {"name": "n", "url": "https://mcp.example.invalid/mcp", "transport_type": "http"}
    server_id = api.send("POST", "/api/v1/mcp/servers", server)["id"]
    lists = {"tools": [{"name": "t"}], "prompts": [{"name": "p"}]}
    listed = api.send("POST", f"/api/v1/mcp/servers/{server_id}/refresh", lists)
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    return {
        "server_id": server_id,
        "tool_id": listed["tools"][0]["id"],
        "prompt_id": listed["prompts"][0]["id"],
        "conversation_id": api.send("POST", "/api/v1/conversations", {})["id"],
        "template_id": api.send(
            "POST", "/api/v1/templates", {"name": "t", "variables": {"language": None}}
        )["id"],
        "log_id": api.send("POST", "/api/v1/log", call)["log_id"],
        "alias": "fast",
        "key_id": str(api.api_key_id),
        **_managed(manager),
    }


def _managed(manager) -> dict[str, str]:
    project = manager.send("POST", "/manage/projects", {"name": "p", "api_key": KEY}, expect=201)
    body = {"project_id": project["id"], "expires_in_days": 1}
    token = manager.send("POST", "/manage/tokens", body, expect=201)
    return {"project_id": project["id"], "token_id": token["id"]}


@pytest.mark.parametrize(("method", "path", "kind", "values"), list(samples()))
def test_c1_samples_are_accepted_as_they_are(
    api, manager, rows, upstream, method, path, kind, values
):
    upstream.publish()
    client = manager if path.startswith("/manage/") else api
    assert values, "no sample"
    assert kind in ("application/json", "application/x-ndjson", "text/csv")
    address = re.sub(r"\{(\w+)\}", lambda name: rows[name[1]], path)
    for value in values:
        body = value if isinstance(value, str) else json.dumps(value)
        for _ in range(2):
            reply = client.generic(method, address, body, content_type=kind)
            # 404 for another's id in a body, 409 for a tool that changed and a name that is
            # taken, 502 for a tool's server, 400 for a second receipt when no log is left.
            assert reply.status_code in (200, 201, 400, 404, 409, 502), reply.content
            assert reply.status_code != 400 or b"No logs found" in reply.content


def test_c1_sample_of_a_log_is_priced_and_small(api, upstream):
    upstream.publish()
    operation = openapi.operation("POST", "/api/v1/log")
    content = operation["requestBody"]["content"]
    assert list(content) == ["application/json"]
    for example in content["application/json"]["examples"].values():
        reply = api.send("POST", "/api/v1/log", example["value"])
        # 600 x 0.15 + 400 x 0.075 + 200 x 0.6 = 240 millionths of a dollar.
        assert (reply["cost_source"], reply["cost"]) == ("registry", 0.00024)


def test_c1_samples_are_not_of_the_future():
    today = datetime.now(UTC).date().isoformat()
    text = json.dumps([parameter.values[3] for parameter in samples()])
    assert [day for day in re.findall(r"\d{4}-\d\d-\d\d", text) if day > today] == []


def test_c1_operations_are_listed_once_under_one_scheme():
    document = openapi.document()
    schemes = {"ApiKey", "PersonSession", "ManagementToken", "GatewayToken"}
    assert set(document["components"]["securitySchemes"]) == schemes
    # A page cannot send a cookie that is typed in: /docs says what to do instead.
    session = document["components"]["securitySchemes"]["PersonSession"]
    assert "Log in at `/login` in this browser" in session["description"]
    ids = [o["operationId"] for item in document["paths"].values() for o in item.values()]
    assert len(ids) == len(set(ids))
    paths = set(document["paths"])
    twice = {path for path in paths if f"/api/v1{path}" in paths}
    assert twice == {"/receipts/public-key.pem", "/receipts/public-keys.json"}  # other contents
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation.get("security") in schemes_of(path)


def schemes_of(path: str) -> list:
    if path.startswith("/v1/"):
        return [[{"GatewayToken": []}]]
    if path.startswith("/manage/"):
        return [[{"ManagementToken": []}]]
    keys, people = {"ApiKey": []}, {"PersonSession": []}
    return [[keys], [{}], [people], [keys, people], [people, keys]]


def test_c1_no_sample_reaches_another_server():
    text = json.dumps([parameter.values[3] for parameter in samples()])
    hosts = set(re.findall(r"https?://([^/\"]+)", text))
    assert all(host.endswith(".invalid") for host in hosts), hosts
    [execution] = [p.values for p in samples() if p.values[1].endswith("/execute")]
    assert all("output" in value for value in execution[3])  # recorded, not carried out


def test_c2_page_says_that_the_key_is_kept(anonymous):
    page = anonymous.get("/docs").content.decode()
    assert "kept in this browser's storage" in page
    assert '"persistAuthorization": true' in page and '"filter": true' in page
