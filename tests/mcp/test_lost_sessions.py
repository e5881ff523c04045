"""Servers that were restarted or replaced: the next call works, whatever they say of the last.

A request that was turned away has not run, so it is sent once more in a new session.
"""

import pytest

from mcp import background_refresh
from mcp.models import Server
from tests.mcp.peers.environment import (
    FASTMCP_2,
    SDK_1,
    free_port,
    sdk_server,
    sessions_server,
)
from tests.mcp.peers.scripted import DISCOVERED, as_json, error, result, scripted
from tests.site.loopback import answer

HANDSHAKE, MODERN = "2025-11-25", "2026-07-28"
TOOLS = {"tools": [{"name": "add", "inputSchema": {"type": "object"}}]}
ADD = {"input": {"a": 1, "b": 2}}


@pytest.fixture
def connect(api, register):
    """A function: registers and refreshes the server, and returns the path of its tool."""

    def connect(url: str, transport: str = "http") -> str:
        connect.server = f"/api/v1/mcp/servers/{register(url=url, transport_type=transport)['id']}"
        tools = api.send("POST", f"{connect.server}/refresh")["tools"]
        (id,) = (tool["id"] for tool in tools if tool["name"] == "add")
        return f"/api/v1/mcp/tools/{id}/execute"

    return connect


class Restarting:
    """A scripted server with sessions, which knows only those of its current life."""

    def __init__(self, refuse) -> None:
        self.refuse, self.life, self.greetings, self.runs = refuse, 1, 0, 0

    def restart(self) -> None:
        self.life += 1

    def methods(self) -> dict:
        def initialize(connection, message, headers):
            self.greetings += 1
            agreed = {
                "protocolVersion": HANDSHAKE,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "s", "version": "1"},
            }
            connection.sendall(result(message, agreed, Mcp_Session_Id=f"s{self.life}"))

        def in_session(value: dict):
            def send(connection, message, headers):
                if headers.get("mcp-session-id") != f"s{self.life}":
                    self.refuse(connection, message)
                else:
                    self.runs += message["method"] == "tools/call"
                    connection.sendall(result(message, value))

            return send

        return {
            "server/discover": lambda connection, message, head: connection.sendall(
                error(message, -32601)
            ),
            "initialize": initialize,
            "tools/list": in_session(TOOLS),
            "tools/call": in_session({"content": [{"type": "text", "text": "3"}]}),
        }


def by_json(status: str, id: object, code: int = -32600, text: str = "Session not found"):
    def refuse(connection, message):
        own = message["id"] if id == "ours" else id
        body = {"jsonrpc": "2.0", "id": own, "error": {"code": code, "message": text}}
        whole = as_json(body)
        connection.sendall(whole.replace(b"200 OK", status.encode(), 1))

    return refuse


def by_text(status: str, body: bytes = b"no such session"):
    def refuse(connection, message):
        connection.sendall(answer(body, status=status, Content_Type="text/plain"))

    return refuse


REFUSALS = {
    "SDK 1.x": by_json("404 Not Found", "server-error"),
    "no id": by_json("404 Not Found", None),
    "our id": by_json("404 Not Found", "ours", -32001),
    "a text": by_text("404 Not Found"),
    "no body": by_text("404 Not Found", b""),
    "gone": by_text("410 Gone"),
    "TypeScript": by_json("400 Bad Request", None, -32000, "No valid session ID provided"),
    "another id": by_json("400 Bad Request", "server-error", -32600, "Missing session ID"),
    "status 200": by_json("200 OK", "server-error"),
    "conflict": by_text("409 Conflict"),
}


@pytest.mark.parametrize("way", REFUSALS)
def test_call_is_repeated_once_in_a_new_session(api, connect, way):
    restarting = Restarting(REFUSALS[way])
    methods = restarting.methods()
    with scripted(methods.pop("tools/call"), **methods) as server:
        path = connect(server.url)
        restarting.restart()
        for _ in range(2):
            reply = api.send("POST", path, ADD)
            assert (reply["error"], reply["output"]["content"][0]["text"]) == (None, "3")
    assert (restarting.greetings, restarting.runs) == (2, 2)


