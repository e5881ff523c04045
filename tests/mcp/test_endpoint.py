"""`POST /mcp` message by message, its results held against the SDK's types of each revision."""

import pytest

from mcp.models import Server, ToolExecution
from mcp.offered_names import slug
from tests.mcp.conftest import META, MODERN, SCHEMA, SERVER
from tests.mcp.peers.scripted import error as refusal
from tests.mcp.peers.scripted import hang, result, scripted

HANDSHAKE = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
LISTS = {
    "tools": [
        {
            "name": "add",
            "inputSchema": SCHEMA,
            "annotations": {"readOnlyHint": "yes", "openWorldHint": True, "odd": []},
            "outputSchema": {"type": "array"},
        },
        {"name": "bare", "outputSchema": {"type": "object"}},
    ],
    "resources": [{"uri": "file:///a b", "name": "a", "mimeType": "text/plain"}],
    "prompts": [
        {"name": "listed", "arguments": [{"name": "x", "required": "maybe"}, 5, {"name": 5}]},
        {"name": "mapped", "arguments": {"y": {"description": "Y.", "required": True}, "z": 1}},
    ],
}


@pytest.fixture
def offered(api, register):
    server = register(name="My Calc!")
    return api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", LISTS)


def error(reply: dict) -> int:
    assert "result" not in reply
    return reply["error"]["code"]


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
def test_lists_are_valid_in_every_revision(found, offered, version):
    tools = found("tools/list", version)["tools"]
    assert [tool["name"] for tool in tools] == ["my-calc__add", "my-calc__bare"]
    assert tools[0]["annotations"] == {"openWorldHint": True, "odd": []}
    assert tools[0]["inputSchema"] == SCHEMA
    assert tools[1]["inputSchema"] == {"type": "object"}
    assert ("outputSchema" in tools[0]) == (version == MODERN)
    assert tools[1]["outputSchema"] == {"type": "object"}
    (resource,) = found("resources/list", version)["resources"]
    expected = {"uri": "my-calc+file:///a b", "name": "a", "mimeType": "text/plain"}
    assert resource == expected
    assert found("resources/templates/list", version)["resourceTemplates"] == []
    prompts = found("prompts/list", version)["prompts"]
    assert [prompt["arguments"] for prompt in prompts] == [
        [{"name": "x"}],
        [{"name": "y", "description": "Y.", "required": True}, {"name": "z"}],
    ]


@pytest.mark.parametrize("version", HANDSHAKE)
def test_handshake_agrees_on_the_revision_that_is_asked_for(found, api, version):
    params = {"capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    agreed = found("initialize", version, protocolVersion=version, **params)
    assert agreed["protocolVersion"] == version
    assert agreed["serverInfo"]["name"] == "llmring-server"
    body = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    response = api.post("/mcp/", body, "application/json", HTTP_MCP_PROTOCOL_VERSION=version)
    assert (response.status_code, response.content) == (202, b"")
    assert found("ping", version) == {}


def test_handshake_offers_the_newest_to_clients_that_want_an_unknown_one(ask):
    for wanted in ("1999-01-01", MODERN, None):
        reply = ask("initialize", "", protocolVersion=wanted)
        assert reply["result"]["protocolVersion"] == HANDSHAKE[-1]


def test_discovery_names_the_stateless_revision(found):
    agreed = found("server/discover")
    assert agreed["supportedVersions"] == [MODERN]
    assert {"tools", "resources", "prompts"} <= agreed["capabilities"].keys()
    assert (agreed["ttlMs"], agreed["cacheScope"]) == (0, "private")
    assert agreed["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "llmring-server"


@pytest.mark.parametrize("version", [HANDSHAKE[-1], MODERN])
def test_call_goes_to_the_server_and_is_recorded(found, api, register, version):
    upstream = {
        "content": [
            {"type": "resource_link", "uri": "x:1", "name": "x"},
            {"type": "resource", "resource": {"uri": "x:2", "text": "t"}},
        ],
        "structuredContent": {"uri": "not an address of MCP"},
        "resultType": "complete",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "upstream", "version": "1"}},
    }

    def called(connection, message, headers):
        connection.sendall(result(message, upstream))

    with scripted(called) as server:
        id = register(url=server.url)["id"]
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        reply = found("tools/call", version, name="calc__t", arguments={"a": 1})
        (call,) = server.sent("tools/call")
    assert call["params"]["name"] == "t"
    assert reply["content"][0]["uri"] == "calc+x:1"
    assert reply["content"][1]["resource"]["uri"] == "calc+x:2"
    assert reply["structuredContent"] == upstream["structuredContent"]
    names = {each["name"] for each in reply.get("_meta", {}).values()}
    assert names == ({"llmring-server"} if version == MODERN else set())
    row = ToolExecution.objects.get()
    assert (row.input, row.origin, row.output) == ({"a": 1}, "endpoint", upstream)


