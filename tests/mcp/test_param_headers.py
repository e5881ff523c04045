"""`x-mcp-header`: arguments that are repeated in headers (MCP 2026-07-28, SEP-2243)."""

import pytest

from mcp import param_headers
from mcp.models import Server, ToolExecution
from tests.mcp.conftest import META, MODERN
from tests.mcp.peers.scripted import as_json, error, result, scripted

TYPES = {"region": "string", "count": "integer", "dry": "boolean"}
SCHEMA = {
    "type": "object",
    "properties": {
        **{name: {"type": kind, "x-mcp-header": name.title()} for name, kind in TYPES.items()},
        "where": {
            "type": "object",
            "properties": {"zone": {"type": "string", "x-mcp-header": "Zone"}},
        },
        "free": {"type": "string"},
    },
}
ANNOTATED = {"type": "string", "x-mcp-header": "A"}
INVALID = {
    "empty": {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
    "no token": {"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}},
    "a line": {"properties": {"a": {"type": "string", "x-mcp-header": "a\r\nb"}}},
    "not ASCII": {"properties": {"a": {"type": "string", "x-mcp-header": "ä"}}},
    "a number": {"properties": {"a": {"type": "string", "x-mcp-header": 5}}},
    "null": {"properties": {"a": {"type": "string", "x-mcp-header": None}}},
    "of a number": {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
    "of an object": {"properties": {"a": {"type": "object", "x-mcp-header": "A"}}},
    "of an array": {"properties": {"a": {"type": "array", "x-mcp-header": "A"}}},
    "of no type": {"properties": {"a": {"x-mcp-header": "A"}}},
    "of two types": {"properties": {"a": {"type": ["string", "null"], "x-mcp-header": "A"}}},
    "twice": {"properties": {"a": ANNOTATED, "b": {**ANNOTATED, "x-mcp-header": "a"}}},
    "at the root": {"x-mcp-header": "A"},
    "in items": {"properties": {"a": {"type": "array", "items": ANNOTATED}}},
    "in anyOf": {"properties": {"a": {"anyOf": [ANNOTATED]}}},
    "in $defs": {"$defs": {"a": ANNOTATED}},
    "in additionalProperties": {"additionalProperties": ANNOTATED},
    "below patternProperties": {"patternProperties": {"a": {"properties": {"b": ANNOTATED}}}},
    "in if": {"if": {"properties": {"a": ANNOTATED}}},
}


@pytest.mark.parametrize("way", INVALID)
def test_invalid_annotation_is_found(way):
    assert param_headers.invalid_reason(INVALID[way])


@pytest.mark.parametrize(
    "schema",
    [SCHEMA, {}, None, {"default": {"x-mcp-header": ""}}, {"enum": [{"x-mcp-header": 5}]}],
)
def test_valid_annotations_and_data_are_let_pass(schema):
    assert param_headers.invalid_reason(schema) is None


@pytest.fixture
def calculator(api, register):
    """A running server whose tools are a good one, and those with invalid annotations."""

    def call(connection, message, head):
        connection.sendall(result(message, {"content": [], "resultType": "complete"}))

    tools = [
        {"name": f"odd {number}", "inputSchema": {"type": "object", **schema}}
        for number, schema in enumerate(INVALID.values())
    ]
    tools.append({"name": "t", "inputSchema": SCHEMA})
    with scripted(call, **{"tools/list": {"tools": tools, "resultType": "complete"}}) as server:
        server.id = register(url=server.url)["id"]
        server.refreshed = api.send("POST", f"/api/v1/mcp/servers/{server.id}/refresh")
        yield server


@pytest.fixture
def call(api):
    """A function: the reply to a stateless call with these arguments and `Mcp-Param-…` headers."""

    def call(arguments: dict, *, expect: int = 200, **headers: str) -> dict:
        params = {"name": "calc__t", "arguments": arguments, "_meta": META}
        body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
        named = {f"HTTP_MCP_PARAM_{name.upper()}": value for name, value in headers.items()}
        standard = {
            "HTTP_MCP_PROTOCOL_VERSION": MODERN,
            "HTTP_MCP_METHOD": "tools/call",
            "HTTP_MCP_NAME": "calc__t",
        }
        return api.send("POST", "/mcp", body, expect=expect, **standard, **named)

    return call


def test_tools_with_invalid_annotations_are_left_out(calculator):
    assert [tool["name"] for tool in calculator.refreshed["tools"]] == ["t"]
    assert "x-mcp-header" in calculator.refreshed["server"]["last_error"]


GOOD = [
    ({"region": "eu"}, {"region": "eu"}),
    ({"region": "Köln"}, {"region": "=?base64?S8O2bG4=?="}),
    ({"region": "eu"}, {"region": "=?base64?ZXU=?="}),
    ({"region": " eu"}, {"region": "=?base64?IGV1?="}),
    ({"count": 42}, {"count": "42"}),
    ({"count": 42}, {"count": "42.0"}),
    ({"dry": True}, {"dry": "true"}),
    ({"dry": False}, {"dry": "false"}),
    ({"where": {"zone": "b"}}, {"zone": "b"}),
    ({"region": "eu", "count": 0, "dry": True}, {"region": "eu", "count": "0", "dry": "true"}),
    ({}, {}),
    ({"region": None}, {}),
    ({"where": {}}, {}),
    ({"free": "x"}, {}),
]


@pytest.mark.parametrize(("arguments", "headers"), GOOD)
def test_call_with_the_same_in_headers_is_made(calculator, call, arguments, headers):
    assert "result" in call(arguments, **headers)


BAD = {
    "differs": ({"region": "eu"}, {"region": "us"}),
    "is absent": ({"region": "eu"}, {}),
    "is superfluous": ({}, {"region": "eu"}),
    "is of a null": ({"region": None}, {"region": "eu"}),
    "differs in case": ({"region": "eu"}, {"region": "EU"}),
    "is no base64": ({"region": "eu"}, {"region": "=?base64?!?="}),
    "is twice": ({"region": "eu"}, {"region": "eu,eu"}),
    "is another number": ({"count": 42}, {"count": "43"}),
    "is no number": ({"count": 42}, {"count": "forty-two"}),
    "is of a number as text": ({"count": 42}, {}),
    "is another truth": ({"dry": True}, {"dry": "True"}),
    "is absent inside": ({"where": {"zone": "b"}}, {}),
    "differs inside": ({"where": {"zone": "b"}}, {"zone": "c"}),
    "differs beside a good one": ({"region": "eu", "count": 1}, {"region": "eu", "count": "2"}),
}


@pytest.mark.parametrize("way", BAD)
def test_call_whose_header_is_wrong_is_refused(calculator, call, way):
    arguments, headers = BAD[way]
    reply = call(arguments, expect=400, **headers)
    assert (reply["error"]["code"], "Mcp-Param-" in reply["error"]["message"]) == (-32020, True)
    assert not ToolExecution.objects.exists()
    assert calculator.sent("tools/call") == []


def test_older_revisions_know_no_such_headers(api, calculator):
    params = {"name": "calc__t", "arguments": {"region": "eu"}}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    assert "result" in api.send("POST", "/mcp", body, HTTP_MCP_PROTOCOL_VERSION="2025-11-25")


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [each for each in GOOD if each[0] != {"region": None}],  # which the schema refuses
)
def test_headers_go_with_our_own_calls(api, calculator, arguments, headers):
    path = f"/api/v1/mcp/tools/{calculator.refreshed['tools'][0]['id']}/execute"
    api.send("POST", path, {"input": arguments})
    _, sent, _ = calculator.requests[-1]
    names = {name for name in sent if name.startswith("mcp-param-")}
    assert names == {f"mcp-param-{name}" for name in headers}


@pytest.fixture
def changing(api, register):
    """A function: executes a tool whose headers are refused once, and whose server lists `now`."""

    def execute(*now: dict, expect: int = 200) -> dict:
        path = f"/api/v1/mcp/tools/{server.tool['id']}/execute"
        server.methods["tools/list"] = tools(*now)
        return api.send("POST", path, {"input": {"region": "eu"}}, expect=expect)

    def call(connection, message, head):
        if head.get("mcp-param-region") == "eu":
            connection.sendall(result(message, {"content": [], "resultType": "complete"}))
            return
        inner = {"code": -32020, "message": "Mcp-Param-Region is missing"}
        refusal = as_json({"jsonrpc": "2.0", "id": message["id"], "error": inner})
        connection.sendall(refusal.replace(b"200 OK", b"400 Bad Request", 1))

    def tools(*items: dict) -> dict:
        return {"tools": list(items), "resultType": "complete"}

    with scripted(call, **{"tools/list": tools(PLAIN)}) as server:
        id = register(url=server.url)["id"]
        server.tool = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"][0]
        api.send("PUT", f"/api/v1/mcp/servers/{id}", {"timeout_seconds": 20})
        Server.objects.update(refreshed_at=None)
        execute.server = server
        yield execute


PLAIN = {"name": "t", "inputSchema": {"type": "object"}}
CHANGED = {"name": "t", "inputSchema": SCHEMA}


def test_schema_that_changed_is_read_again_when_its_headers_are_refused(api, changing):
    assert changing(CHANGED)["error"] is None
    assert api.read(f"/api/v1/mcp/tools/{changing.server.tool['id']}")["input_schema"] == SCHEMA


def test_tool_that_changed_waits_for_acceptance_where_tools_are_pinned(changing, settings):
    settings.MCP_PIN_TOOLS = True
    assert "has changed" in changing(CHANGED, expect=409)["detail"]
    assert len(changing.server.sent("tools/call")) == 1
    assert not ToolExecution.objects.exists()


def test_tool_that_is_gone_is_not_called_again(changing):
    reply = changing({**CHANGED, "name": "another"})
    assert (reply["error"], reply["error_kind"]) == (
        "The tool is switched off (is_active)",
        "refused",
    )
    assert len(changing.server.sent("tools/call")) == 1


def test_call_that_fails_otherwise_is_not_made_again(changing):
    def fail(connection, message, head):
        connection.sendall(error(message, -32000))

    changing.server.methods["tools/call"] = fail
    assert changing(CHANGED)["error_kind"] == "tool"
    assert len(changing.server.sent("tools/call")) == 1
    assert ToolExecution.objects.get().error_kind == "tool"
