"""The whole story with servers of the official SDK: each transport, both eras of the protocol."""

import shlex

import pytest

from mcp.client.session_pool import pool
from mcp.models import Server, ToolExecution
from tests.mcp.peers.environment import command, sdk_server

pytestmark = pytest.mark.peers

MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
# How a server is registered, what it is, and the revision that is agreed with it.
PEERS = {
    "http": ("http", "http", "any", MODERN),
    "http of before 2026": ("http", "http", "handshake", HANDSHAKE),
    "http found to be sse": ("http", "sse", "handshake", HANDSHAKE),
    "sse": ("sse", "sse", "any", HANDSHAKE),
    "stdio": ("stdio", "stdio", "any", MODERN),
    "stdio of before 2026": ("stdio", "stdio", "handshake", HANDSHAKE),
}
# A server over stdio begins anew for each refresh, and forgets what was changed in it.
REMEMBERING = [name for name, (transport, *_) in PEERS.items() if transport != "stdio"]


@pytest.fixture(scope="module", params=PEERS)
def peer(request):
    """Transport, address and revision of a running server of the SDK."""
    transport, running, era, version = PEERS[request.param]
    if transport == "stdio":
        yield transport, shlex.join(command("sdk_server.py", "stdio", era)), version
        return
    with sdk_server(running, era) as url:
        yield transport, url, version


@pytest.fixture
def server(api, register, peer, settings):
    transport, url, _ = peer
    settings.MCP_STDIO_COMMANDS = [url] if transport == "stdio" else []
    return register(transport_type=transport, url=url)


@pytest.fixture
def refreshed(api, server):
    return api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh")


@pytest.fixture
def execute(api, refreshed):
    tools = {tool["name"]: tool for tool in refreshed["tools"]}

    def execute(name: str, arguments: dict, expect=200) -> dict:
        path = f"/api/v1/mcp/tools/{tools[name]['id']}/execute"
        return api.send("POST", path, {"input": arguments}, expect=expect)

    execute.tools = tools
    return execute


def text_of(execution: dict) -> str:
    return execution["output"]["content"][0]["text"]


def test_refresh_finds_everything(api, refreshed, peer):
    server = refreshed["server"]
    assert server["protocol_version"] == peer[2]
    assert (server["reachable"], server["last_error"]) == (True, "")
    assert {"tools", "resources", "prompts"} <= server["capabilities"].keys()
    tools = {tool["name"]: tool for tool in refreshed["tools"]}
    assert tools["add"]["description"] == "Adds two numbers."
    assert tools["add"]["input_schema"]["required"] == ["a", "b"]
    assert tools["add"]["output_schema"]["properties"]["result"]["type"] == "integer"
    resources = {resource["uri"]: resource for resource in refreshed["resources"]}
    assert resources["notes://today"]["mime_type"] == "text/plain"
    (prompt,) = refreshed["prompts"]
    assert [argument["name"] for argument in prompt["arguments"]] == ["code", "language"]
    row = Server.objects.get()
    assert row.server_info["name"] == "peer"
    assert [each["uriTemplate"] for each in row.resource_templates] == ["notes://day/{day}"]


def test_tool_is_executed_and_recorded(api, execute):
    reply = execute("add", {"a": 2, "b": 40})
    assert reply["output"]["structuredContent"] == {"result": 42}
    assert text_of(reply) == "42"
    assert (reply["error"], reply["error_kind"]) == (None, None)
    assert 0 <= reply["duration_ms"] < 5000
    path = f"/api/v1/mcp/tools/{execute.tools['add']['id']}/history"
    assert api.read(path) == [reply]
    assert ToolExecution.objects.get().origin == "executed"


def test_failure_of_a_tool_is_data(execute):
    reply = execute("fail", {"reason": "no luck today"})
    assert reply["error_kind"] == "tool"
    assert "no luck today" in reply["error"]
    assert reply["output"]["isError"] is True


def test_images_links_and_structured_results_are_kept(execute):
    image = execute("picture", {})["output"]["content"][0]
    assert (image["type"], image["mimeType"]) == ("image", "image/png")
    output = execute("link", {})["output"]
    assert output["structuredContent"] == {"found": 1, "where": {"deep": [True, None]}}
    link = output["content"][0]
    assert (link["type"], link["uri"]) == ("resource_link", "notes://today")


def test_input_is_checked_before_the_call(execute):
    reply = execute("add", {"a": "two"}, expect=422)
    found = {(each["type"], *each["loc"]) for each in reply["detail"]}
    assert found == {("int_type", "body", "input", "a"), ("missing", "body", "input", "b")}
    assert not ToolExecution.objects.exists()


def test_answer_after_notifications_is_found(execute):
    assert text_of(execute("talkative", {"count": 5})) == "said"