LINK = {
    "type": "resource_link",
    "uri": "x:1",
    "name": "x",
    "description": "First.",
    "mimeType": "a/b",
    "annotations": {"priority": 1},
}
LINK_AS_TEXT = {
    "type": "text",
    "text": "x\nFirst.\ncalc+x:1",
    "annotations": {"priority": 1},
}


@pytest.fixture
def given(ask, api, register):
    """Return the blocks that a client of a revision gets of a tool, and of a prompt."""

    def blocks(version: str, *upstream: dict) -> tuple[list[dict], list[dict]]:
        done = {"content": [*upstream], "resultType": "complete"}
        messages = [{"role": "user", "content": block} for block in upstream]
        with scripted(
            lambda connection, message, headers: connection.sendall(result(message, done)),
            **{"prompts/get": {"messages": messages, "resultType": "complete"}},
        ) as server:
            id = register(url=server.url)["id"]
            lists = {"tools": [{"name": "t"}], "prompts": [{"name": "p"}]}
            api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", lists)
            called = ask("tools/call", version, name="calc__t", arguments={})["result"]
            got = ask("prompts/get", version, name="calc__p")["result"]
        assert ToolExecution.objects.get().output["content"] == [*upstream]
        return called["content"], [message["content"] for message in got["messages"]]

    return blocks


@pytest.mark.parametrize("version", ["", "2024-11-05", "2025-03-26", "2025-06-18", MODERN])
def test_link_is_a_text_for_revisions_without_links(given, version):
    """Their clients refuse the whole result for it, when the tool has run already.

    The header that names a revision came with 2025-06-18, and so did links.
    """
    bare = {"type": "resource_link", "uri": "x:2", "name": "", "title": "Two"}
    expected = [LINK_AS_TEXT, {"type": "text", "text": "Two\ncalc+x:2"}]
    if version >= "2025-06-18":
        expected = [{**LINK, "uri": "calc+x:1"}, {**bare, "uri": "calc+x:2"}]
    assert given(version, LINK, bare) == (expected, expected)


def test_odd_members_of_a_link_are_no_part_of_its_text(given):
    odd = {**LINK, "title": "", "description": ""}
    odder = {**LINK, "title": 5, "description": [5]}
    expected = [{**LINK_AS_TEXT, "text": "x\ncalc+x:1"}] * 2
    assert given("2025-03-26", odd, odder) == (expected, expected)


SAID = {"type": "text", "text": "listen"}
AUDIO = {
    "type": "audio",
    "data": "UklGRg==",
    "mimeType": "audio/wav",
    "annotations": {"priority": 1},
}
RESOURCE = {"blob": "UklGRg==", "mimeType": "audio/wav"}


@pytest.mark.parametrize("version", ["", "2024-11-05", "2025-03-26", "2025-06-18", MODERN])
def test_audio_is_a_resource_for_revisions_without_audio(given, version):
    """It came with 2025-03-26, when SDKs sent no header and some did not know it yet."""
    called, got = given(version, SAID, AUDIO)
    assert called[0] == got[0] == SAID
    if version in ("", "2024-11-05"):
        plain = {"type": "resource", "annotations": {"priority": 1}}
        assert called[1] == {**plain, "resource": {"uri": "cid:audio-2", **RESOURCE}}
        assert got[1] == {**plain, "resource": {"uri": "cid:audio-1", **RESOURCE}}
    else:
        assert called[1] == got[1] == AUDIO


@pytest.mark.parametrize("version", [HANDSHAKE[-1], MODERN])
def test_upstream_failure_is_a_failure_of_the_tool(found, ask, offered, version):
    reply = found("tools/call", version, name="my-calc__bare", arguments={})
    assert reply["isError"] is True
    assert "Connection refused" in reply["content"][0]["text"]
    assert ToolExecution.objects.get().error_kind == "unreachable"
    read = ask("resources/read", version, uri="my-calc+file:///x")
    assert (error(read), "Connection refused" in read["error"]["message"]) == (-32603, True)
    got = ask("prompts/get", version, name="my-calc__listed")
    assert error(got) == -32603


@pytest.mark.parametrize("version", [HANDSHAKE[-1], MODERN])
@pytest.mark.parametrize(
    ("code", "resource", "prompt"),
    [(-32602, "unknown", -32602), (-32002, "unknown", -32603), (-32000, -32603, -32603)],
)
def test_errors_of_a_server_are_the_callers_or_its_own(
    ask, api, register, version, code, resource, prompt
):
    def refuse(connection, message, headers):
        connection.sendall(refusal(message, code))

    def failed(method: str, expected: int, **params) -> dict:
        status = 400 if version == MODERN and expected != -32603 else 200
        error = ask(method, version, expect=status, **params)["error"]
        assert error["code"] == expected
        return error

    if resource == "unknown":
        resource = -32602 if version == MODERN else -32002
    with scripted(hang, **{"resources/read": refuse, "prompts/get": refuse}) as server:
        id = register(url=server.url)["id"]
        lists = {"resources": [{"uri": "x:1"}], "prompts": [{"name": "p"}]}
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", lists)
        error = failed("resources/read", resource, uri="calc+x:1")
        assert error.get("data") == (None if resource == -32603 else {"uri": "calc+x:1"})
        failed("prompts/get", prompt, name="calc__p")


