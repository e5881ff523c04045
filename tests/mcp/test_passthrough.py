"""A proxy forwards what it does not know: metadata, icons, apps, progress."""

import json

import pytest
from mcp_types import methods

from mcp.models import Tool
from tests.mcp.conftest import META, MODERN
from tests.mcp.peers.environment import SDK, SDK_1, run_client, sessions_server
from tests.mcp.peers.scripted import DISCOVERED, STREAM, event, result, scripted
from tests.released_client.server import serving

HANDSHAKE = "2025-11-25"
BOTH = pytest.mark.parametrize("version", [HANDSHAKE, MODERN])
EACH_CALL = pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "calc__t"}),
        ("resources/read", {"uri": "calc+file:///a"}),
        ("prompts/get", {"name": "calc__p"}),
    ],
)
ICONS = [{"src": "https://a.b/i.png", "mimeType": "image/png", "sizes": ["48x48"]}]
APP = "ui://clock/view.html"
TOOL = {
    "name": "t",
    "title": "T",
    "inputSchema": {"type": "object"},
    "icons": ICONS,
    "_meta": {"ui": {"resourceUri": APP}, "com.example/x": {"deep": [1, None]}},
    "annotations": {"readOnlyHint": True, "com.example/hint": 1},
    "execution": {"taskSupport": "forbidden"},
    "com.example/unknown": {"a": [True]},
}
RESOURCE = {
    "uri": "file:///a",
    "name": "a",
    "size": 12,
    "icons": ICONS,
    "annotations": {"audience": ["user"], "priority": 0.5, "lastModified": "2026-01-02T03:04:05Z"},
    "_meta": {"com.example/x": 1},
    "unknown": "kept",
}
PROMPT = {
    "name": "p",
    "arguments": [{"name": "a", "title": "A", "com.example/kind": "file"}],
    "icons": ICONS,
    "_meta": {"com.example/x": 1},
    "unknown": ["kept"],
}
TEMPLATE = {
    "uriTemplate": "file:///{n}",
    "name": "n",
    "annotations": {"priority": 1},
    "_meta": {"x/y": 1},
    "icons": ICONS,
    "unknown": 7,
}
RESULT_META = {"com.example/trace": "00-abc", "io.modelcontextprotocol/related": {"id": "1"}}
METHODS = {
    "server/discover": {
        **DISCOVERED,
        "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
    },
    "tools/list": {"tools": [TOOL]},
    "resources/list": {"resources": [RESOURCE, {"uri": APP, "name": "clock"}]},
    "resources/templates/list": {"resourceTemplates": [TEMPLATE]},
    "prompts/list": {"prompts": [PROMPT]},
    "resources/read": {
        "contents": [{"uri": APP, "text": "<html>", "_meta": {"ui": {"csp": {}}}, "other": 1}],
        "_meta": RESULT_META,
        "unknown": 1,
    },
    "prompts/get": {
        "messages": [
            {"role": "user", "content": {"type": "text", "text": "x", "_meta": {"a/b": 1}}}
        ],
        "_meta": RESULT_META,
    },
}
CALLED = {
    "content": [{"type": "text", "text": "x", "annotations": {"priority": 1}, "_meta": {"a/b": 1}}],
    "_meta": RESULT_META,
    "unknown": {"kept": True},
}


@pytest.fixture
def peer(api, register):
    """A running server with members that are unknown here."""

    def call(connection, message, head):
        connection.sendall(result(message, CALLED))

    with scripted(call, **METHODS) as server:
        id = register(url=server.url)["id"]
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        yield server


@BOTH
def test_unknown_members_of_items_are_forwarded(found, peer, version):
    assert found("tools/list", version)["tools"] == [{**TOOL, "name": "calc__t"}]
    assert found("prompts/list", version)["prompts"] == [{**PROMPT, "name": "calc__p"}]
    resources = found("resources/list", version)["resources"]
    assert {**RESOURCE, "uri": "calc+file:///a"} in resources
    templates = found("resources/templates/list", version)["resourceTemplates"]
    assert templates == [{**TEMPLATE, "uriTemplate": "calc+file:///{n}"}]


