"""Lists of a server fail one by one: what was read is kept, and what failed stays as it was."""

import pytest

from mcp.models import Server
from tests.mcp.peers.scripted import DISCOVERED, error, result, scripted
from tests.site.loopback import answer

ALL = {**DISCOVERED, "capabilities": {"tools": {}, "resources": {}, "prompts": {}}}
LISTS = {
    "server/discover": ALL,
    "tools/list": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]},
    "resources/list": {"resources": [{"uri": "x:1", "name": "x"}]},
    "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "x:{n}", "name": "n"}]},
    "prompts/list": {"prompts": [{"name": "p"}]},
}
KINDS = {
    "resources": "resources/list",
    "resources/templates": "resources/templates/list",
    "prompts": "prompts/list",
}


def fails_with(code: int):
    return lambda connection, message, head: connection.sendall(error(message, code))


def sends(body: bytes, status: str = "200 OK"):
    whole = answer(body, status=status, Content_Type="application/json")
    return lambda connection, message, head: connection.sendall(whole)


FAILURES = {
    "an error": fails_with(-32603),
    "a server error": sends(b"oops", "500 Oops"),
    "no JSON": sends(b"<html>"),
    "no list": lambda connection, message, head: connection.sendall(result(message, {})),
    "another status": sends(b"", "404 Not Found"),
}


def names(reply: dict) -> dict[str, list]:
    return {
        "tools": [tool["name"] for tool in reply["tools"]],
        "resources": [resource["uri"] for resource in reply["resources"]],
        "prompts": [prompt["name"] for prompt in reply["prompts"]],
    }


@pytest.mark.parametrize("way", FAILURES)
@pytest.mark.parametrize("kind", KINDS)
def test_failing_list_leaves_the_others(api, register, kind, way):
    with scripted(None, **LISTS) as server:
        id = register(url=server.url)["id"]
        path = f"/api/v1/mcp/servers/{id}/refresh"
        before = api.send("POST", path)
        server.methods["tools/list"] = {"tools": [{"name": "new", "inputSchema": {}}]}
        server.methods[KINDS[kind]] = FAILURES[way]
        reply = api.send("POST", path)
    assert names(reply) == {**names(before), "tools": ["new"]}
    assert (reply["server"]["reachable"], kind in reply["server"]["last_error"]) == (True, True)
    assert len(Server.objects.get().resource_templates) == 1


@pytest.mark.parametrize("way", FAILURES)
def test_failing_list_of_tools_decides(api, register, way):
    with scripted(None, **LISTS) as server:
        id = register(url=server.url)["id"]
        path = f"/api/v1/mcp/servers/{id}/refresh"
        before = api.send("POST", path)
        server.methods["tools/list"] = FAILURES[way]
        api.send("POST", path, expect=502)
    assert [tool["name"] for tool in api.read("/api/v1/mcp/tools")] == names(before)["tools"]


def test_list_that_takes_too_long_leaves_the_others(api, register, monkeypatch):
    monkeypatch.setattr("mcp.client.session.QUICK_TIMEOUT_SECONDS", 0.3)
    stuck = {"resources/list": lambda connection, message, head: connection.recv(1)}
    with scripted(None, **{**LISTS, **stuck}) as server:
        id = register(url=server.url)["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
    assert names(reply) == {"tools": ["t"], "resources": [], "prompts": ["p"]}
    assert "resources: The MCP server did not answer in time" in reply["server"]["last_error"]


def test_problem_is_gone_with_the_next_refresh_and_not_with_a_call(api, register):
    with scripted(
        lambda connection, message, head: connection.sendall(result(message, {"content": []})),
        **{**LISTS, "prompts/list": fails_with(-32603)},
    ) as server:
        path = f"/api/v1/mcp/servers/{register(url=server.url)['id']}"
        tool = api.send("POST", f"{path}/refresh")["tools"][0]["id"]
        api.send("POST", f"/api/v1/mcp/tools/{tool}/execute", {"input": {}})
        assert "prompts" in api.read(path)["last_error"]
        server.methods["prompts/list"] = LISTS["prompts/list"]
        assert api.send("POST", f"{path}/refresh")["server"]["last_error"] == ""
