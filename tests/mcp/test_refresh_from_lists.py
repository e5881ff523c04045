"""Refresh with lists given by the client (contract 9.2, B48): nothing is contacted."""

import pytest

from mcp.models import Prompt, Resource, Tool
from tests.mcp.conftest import SCHEMA

# As the released client sends them.
TOOL = {"name": "add", "description": "Adds.", "inputSchema": SCHEMA}
RESOURCE = {"uri": "file:///a", "name": "a", "description": None, "mimeType": "text/plain"}
PROMPT = {"name": "review", "description": None, "arguments": [{"name": "code"}]}


@pytest.fixture
def refresh(api, server):
    def refresh(expect=200, **lists):
        path = f"/api/v1/mcp/servers/{server['id']}/refresh"
        return api.send("POST", path, lists, expect=expect)

    return refresh


def test_given_lists_are_stored_and_returned(api, server, refresh):
    reply = refresh(tools=[TOOL], resources=[RESOURCE], prompts=[PROMPT])
    assert reply["server"]["capabilities"] == {"tools": 1, "resources": 1, "prompts": 1}
    assert reply["server"]["refreshed_at"]
    (tool,) = reply["tools"]
    common = {
        "is_active": True,
        "server_id": server["id"],
        "api_key_id": str(api.api_key_id),
        "project_id": None,
        "title": None,
    }
    made = {"id": tool["id"], "created_at": tool["created_at"], "fingerprint": tool["fingerprint"]}
    assert tool == {
        **{"name": "add", "description": "Adds.", "input_schema": SCHEMA, **common, **made},
        **{"output_schema": None, "annotations": None, "changed": False},
        "server": {name: server[name] for name in ("id", "name", "url")},
    }
    (resource,) = reply["resources"]
    assert common.items() <= resource.items()
    assert (resource["uri"], resource["mime_type"]) == ("file:///a", "text/plain")
    (prompt,) = reply["prompts"]
    assert prompt["arguments"] == [{"name": "code"}]
    assert api.read("/api/v1/mcp/tools") == [tool]
    assert api.read("/api/v1/mcp/resources") == [resource]
    assert api.read("/api/v1/mcp/prompts") == [prompt]
    for kind, item in (("tools", tool), ("resources", resource), ("prompts", prompt)):
        assert api.read(f"/api/v1/mcp/{kind}/{item['id']}") == item


def test_ids_and_history_survive(api, refresh):
    (tool,) = refresh(tools=[TOOL])["tools"]
    path = f"/api/v1/mcp/tools/{tool['id']}"
    api.send("POST", f"{path}/execute", {"input": {"a": 1}, "output": {"sum": 1}})
    (again,) = refresh(tools=[{**TOOL, "description": "Sums."}])["tools"]
    assert (again["id"], again["description"]) == (tool["id"], "Sums.")
    assert refresh(tools=[])["tools"] == []
    assert api.read(path)["is_active"] is False
    assert api.read("/api/v1/mcp/tools", {"is_active": "false"})[0]["id"] == tool["id"]
    (back,) = refresh(tools=[TOOL])["tools"]
    assert (back["id"], back["is_active"]) == (tool["id"], True)
    assert len(api.read(f"{path}/history")) == 1


def test_kinds_that_are_not_given_stay(refresh):
    refresh(tools=[TOOL], resources=[RESOURCE], prompts=[PROMPT])
    reply = refresh(tools=[], resources=None)
    assert [len(reply[kind]) for kind in ("tools", "resources", "prompts")] == [0, 1, 1]
    assert reply["server"]["capabilities"] == {"tools": 0, "resources": 1, "prompts": 1}


def test_both_spellings_are_understood_and_defaults_filled(refresh):
    reply = refresh(
        tools=[{"name": "a", "input_schema": SCHEMA}, {"name": "b"}],
        resources=[{"uri": "x:1", "mime_type": "image/png"}],
        prompts=[{"name": "p", "arguments": {}}, {"name": "q", "arguments": None}],
    )
    assert [tool["input_schema"] for tool in reply["tools"]] == [SCHEMA, {}]
    resource = reply["resources"][0]
    assert (resource["name"], resource["mime_type"]) == ("x:1", "image/png")
    assert [prompt["arguments"] for prompt in reply["prompts"]] == [{}, None]


def test_of_two_items_with_one_name_the_last_counts(refresh):
    reply = refresh(tools=[TOOL, {**TOOL, "description": "Sums."}])
    assert [tool["description"] for tool in reply["tools"]] == ["Sums."]


@pytest.mark.parametrize(
    ("lists", "loc"),
    [
        ({"tools": [{}]}, ["body", "tools", 0, "name"]),
        ({"tools": [TOOL, {"name": "n" * 256}]}, ["body", "tools", 1, "name"]),
        ({"tools": [{"name": "a", "inputSchema": []}]}, ["body", "tools", 0, "inputSchema"]),
        ({"tools": ["add"]}, ["body", "tools", 0]),
        ({"resources": [{"uri": "u" * 1001}]}, ["body", "resources", 0, "uri"]),
        ({"resources": [{"name": "a"}]}, ["body", "resources", 0, "uri"]),
        ({"resources": [{"uri": ""}]}, ["body", "resources", 0, "uri"]),
        ({"prompts": [{"name": "p", "arguments": "x"}]}, ["body", "prompts", 0, "arguments"]),
        ({"prompts": [{"name": "a\u0000"}]}, ["body", "prompts", 0, "name"]),
        ({"tools": [TOOL] * 5001}, ["body", "tools"]),
        ({"resources": [RESOURCE] * 5001}, ["body", "resources"]),
        ({"prompts": [PROMPT] * 5001}, ["body", "prompts"]),
    ],
)
def test_malformed_item_is_named_and_nothing_changes(refresh, lists, loc):
    refresh(tools=[TOOL], resources=[RESOURCE], prompts=[PROMPT])
    assert refresh(expect=422, **lists)["detail"][0]["loc"] == loc
    for model in (Tool, Resource, Prompt):
        assert model.objects.get().is_active


@pytest.mark.parametrize("body", ["[]", "5", '"x"', '{"tools": {}}', '{"tools": 5}', "{"])
def test_body_of_another_form_is_refused(api, server, body):
    path = f"/api/v1/mcp/servers/{server['id']}/refresh"
    api.send("POST", path, body, expect=422)


def test_repeated_refresh_writes_nothing_new(refresh, django_assert_max_num_queries):
    refresh(tools=[{**TOOL, "name": f"t{n}"} for n in range(50)])
    with django_assert_max_num_queries(20):
        refresh(tools=[{**TOOL, "name": f"t{n}"} for n in range(50)])
    assert Tool.objects.count() == 50