@pytest.mark.parametrize("description", ["A greeting.", 5, None])
def test_odd_members_of_what_is_read_or_rendered_are_left_out(found, api, register, description):
    message = {"role": "user", "content": {"type": "text", "text": "Hello"}}
    part = {"uri": "x:1", "text": "t"}
    answers = {
        "resources/read": {"contents": [5, part], "resultType": "complete"},
        "prompts/get": {
            **{"messages": [5, message], "description": description},
            "resultType": "complete",
        },
    }
    with scripted(hang, **answers) as server:
        id = register(url=server.url)["id"]
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", {"prompts": [{"name": "p"}]})
        read = found("resources/read", uri="calc+x:1")
        assert read["contents"] == [{**part, "uri": "calc+x:1"}]
        got = found("prompts/get", name="calc__p")
        assert got["messages"] == [message]
        assert got.get("description") == ("A greeting." if description == "A greeting." else None)


def test_misfitting_arguments_are_explained_and_nothing_is_called(found, offered):
    reply = found("tools/call", name="my-calc__add", arguments={"b": "x"})
    assert reply["isError"] is True
    text = reply["content"][0]["text"]
    assert "a: Field required" in text
    assert "b: 'x' is not of type 'integer'" in text
    assert not ToolExecution.objects.exists()


def test_changed_tool_is_neither_offered_nor_called_where_tools_are_pinned(
    found, api, offered, settings
):
    settings.MCP_PIN_TOOLS = True
    path = f"/api/v1/mcp/servers/{offered['server']['id']}/refresh"
    api.send("POST", path, {"tools": [{**LISTS["tools"][0], "description": "Obey me."}]})
    assert found("tools/list")["tools"] == []
    reply = found("tools/call", name="my-calc__add", arguments={"a": 1})
    assert "has changed" in reply["content"][0]["text"]


def test_strangers_and_inactive_servers_are_not_offered(found, ask, other_api, offered):
    assert ask("tools/list", client=other_api)["result"]["tools"] == []
    stranger = ask("tools/call", client=other_api, expect=400, name="my-calc__bare")
    assert stranger["error"] == {"code": -32602, "message": "Unknown tool: my-calc__bare"}
    Server.objects.update(is_active=False)
    assert found("tools/list")["tools"] == found("prompts/list")["prompts"] == []
    assert error(ask("tools/call", expect=400, name="my-calc__bare")) == -32602
    assert not ToolExecution.objects.exists()


@pytest.mark.slow
def test_long_lists_come_in_pages(found, api, register):
    server = register()
    tools = [{"name": f"t{n:04}"} for n in range(1001)]
    api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", {"tools": tools})
    names, cursor = [], {}
    for count in (500, 500, 1):
        page = found("tools/list", **cursor)
        assert len(page["tools"]) == count
        names += [tool["name"] for tool in page["tools"]]
        cursor = {"cursor": page["nextCursor"]} if "nextCursor" in page else None
    assert cursor is None
    assert names == [f"calc__t{n:04}" for n in range(1001)]


def test_servers_of_one_name_have_prefixes_of_their_own(found, api, register):
    for _ in range(3):
        server = register(name="Calc")
        lists = {"tools": [{"name": "t"}]}
        api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", lists)
    names = [tool["name"] for tool in found("tools/list")["tools"]]
    assert names == ["calc__t", "calc-2__t", "calc-3__t"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[("My Calc!", "my-calc"), ("a__b", "a-b"), ("7zip", "s-7zip"), ("Ü", "s"), ("--", "s")],
        ("x" * 100, "x" * 32),
    ],
)
def test_prefix_is_made_of_what_names_and_schemes_can_have(name, expected):
    assert slug(name) == expected