@pytest.mark.parametrize("way", ["SDK 1.x", "a text", "TypeScript"])
def test_server_that_turns_every_session_away_is_asked_twice(api, connect, way):
    restarting = Restarting(REFUSALS[way])
    methods = restarting.methods()
    methods["tools/call"] = lambda connection, message, head: REFUSALS[way](connection, message)
    with scripted(methods.pop("tools/call"), **methods) as server:
        reply = api.send("POST", connect(server.url), ADD)
        assert len(server.sent("tools/call")) == 2
    assert (reply["output"], reply["error_kind"] in ("tool", "protocol")) == (None, True)


@pytest.mark.parametrize("status", ["408 Timeout", "413 Too Large", "429 Slow down", "500 Oops"])
def test_other_refusals_are_not_repeated(api, connect, status):
    restarting = Restarting(by_text(status))
    methods = restarting.methods()
    with scripted(methods.pop("tools/call"), **methods) as server:
        path = connect(server.url)
        restarting.restart()
        assert api.send("POST", path, ADD)["error_kind"] == "protocol"
        assert len(server.sent("tools/call")) == 1


FAULT = "500 Internal Server Error"


@pytest.mark.parametrize("id", ["server-error", None])
def test_session_that_broke_on_the_server_is_left_after_one_failure(api, connect, id):
    """SDK 1.9 answers so in a session whose loop has crashed, whatever it is asked."""
    restarting = Restarting(by_json(FAULT, id, -32603, "Error handling POST request: "))
    methods = restarting.methods()
    with scripted(methods.pop("tools/call"), **methods) as server:
        path = connect(server.url)
        restarting.restart()
        first, second = (api.send("POST", path, ADD) for _ in range(2))
        assert len(server.sent("tools/call")) == 2
    reason = "The MCP server answered: Error handling POST request:  (-32603)"
    assert (first["error"], first["error_kind"], first["output"]) == (reason, "tool", None)
    assert (second["error"], second["output"]["content"][0]["text"]) == (None, "3")
    assert (restarting.greetings, restarting.runs) == (2, 1)


def test_session_survives_a_failure_of_one_request(api, connect):
    restarting = Restarting(by_json(FAULT, "ours", -32603))
    methods = restarting.methods()
    methods["tools/call"] = lambda connection, message, head: restarting.refuse(connection, message)
    with scripted(methods.pop("tools/call"), **methods) as server:
        path = connect(server.url)
        assert [api.send("POST", path, ADD)["error_kind"] for _ in range(2)] == ["tool", "tool"]
    assert restarting.greetings == 1


def test_error_of_the_tool_itself_is_not_repeated(api, connect):
    def refuse(connection, message, headers):
        connection.sendall(error(message, -32602))

    with scripted(refuse, **{"tools/list": TOOLS}) as server:
        assert api.send("POST", connect(server.url), ADD)["error_kind"] == "tool"
        assert len(server.sent("tools/call")) == 1


def test_refresh_replaces_the_session_that_calls_use(api, connect):
    restarting = Restarting(by_text("500 Lost"))  # a refusal that nobody can tell from a failure
    methods = restarting.methods()
    with scripted(methods.pop("tools/call"), **methods) as server:
        path = connect(server.url)
        restarting.restart()
        api.send("POST", f"{connect.server}/refresh")
        assert api.send("POST", path, ADD)["error"] is None


def test_server_that_speaks_another_era_since_is_found_out(api, connect):
    """Old to new and back, each time without a failed call in between."""
    is_modern = False

    def discover(connection, message, headers):
        connection.sendall(result(message, DISCOVERED) if is_modern else error(message, -32601))

    def initialize(connection, message, headers):
        agreed = {
            "protocolVersion": HANDSHAKE,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "s", "version": "1"},
        }
        connection.sendall(error(message, -32022) if is_modern else result(message, agreed))

    def call(connection, message, headers):
        if is_modern == (headers["mcp-protocol-version"] == MODERN):
            connection.sendall(result(message, {"content": [], "resultType": "complete"}))
        else:
            by_json("400 Bad Request", "server-error")(connection, message)

    others = {"server/discover": discover, "initialize": initialize, "tools/list": TOOLS}
    with scripted(call, **others) as server:
        path = connect(server.url)
        for is_modern in (True, False, True):  # noqa: B007 - the functions above read it
            assert api.send("POST", path, ADD)["error"] is None
            version = MODERN if is_modern else HANDSHAKE
            assert Server.objects.get().protocol_version == version