@BOTH
@EACH_CALL
def test_metadata_of_results_comes_back(found, peer, version, method, params):
    reply = found(method, version, **params)
    assert RESULT_META.items() <= reply["_meta"].items()


@BOTH
def test_unknown_members_of_results_come_back(found, peer, version):
    reply = found("tools/call", version, name="calc__t")
    assert (reply["content"], reply["unknown"]) == (CALLED["content"], {"kept": True})
    assert found("resources/read", version, uri="calc+file:///a")["unknown"] == 1
    content = found("prompts/get", version, name="calc__p")["messages"][0]["content"]
    assert content["_meta"] == {"a/b": 1}


TRACE = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "baggage": "a=1",
    "com.example/x": {"deep": [None]},
}


@BOTH
@EACH_CALL
def test_metadata_of_requests_reaches_the_server(api, peer, version, method, params):
    meta = {**TRACE, **(META if version == MODERN else {}), "progressToken": "theirs"}
    send(api, method, version, {**params, "_meta": meta})
    (request,) = peer.sent(method)
    sent = request["params"]["_meta"]
    assert TRACE.items() <= sent.items()
    assert sent["progressToken"] == request["id"]
    assert sent["io.modelcontextprotocol/clientInfo"]["name"] == "llmring-server"


def send(api, method: str, version: str, params: dict, accept="application/json"):
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    headers = {"HTTP_MCP_PROTOCOL_VERSION": version, "HTTP_ACCEPT": accept}
    if version == MODERN:
        headers["HTTP_MCP_METHOD"] = method
        headers["HTTP_MCP_NAME"] = params.get("name") or params.get("uri")
    return api.post("/mcp", body, "application/json", **headers)


@BOTH
def test_resource_of_an_app_keeps_its_address(found, peer, version):
    assert APP in [each["uri"] for each in found("resources/list", version)["resources"]]
    (tool,) = found("tools/list", version)["tools"]
    assert tool["_meta"]["ui"]["resourceUri"] == APP
    (content,) = found("resources/read", version, uri=APP)["contents"]
    assert (content["uri"], content["text"]) == (APP, "<html>")
    assert peer.sent("resources/read")[0]["params"]["uri"] == APP


@pytest.mark.parametrize("member", ["ui", "ui/resourceUri"])
def test_app_that_only_a_tool_names_is_read(api, register, found, member):
    meta = {"ui": {"resourceUri": APP}} if member == "ui" else {"ui/resourceUri": APP}
    others = {
        **METHODS,
        "tools/list": {"tools": [{**TOOL, "_meta": meta}]},
        "resources/list": {"resources": []},
    }
    with scripted(None, **others) as server:
        register(name="other")
        id = register(url=server.url)["id"]
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        assert found("resources/read", uri=APP)["contents"][0]["text"] == "<html>"


def test_app_behind_a_template_is_read(api, register, found):
    empty = {**METHODS, "tools/list": {"tools": []}, "resources/list": {"resources": []}}

    def with_template(uri: str) -> dict:
        templates = {"resourceTemplates": [{"uriTemplate": uri, "name": "clock"}]}
        return {**empty, "resources/templates/list": templates}

    with (
        scripted(None, **{**with_template("{+anything}"), "resources/read": None}) as older,
        scripted(None, **with_template("ui://clock/{view}")) as server,
    ):
        for name, url in (("older", older.url), ("clock", server.url)):
            id = register(name=name, url=url)["id"]
            api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        addresses = [
            each["uriTemplate"] for each in found("resources/templates/list")["resourceTemplates"]
        ]
        assert addresses == ["older+{+anything}", "ui://clock/{view}"]
        assert found("resources/read", uri=APP)["contents"][0]["text"] == "<html>"


def test_unknown_app_and_that_of_a_stranger_are_not_found(ask, peer, other_api):
    for client, uri in ((None, "ui://other/x"), (other_api, APP)):
        options = {"client": client} if client else {}
        reply = ask("resources/read", expect=400, uri=uri, **options)
        assert reply["error"]["code"] == -32602


@pytest.mark.parametrize("uri", ["calc", "other+file:///a", "+file:///a", "file:///a"])
def test_address_of_no_server_is_not_asked_for(ask, peer, uri):
    assert ask("resources/read", expect=400, uri=uri)["error"]["code"] == -32602
    assert peer.sent("resources/read") == []


