"""Servers that are registered and not called: by their transport, or by the settings."""

import pytest

from mcp import background_refresh
from mcp.models import Server, ToolExecution
from tests.mcp.peers.scripted import hang, scripted

LISTS = {"tools": [{"name": "t"}], "resources": [{"uri": "x:1"}], "prompts": [{"name": "p"}]}


@pytest.fixture
def items(api, register):
    def items(**members) -> dict:
        id = register(**members)["id"]
        return {"id": id, **api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", LISTS)}

    return items


def use(api, found: dict, refusal: str) -> dict:
    """The execution, after everything else was refused with this text."""
    path = f"/api/v1/mcp/servers/{found['id']}/refresh"
    assert api.send("POST", path, expect=400) == {"detail": refusal}
    content = api.read(f"/api/v1/mcp/resources/{found['resources'][0]['id']}/content")
    assert (content["content"], content["contents"], content["error"]) == (None, [], refusal)
    path = f"/api/v1/mcp/prompts/{found['prompts'][0]['id']}/render"
    rendered = api.send("POST", path, {"a": "b"})
    assert (rendered["rendered"], rendered["messages"]) == (None, [])
    assert (rendered["error"], rendered["arguments"]) == (refusal, {"a": "b"})
    path = f"/api/v1/mcp/tools/{found['tools'][0]['id']}/execute"
    return api.send("POST", path, {"input": {"a": 1}})


def test_websocket_is_kept_and_said_not_to_be_supported(api, items):
    refusal = "Calling MCP servers over websocket is not supported"
    reply = use(api, items(transport_type="websocket", url="ws://localhost:1/"), refusal)
    assert (reply["output"], reply["error"], reply["error_kind"]) == (None, refusal, "refused")
    assert ToolExecution.objects.count() == 1


def test_nothing_is_called_where_calling_is_switched_off(api, items, settings):
    settings.MCP_EXECUTE = False
    refusal = "Calling MCP servers is switched off (LLMRING_MCP_EXECUTE)"
    with scripted(hang) as server:
        reply = use(api, items(url=server.url), refusal)
    assert {"input": {"a": 1}, "output": None, "error": None, "duration_ms": None}.items() <= (
        reply.items()
    )
    assert server.requests == []


def test_server_that_is_switched_off_is_not_called(api, items):
    with scripted(hang) as server:
        found = items(url=server.url)
        api.send("PATCH", f"/api/v1/mcp/servers/{found['id']}", {"is_active": False})
        reply = use(api, found, "The MCP server is switched off (is_active)")
    assert (reply["output"], reply["error_kind"]) == (None, "refused")
    assert server.requests == []


@pytest.mark.parametrize("value", ["[" * 300 + "]" * 300, '"\\u0000"'], ids=["deep", "nul"])
def test_arguments_that_could_not_be_repeated_are_refused(api, items, value):
    found = items(transport_type="websocket", url="ws://localhost:1/")
    path = f"/api/v1/mcp/prompts/{found['prompts'][0]['id']}/render"
    reply = api.send("POST", path, f'{{"arguments": {{"a": {value}}}}}', expect=422)
    assert reply["detail"][0]["loc"][0] == "body"


def test_initial_refresh_does_not_replace_items_stored_since(api, register):
    with scripted(hang) as server:
        row = Server.objects.get(id=register(url=server.url)["id"])
        background_refresh.refresh_once(row)
        assert [tool["name"] for tool in api.read("/api/v1/mcp/tools")] == ["t"]
        path = f"/api/v1/mcp/servers/{row.id}/refresh"
        api.send("POST", path, {"tools": [{"name": "given"}]})
        background_refresh.refresh_once(row)
    assert [tool["name"] for tool in api.read("/api/v1/mcp/tools")] == ["given"]


def test_failed_initial_refresh_is_recorded(api, server):
    background_refresh.refresh_once(Server.objects.get())
    state = api.read(f"/api/v1/mcp/servers/{server['id']}")
    assert (state["reachable"], state["refreshed_at"]) == (False, None)
    assert "refused" in state["last_error"]
    gone = Server.objects.get()
    api.send("DELETE", f"/api/v1/mcp/servers/{server['id']}")
    background_refresh.refresh_once(gone)