def test_server_whose_lists_were_sent_is_negotiated_with_again_when_it_changes(api, register):
    def initialize(connection, message, headers):
        agreed = {"protocolVersion": HANDSHAKE, "capabilities": {}, "serverInfo": {}}
        connection.sendall(result(message, agreed))

    def call(connection, message, headers):
        connection.sendall(result(message, {"content": [], "resultType": "complete"}))

    with scripted(call, initialize=initialize) as server:
        path = f"/api/v1/mcp/servers/{register(url=server.url, legacy=True)['id']}"
        [tool] = api.send("POST", f"{path}/refresh", TOOLS)["tools"]
        for legacy, version in ((True, HANDSHAKE), (False, MODERN)):
            api.send("PATCH", path, {"legacy": legacy})
            api.send("POST", f"/api/v1/mcp/tools/{tool['id']}/execute", ADD)
            assert Server.objects.get().protocol_version == version


def test_lists_of_a_server_without_tools_are_read_in_a_new_session(register):
    restarting = Restarting(by_text("404 Not Found"))
    methods = restarting.methods()
    listing = {"resources/list": {"resources": [{"uri": "x:1", "name": "x"}]}}

    def initialize(connection, message, headers):
        agreed = {"protocolVersion": HANDSHAKE, "capabilities": {"resources": {}}}
        connection.sendall(result(message, agreed, Mcp_Session_Id=f"s{restarting.life}"))

    def resources(connection, message, headers):
        if headers.get("mcp-session-id") == f"s{restarting.life}":
            connection.sendall(result(message, listing["resources/list"]))
        else:
            restarting.refuse(connection, message)

    others = {**methods, "initialize": initialize, "resources/list": resources}
    with scripted(others.pop("tools/call"), **others) as server:
        row = Server.objects.get(id=register(url=server.url)["id"])
        background_refresh.refresh_once(row)
        restarting.restart()
        listing["resources/list"] = {"resources": [{"uri": "x:2", "name": "x"}]}
        background_refresh.refresh_once(row)
    row.refresh_from_db()
    assert [each.uri for each in row.resources.filter(is_active=True)] == ["x:2"]
    assert (row.reachable, row.last_error) == (True, "")


REAL = {
    "SDK 1.x": lambda port: sessions_server(SDK_1, port=port),
    "FastMCP 2": lambda port: sessions_server(FASTMCP_2, port=port),
    "SDK 2.x": lambda port: sdk_server("http", port=port),
    "SDK 2.x with handshake": lambda port: sdk_server("http", "handshake", port=port),
}


@pytest.mark.peers
@pytest.mark.parametrize(
    ("before", "after"),
    [
        *[(name, name) for name in REAL],
        ("SDK 1.x", "SDK 2.x"),
        ("SDK 2.x", "SDK 1.x"),
        ("FastMCP 2", "SDK 2.x with handshake"),
    ],
)
def test_real_server_that_was_restarted_serves_the_next_call(api, connect, before, after):
    port = free_port()
    with REAL[before](port) as url:
        path = connect(url)
        assert api.send("POST", path, ADD)["error"] is None
    with REAL[after](port):
        for _ in range(2):
            reply = api.send("POST", path, ADD)
            assert (reply["error"], reply["output"]["content"][0]["text"]) == (None, "3")
        assert api.send("POST", f"{connect.server}/refresh")["server"]["reachable"] is True


@pytest.mark.peers
@pytest.mark.parametrize("library", [SDK_1, FASTMCP_2])
def test_restarted_sse_server_serves_the_next_call(api, connect, library):
    port = free_port()
    with sessions_server(library, transport="sse", port=port) as url:
        path = connect(url, "sse")
        assert api.send("POST", path, ADD)["error"] is None
    with sessions_server(library, transport="sse", port=port):
        assert api.send("POST", path, ADD)["output"]["content"][0]["text"] == "3"