STEPS = [{"progress": 1, "total": 3}, {"progress": 2, "message": "half", "com.example/x": 1}]


@pytest.fixture
def progressing(api, register):
    """A server that reports progress under the token it was given, and under a wrong one."""

    def call(connection, message, head):
        token = message["params"]["_meta"]["progressToken"]
        connection.sendall(STREAM + b"\r\n")
        for step in STEPS:
            params = {**step, "progressToken": token}
            notice = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
            connection.sendall(event(notice))
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": CALLED}
        connection.sendall(event(answer))
        connection.close()

    with scripted(call, **METHODS) as server:
        id = register(url=server.url)["id"]
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        yield server


def messages_of(response) -> list[dict]:
    assert response["Content-Type"] == "text/event-stream"
    text = b"".join(response.streaming_content).decode()
    return [json.loads(each.partition("data: ")[2]) for each in text.split("\n\n") if each]


@pytest.mark.usefixtures("transactional_db")
@BOTH
@pytest.mark.parametrize("token", ["theirs", 7, ""])
def test_progress_comes_back_under_the_clients_token(api, progressing, version, token):
    meta = {**(META if version == MODERN else {}), "progressToken": token}
    params = {"name": "calc__t", "_meta": meta}
    response = send(api, "tools/call", version, params, "application/json, text/event-stream")
    *notices, answer = messages_of(response)
    assert [notice["params"] for notice in notices] == [
        {**step, "progressToken": token} for step in STEPS
    ]
    assert {notice["method"] for notice in notices} == {"notifications/progress"}
    assert (answer["id"], answer["result"]["content"]) == (7, CALLED["content"])
    methods.validate_server_result("tools/call", version, answer["result"])


@pytest.mark.parametrize(
    ("meta", "accept"),
    [
        ({}, "application/json, text/event-stream"),
        ({"progressToken": 1}, "application/json"),
        ({"progressToken": None}, "application/json, text/event-stream"),
        ({"progressToken": {}}, "application/json, text/event-stream"),
        ({"progressToken": True}, "application/json, text/event-stream"),
    ],
)
def test_progress_that_nobody_asked_for_is_kept_back(api, progressing, meta, accept):
    response = send(api, "tools/call", HANDSHAKE, {"name": "calc__t", "_meta": meta}, accept)
    assert response["Content-Type"] == "application/json"
    assert response.json()["result"]["content"] == CALLED["content"]


@pytest.mark.usefixtures("transactional_db")
@pytest.mark.parametrize("params", [["half"], "half", 5, None])
def test_progress_that_is_no_object_is_ignored(api, progressing, params):
    def call(connection, message, head):
        notice = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": CALLED}
        connection.sendall(STREAM + b"\r\n" + event(notice) + event(answer))
        connection.close()

    progressing.methods["tools/call"] = call
    asked = {"name": "calc__t", "_meta": {"progressToken": 1}}
    response = send(api, "tools/call", HANDSHAKE, asked, "application/json, text/event-stream")
    assert response.json()["result"]["content"] == CALLED["content"]


@pytest.mark.usefixtures("transactional_db")
def test_answer_without_progress_is_no_stream(api, peer):
    meta = {**META, "progressToken": 1}
    both = "application/json, text/event-stream"
    response = send(api, "tools/call", MODERN, {"name": "calc__t", "_meta": meta}, both)
    assert response.json()["result"]["content"] == CALLED["content"]
    response = send(api, "tools/call", MODERN, {"name": "calc__x", "_meta": meta}, both)
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)


@pytest.mark.usefixtures("transactional_db")
@pytest.mark.peers
@pytest.mark.parametrize(("client", "version"), [(SDK_1, "1"), (SDK, "2")])
def test_progress_goes_through_from_sdk_to_sdk(api, register, client, version):
    with sessions_server(SDK_1) as url, serving() as address:
        id = register(url=url)["id"]
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        assert Tool.objects.filter(name="steps").exists()
        arguments = (version, f"{address}/mcp", api.key)
        read = run_client("progress_client.py", *arguments, requirement=client)
    assert read == {"steps": [[1, 3], [2, 3], [3, 3]], "text": "done"}