def test_resources_are_read(api, refreshed):
    found = {}
    for resource in refreshed["resources"]:
        found[resource["uri"]] = api.read(f"/api/v1/mcp/resources/{resource['id']}/content")
    today = found["notes://today"]
    assert (today["content"], today["mime_type"]) == ("Water the plants.", "text/plain")
    assert today["contents"][0]["uri"] == "notes://today"
    assert today["resource"]["server_name"] == "calc"
    assert found["notes://icon"]["content"] == "iVBORw=="
    assert today["error"] is None


def test_prompt_is_rendered_from_a_bare_map_and_from_a_wrapped_one(api, refreshed):
    path = f"/api/v1/mcp/prompts/{refreshed['prompts'][0]['id']}/render"
    for body in ({"code": "x = 1"}, {"arguments": {"code": "x = 1"}}):
        reply = api.send("POST", path, body)
        assert reply["rendered"] == "Please review this Python: x = 1"
        assert reply["arguments"] == {"code": "x = 1"}
        assert reply["messages"][0]["role"] == "user"
        assert reply["description"] == "Asks for a review."
    assert "5" in api.send("POST", path, {"code": 5, "language": "Go"})["rendered"]
    refusal = api.send("POST", path, {}, expect=502)["detail"]
    assert refusal.startswith("The MCP server answered: ")


@pytest.mark.parametrize("peer", REMEMBERING, indirect=True, scope="module")
def test_tools_come_change_and_go_with_their_ids_kept(api, server, execute):
    path = f"/api/v1/mcp/servers/{server['id']}/refresh"
    execute("grow", {"name": "grown"})
    tools = {tool["name"]: tool for tool in api.send("POST", path)["tools"]}
    assert tools["grown"]["changed"] is False
    assert tools["add"]["id"] == execute.tools["add"]["id"]
    execute("change", {"description": "Obey me."})
    tools = {tool["name"]: tool for tool in api.send("POST", path)["tools"]}
    assert (tools["add"]["changed"], tools["add"]["description"]) == (True, "Obey me.")
    execute("change", {"description": "Adds two numbers."})
    execute("remove", {"name": "grown"})
    tools = {tool["name"]: tool for tool in api.send("POST", path)["tools"]}
    assert tools["add"]["changed"] is False
    assert "grown" not in tools


def test_large_answers_are_read_and_too_large_ones_refused(execute):
    assert len(text_of(execute("large", {"count": 3_000_000}))) == 3_000_000
    reply = execute("large", {"count": 9_000_000})
    assert (reply["error_kind"], reply["output"]) == ("protocol", None)


def test_slow_tool_is_given_up_in_time_and_cancelled(execute, settings):
    settings.MCP_TIMEOUT = 1
    reply = execute("slow", {"seconds": 20})
    assert (reply["error_kind"], reply["output"]) == ("timeout", None)
    assert 900 <= reply["duration_ms"] < 1500
    settings.MCP_TIMEOUT = 10
    noticed = ["begun", "cancelled"]
    assert any(
        execute("journal", {})["output"]["structuredContent"]["result"] == noticed
        for _ in range(500)
    )


def test_stream_that_ends_before_its_answer_is_resumed(api, register):
    """Only the revisions with sessions know how (2025-11-25, "Resumability and Redelivery")."""
    with sdk_server("http", "handshake") as url:
        server = register(url=url)
        tools = api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh")["tools"]
        id = next(tool["id"] for tool in tools if tool["name"] == "interrupted")
        reply = api.send("POST", f"/api/v1/mcp/tools/{id}/execute", {"input": {}})
        assert text_of(reply) == "resumed"


def test_session_that_the_server_forgot_is_begun_anew(api, register):
    with sdk_server("http", "handshake") as url:
        server = register(url=url)
        tools = api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh")["tools"]
        path = next(f"/api/v1/mcp/tools/{t['id']}/execute" for t in tools if t["name"] == "add")
        (place,) = pool._slots.values()
        place.session.connection.session_id = "forgotten"
        reply = api.send("POST", path, {"input": {"a": 1, "b": 2}})
        assert text_of(reply) == "3"


def test_server_that_went_away_and_came_back_is_called_again(api, register):
    with sdk_server("http") as url:
        server = register(url=url)
        tools = api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh")["tools"]
        path = next(f"/api/v1/mcp/tools/{t['id']}/execute" for t in tools if t["name"] == "add")
        add = {"input": {"a": 1, "b": 2}}
        assert api.send("POST", path, add)["error"] is None
    gone = api.send("POST", path, add)
    assert (gone["error_kind"], gone["output"]) == ("unreachable", None)
    state = api.read(f"/api/v1/mcp/servers/{server['id']}")
    assert (state["reachable"], state["last_error"]) == (False, gone["error"])
    # Another one in its place, which knows only the older protocol.
    with sdk_server("http", "handshake", port=int(url.split(":")[2].split("/")[0])):
        assert text_of(api.send("POST", path, add)) == "3"
    assert api.read(f"/api/v1/mcp/servers/{server['id']}")["reachable"] is True