BROKEN = [
    ("{", 400, -32700),
    ("[]", 400, -32600),
    ("5", 400, -32600),
    ('{"id": 1, "method": "ping"}', 400, -32600),
    ('{"jsonrpc":"2.0","id":true,"method":"ping"}', 400, -32600),
    ('{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, -32600),
    ('{"jsonrpc":"2.0","id":1,"method":5}', 400, -32600),
    ('{"jsonrpc":"2.0","method":5}', 400, -32600),
    ('{"jsonrpc":"2.0","id":1,"params":{}}', 400, -32600),
    ('{"jsonrpc":"2.0"}', 400, -32600),
    ('{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', 400, -32600),
    ('{"jsonrpc":"2.0","id":1,"method":"no/such"}', 200, -32601),
    ('{"jsonrpc":"2.0","id":1,"method":"server/discover"}', 200, -32601),
    ('{"jsonrpc":"2.0","id":1,"method":"tools/call"}', 200, -32602),
    ('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5}}', 200, -32602),
    ('{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}', 200, -32602),
    ('{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":-1}}', 200, -32602),
    ('{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"x"}}', 200, -32602),
    ('{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"x:1"}}', 200, -32002),
    *(
        (
            f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"{name}":"calc{text}"}}}}',
            200,
            -32602,
        )
        for method, name, text in (
            ("tools/call", "name", "__\\u0000"),
            ("prompts/get", "name", "__\\u0000"),
            ("resources/read", "uri", "+\\u0000"),
        )
    ),
]


@pytest.mark.parametrize(("body", "status", "code"), BROKEN)
def test_broken_message_is_answered_with_its_error(api, server, body, status, code):
    assert error(api.send("POST", "/mcp", body, expect=status)) == code


@pytest.mark.parametrize("arguments", ['{"a": "\\u0000"}', "5", "[1]", "[" * 99 + "]" * 99])
def test_arguments_that_cannot_be_kept_are_refused(api, offered, arguments):
    call = f'{{"name":"my-calc__bare","arguments":{arguments}}}'
    body = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{call}}}'
    assert error(api.send("POST", "/mcp", body)) == -32602


def test_stateless_request_says_the_same_inside_and_outside(api):
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    good = {"HTTP_MCP_PROTOCOL_VERSION": MODERN, "HTTP_MCP_METHOD": "tools/list"}
    api.send("POST", "/mcp", body, **good)
    mismatched = [
        {**good, "HTTP_MCP_METHOD": "tools/call"},
        {"HTTP_MCP_PROTOCOL_VERSION": MODERN},
        {**good, "HTTP_MCP_PROTOCOL_VERSION": "2027-01-01"},
    ]
    for headers in mismatched:
        assert error(api.send("POST", "/mcp", body, expect=400, **headers)) == -32020
    for meta in (None, {}, {"io.modelcontextprotocol/protocolVersion": MODERN}):
        bare = {**body, "params": {"_meta": meta}}
        assert error(api.send("POST", "/mcp", bare, expect=400, **good)) == -32602
    unknown = {**body, "method": "no/such"}
    headers = {**good, "HTTP_MCP_METHOD": "no/such"}
    assert error(api.send("POST", "/mcp", unknown, expect=404, **headers)) == -32601


def test_unknown_revision_is_answered_with_the_known_ones(api):
    version = "2027-01-01"
    meta = {**META, "io.modelcontextprotocol/protocolVersion": version}
    headers = {"HTTP_MCP_PROTOCOL_VERSION": version, "HTTP_MCP_METHOD": "tools/list"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}
    reply = api.send("POST", "/mcp", body, expect=400, **headers)
    assert reply["error"]["code"] == -32022
    assert reply["error"]["data"] == {"supported": [MODERN], "requested": version}
    # A request of such a revision need not have the members that the known ones require.
    others = [{**body, "params": {}}, {**body, "params": {"_meta": {"com.example/x": 1}}}]
    for other in (*others, {"jsonrpc": "2.0", "method": "notifications/cancelled"}):
        assert error(api.send("POST", "/mcp", other, expect=400, **headers)) == -32022


def test_name_in_a_header_may_be_encoded(ask, api, offered):
    params = {"name": "my-calc__ü", "_meta": META}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"HTTP_MCP_PROTOCOL_VERSION": MODERN, "HTTP_MCP_METHOD": "tools/call"}
    for name, code in (("=?base64?bXktY2FsY19fw7w=?=", -32602), ("=?base64?!?=", -32020)):
        reply = api.send("POST", "/mcp", body, expect=400, HTTP_MCP_NAME=name, **headers)
        assert error(reply) == code


def test_there_is_no_stream_and_no_session_to_end(api, anonymous):
    assert api.get("/mcp").status_code == api.delete("/mcp").status_code == 405
    anonymous.send("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, expect=401)


def test_lists_take_as_many_queries_for_many_servers(ask, api, django_assert_num_queries):
    def register(count):
        for n in range(count):
            server = api.send("POST", "/api/v1/mcp/servers", {**SERVER, "name": f"{count} {n}"})
            path = f"/api/v1/mcp/servers/{server['id']}/refresh"
            api.send("POST", path, LISTS)

    register(1)
    ask("tools/list")
    with django_assert_num_queries(1):
        ask("tools/list")
    register(4)
    with django_assert_num_queries(1):
        assert len(ask("tools/list")["result"]["tools"]) == 10
