"""MCP servers that fail in every way: a clear answer in time, a recorded error, nobody stuck."""

import json
import socket
import struct
import threading
import time
from functools import partial

import pytest
from django.db import connection

from mcp import item_store, server_calls
from mcp.client import streamable
from mcp.client.session_pool import pool
from mcp.models import Server, Tool, ToolExecution
from tests.mcp.peers.scripted import DISCOVERED, STREAM, error, event, hang, result, scripted
from tests.site.loopback import answer
from tests.threads import at_once

SECONDS = 1


@pytest.fixture(autouse=True)
def short_timeout(settings):
    settings.MCP_TIMEOUT = SECONDS
    yield
    for id in list(pool._slots):
        pool.forget(id)


@pytest.fixture
def execute(api, register, settings):
    """A function: what comes of execution the tool of a scripted server."""

    def execute(server) -> dict:
        id = register(url=server.url)["id"]
        refreshed = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        path = f"/api/v1/mcp/tools/{refreshed['tools'][0]['id']}/execute"
        begun = time.monotonic()
        reply = api.send("POST", path, {"input": {"a": 1}})
        assert time.monotonic() - begun < settings.MCP_TIMEOUT + 1
        row = ToolExecution.objects.get()
        assert (row.error, row.error_kind) == (reply["error"], reply["error_kind"])
        return reply

    return execute


def test_error_of_a_tool_is_the_texts_of_its_result(execute):
    texts = [{"type": "text", "text": "No such city."}, {"type": "text", "text": "Try Rome."}]
    for content, shown in (
        ([texts[0], {"type": "audio"}, {"text": 5}, "x", texts[1]], "No such city.\nTry Rome."),
        ([], "The tool reported an error"),
    ):
        output = {"content": content, "isError": True}

        def fail(connection, message, headers, output=output):
            connection.sendall(result(message, {**output, "resultType": "complete"}))

        with scripted(fail) as server:
            reply = execute(server)
        assert (reply["error"], reply["error_kind"]) == (shown, "tool")
        assert reply["output"]["isError"] is True
        ToolExecution.objects.all().delete()


def test_no_database_connection_is_held_while_a_server_works(execute):
    held = []

    def call(peer, message, headers):
        stats = connection.pool.get_stats()
        held.append(stats["pool_size"] - stats["pool_available"])
        peer.sendall(result(message, {"content": [], "resultType": "complete"}))

    with scripted(call) as server:
        assert execute(server)["error"] is None
    assert held == [0]


def raw(data: bytes):
    def send(connection, message, headers):
        connection.sendall(data)
        connection.close()

    return send


def much(connection, message, headers):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    for _ in range(50):
        connection.sendall(b" " * 2**20)


def much_as_stream(connection, message, headers):
    connection.sendall(STREAM + b"\r\n")
    for _ in range(50):
        connection.sendall(b"data: " + b"x" * 2**20 + b"\n\n")


def endless_line(connection, message, headers):
    connection.sendall(STREAM + b"\r\ndata: ")
    for _ in range(50):
        connection.sendall(b"x" * 2**20)


def silent_stream(connection, message, headers):
    connection.sendall(STREAM + b"\r\n: ping\n\n")
    time.sleep(10)


def pinging_stream(connection, message, headers):
    connection.sendall(STREAM + b"\r\n")
    while True:
        connection.sendall(b": ping\n\n")
        time.sleep(0.05)


def half_a_stream(connection, message, headers):
    notice = event({"jsonrpc": "2.0", "method": "notifications/progress"})
    half = event({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}})[:20]
    connection.sendall(STREAM + b"\r\n" + notice + half)
    connection.close()


def half_an_answer(connection, message, headers):
    whole = result(message, {"content": [{"type": "text", "text": "x" * 1000}]})
    connection.sendall(whole[:-500])
    connection.close()


def lost(connection) -> None:
    """Reset the connection, as the system does for a process that is killed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset(connection, message, headers):
    connection.sendall(result(message, {"content": []})[:-5])
    time.sleep(0.05)  # or the other side reads none of it
    lost(connection)


def lost_stream(*events: bytes, is_reset: bool = False):
    """Sends events of a stream in chunks, whose end does not come."""

    def send(connection, message, headers):
        connection.sendall(STREAM + b"Transfer-Encoding: chunked\r\n\r\n")
        for each in events:
            connection.sendall(b"%x\r\n%b\r\n" % (len(each), each))
        time.sleep(0.05)
        if is_reset:
            lost(connection)
        connection.close()

    return send


def redirect(location: str, status: str = "307 Temporary Redirect"):
    def send(connection, message, headers):
        there = location.format(headers["host"])
        connection.sendall(answer(b"", status=status, Location=there, Connection="close"))
        connection.close()

    return send


def page(body: bytes, kind: str, status: str = "200 OK"):
    return raw(answer(body, status=status, Content_Type=kind))


def deep(connection, message, headers):
    value = json.loads("[" * 100 + "]" * 100)
    connection.sendall(result(message, {"content": value}))


def of_another(connection, message, headers):
    connection.sendall(result({"id": message["id"] + 1}, {"content": []}))


def no_gzip(connection, message, headers):
    coded = {"Content_Type": "application/json", "Content_Encoding": "gzip"}
    connection.sendall(answer(b"{}", **coded))


def result_of(**members):
    def send(connection, message, headers):
        connection.sendall(result(message, members))

    return send


FAILURES = {
    "hangs": (hang, "timeout", "in time"),
    "sends a stream without a word": (silent_stream, "timeout", "in time"),
    "sends a stream of pings only": (pinging_stream, "timeout", "in time"),
    "sends garbage": (raw(b"\x00\xff garbage \r\n\r\n" * 9), "protocol", "not HTTP"),
    "sends HTML": (page(b"<html>", "text/html"), "protocol", "status 200 and text/html"),
    "sends what has no name": (page(b"", "a/\x00b"), "protocol", "status 200"),
    "sends no JSON": (page(b"{nope", "application/json"), "protocol", "not JSON"),
    "sends a list": (page(b"[]", "application/json"), "protocol", "JSON-RPC"),
    "sends an empty object": (page(b"{}", "application/json"), "protocol", "no result"),
    "answers another request": (of_another, "protocol", "another request"),
    "asks a person": (
        result_of(resultType="input_required", inputRequests={"a": {"method": "roots/list"}}),
        "refused",
        "asks for a person's or a model's input",
    ),
    "starts a task": (result_of(resultType="task", taskId="t"), "protocol", "a type"),
    "answers infinity": (
        page(b'{"jsonrpc":"2.0","id":1e999,"result":{}}', "application/json"),
        "protocol",
        "another request",
    ),
    "sends no gzip": (no_gzip, "protocol", "ContentDecodingError"),
    "sends a million lists": (
        page(b'{"a":[' + b"[]," * 1_000_000 + b"0]}", "application/json"),
        "protocol",
        "too many lists",
    ),
    "sends values too deep": (deep, "protocol", "deeper"),
    "sends 50 MB": (much, "protocol", "longer than"),
    "sends 50 MB as events": (much_as_stream, "protocol", ""),
    "sends a line of 50 MB": (endless_line, "protocol", "longer than"),
    "breaks off a stream": (half_a_stream, "protocol", "ended without an answer"),
    "breaks off an answer": (half_an_answer, "unreachable", "lost during its answer"),
    "resets its answer": (reset, "unreachable", "reset by peer"),
    "dies before its stream": (lost_stream(), "unreachable", "lost during its answer"),
    "dies in its stream": (lost_stream(b": ping\n\n"), "unreachable", "lost during its answer"),
    "resets its stream": (lost_stream(b": ping\n\n", is_reset=True), "unreachable", "reset"),
    "dies, and resumes nothing": (
        lost_stream(b"id: 1\nretry: 10\ndata:\n\n"),
        "unreachable",
        "lost during its answer",
    ),
    "closes the connection": (raw(b""), "unreachable", "closed the connection"),
    "fails": (page(b"oops", "text/plain", "500 Oops"), "protocol", "status 500"),
    "accepts without an answer": (raw(answer(b"", status="202 Accepted")), "protocol", "202"),
    "wants other credentials": (page(b"", "text/plain", "401 No"), "refused", "401"),
    "redirects to metadata": (redirect("http://169.254.169.254/"), "refused", "another server"),
    "redirects elsewhere": (redirect("http://localhost:9/"), "refused", "another server"),
    "redirects behind a backslash": (redirect("http://localhost:9\\@{}/"), "refused", "another"),
    "redirects to no address": (redirect("http://["), "protocol", "invalid address"),
    "redirects to no port": (redirect("http://127.0.0.1:99999/"), "protocol", "invalid address"),
    "redirects in circles": (redirect("/mcp"), "protocol", "redirects"),
    "redirects to a page": (redirect("/x", "302 Found"), "protocol", "redirects"),
}


@pytest.mark.parametrize("way", FAILURES)
def test_failing_server_gives_a_clear_recorded_error_in_time(execute, settings, way):
    behave, kind, text = FAILURES[way]
    if kind == "timeout":
        settings.MCP_TIMEOUT = 0.3  # it is used up
    elif "50 MB" in way:
        settings.MCP_TIMEOUT = 10  # a busy machine reads up to the limit for seconds
    with scripted(behave) as server:
        reply = execute(server)
    assert (reply["error_kind"], reply["output"]) == (kind, None)
    assert text in reply["error"]
    assert server.url not in reply["error"]


def test_answer_is_polled_as_long_as_it_takes(execute, monkeypatch):
    """Servers may end a stream whenever they like once it has an id (SEP-1699)."""
    monkeypatch.setattr(streamable, "_MIN_RETRY_SECONDS", 0)

    def begin(connection, message, headers):
        connection.sendall(STREAM + b"\r\nid: 1\nretry: 1\ndata:\n\n")
        connection.close()

    def poll(connection, message, headers):
        events = b""
        if sum(method == "GET" for method, *_ in server.requests) == 8:
            (call,) = server.sent("tools/call")
            events = event({"jsonrpc": "2.0", "id": call["id"], "result": {"content": []}})
        connection.sendall(STREAM + b"\r\n" + events)
        connection.close()

    with scripted(begin, GET=poll) as server:
        assert execute(server)["output"] == {"content": []}
        ids = [headers.get("last-event-id") for method, headers, _ in server.requests]
    assert ids[-8:] == ["1"] * 8


def test_nul_characters_in_a_result_do_not_hinder_keeping_it(execute):
    def send(connection, message, headers):
        text = {"type": "text", "text": "a\u0000b \\u0000"}
        connection.sendall(result(message, {"content": [text], "\u0000": 1}))

    with scripted(send) as server:
        output = execute(server)["output"]
    assert output == {"content": [{"type": "text", "text": "a\ufffdb \\u0000"}], "\ufffd": 1}


def test_reply_to_a_redirect_on_the_same_server_is_followed(execute):
    paths = []

    def send(connection, message, headers):
        paths.append(1)
        if len(paths) == 1:
            location = "/mcp/"
            connection.sendall(answer(b"", status="308 Permanent Redirect", Location=location))
        else:
            connection.sendall(result(message, {"content": []}))

    with scripted(send) as server:
        assert execute(server)["output"] == {"content": []}


@pytest.mark.parametrize("kind", ["resources", "prompts"])
def test_failure_to_read_or_render_is_a_bad_gateway(api, register, kind):
    with scripted(hang) as server:
        id = register(url=server.url)["id"]
        lists = {"resources": [{"uri": "x:1"}], "prompts": [{"name": "p"}]}
        item = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", lists)[kind][0]
        path = f"/api/v1/mcp/{kind}/{item['id']}"
        if kind == "resources":
            reply = api.read(f"{path}/content", expect=502)
        else:
            reply = api.send("POST", f"{path}/render", {}, expect=502)
    assert "(-32601)" in reply["detail"]


@pytest.mark.parametrize("method", ["server/discover", "tools/list"])
def test_failing_refresh_says_why_and_leaves_what_is_stored(api, register, settings, method):
    settings.MCP_TIMEOUT = 0.3
    with scripted(hang, **{method: hang}) as server:
        id = register(url=server.url)["id"]
        path = f"/api/v1/mcp/servers/{id}"
        api.send("POST", f"{path}/refresh", {"tools": [{"name": "kept"}]})
        begun = time.monotonic()
        reply = api.send("POST", f"{path}/refresh", expect=502)
        assert time.monotonic() - begun < SECONDS + 0.5
    assert reply == {"detail": "The MCP server did not answer in time"}
    state = api.read(path)
    assert (state["reachable"], state["last_error"]) == (False, reply["detail"])
    assert [tool["name"] for tool in api.read("/api/v1/mcp/tools")] == ["kept"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://localhost:9/mcp", "Connection refused"),
        (f"http://{'a' * 64}.example/mcp", "too long"),
    ],
    ids=["closed port", "no name"],
)
def test_unreachable_server_is_reported(api, register, url, reason):
    server = register(url=url)
    reply = api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", expect=502)
    assert reply["detail"].startswith("The MCP server was not reached: ")
    assert reason in reply["detail"]
    assert Server.objects.get().reachable is False


no_stream = raw(answer(b"", Content_Type="text/event-stream"))
failing = raw(answer(b"", status="500 Internal Server Error"))
busy = raw(answer(b"", status="429 Too Many Requests"))
closing = raw(b"")
CLOSED = "The MCP server was not reached, or closed the connection"
BLAMED = ", after server/discover; if that has crashed it, restart it and set legacy"


@pytest.mark.parametrize(
    ("probe", "handshake", "detail"),
    [
        (no_stream, failing, f"The MCP server answered with status 500{BLAMED}"),
        (failing, failing, "The MCP server answered with status 500"),
        (no_stream, busy, "The MCP server answered with status 429"),
        (failing, closing, f"{CLOSED}{BLAMED}"),
        (closing, closing, CLOSED),
    ],
    ids=[
        "unanswered, then failing",
        "failing",
        "busy",
        "failing, then gone",
        "gone",
    ],
)
def test_error_says_that_the_probe_may_have_crashed_the_server(
    api, register, probe, handshake, detail
):
    """A stateless server of Python's SDK 1.8 ends for good at a method that it does not know."""
    others = {"server/discover": probe, "initialize": handshake}
    with scripted(failing, **others) as server:
        id = register(url=server.url)["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=502)
    assert reply == {"detail": detail}
    state = Server.objects.get()
    expected = (False, detail) if handshake is closing else (True, "")
    assert (state.reachable, state.last_error) == expected


def test_server_with_legacy_set_is_not_probed(api, register):
    with scripted(failing, initialize=failing) as server:
        id = register(url=server.url, legacy=True)["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=502)
        assert [message["method"] for _, _, message in server.requests] == ["initialize"]
    assert reply == {"detail": "The MCP server answered with status 500"}


def test_odd_items_in_a_list_are_left_out(api, register):
    tools = [
        *(None, 5, {}, {"name": 5, "inputSchema": {}}, {"name": "", "inputSchema": {}}),
        *({"name": "n" * 256, "inputSchema": {}}, {"name": "no schema"}),
        {"name": "odd", "inputSchema": {}, "description": 5, "annotations": [], "title": {}},
    ]
    with scripted(hang, **{"tools/list": {"tools": tools}}) as server:
        id = register(url=server.url)["id"]
        (tool,) = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"]
    assert (tool["name"], tool["description"], tool["annotations"]) == ("odd", None, None)


def test_address_that_no_index_takes_is_left_out_or_refused(api, server, register):
    """1,000 characters may be 3,000 bytes, and PostgreSQL compresses only what repeats itself."""
    uri = "".join(map(chr, range(0x4E00, 0x4E00 + 1000)))
    resources = [{"uri": uri}, {"uri": "x:1"}]
    path = f"/api/v1/mcp/servers/{server['id']}/refresh"
    reply = api.send("POST", path, {"resources": resources}, expect=422)
    assert reply["detail"][0]["loc"] == ["body", "resources", 0, "uri"]
    found = {**DISCOVERED, "capabilities": {"resources": {}}}
    listed = {"server/discover": found, "resources/list": {"resources": resources}}
    with scripted(hang, **listed) as peer:
        id = register(url=peer.url)["id"]
        (resource,) = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["resources"]
    assert resource["uri"] == "x:1"


def test_lists_of_a_former_address_are_not_stored(api, register, monkeypatch):
    store = item_store.store

    def move_and_store(server, *args, **state):
        Server.objects.update(url="http://127.0.0.1:9/elsewhere")
        return store(server, *args, **state)

    monkeypatch.setattr(item_store, "store", move_and_store)
    with scripted(hang) as server:
        path = f"/api/v1/mcp/servers/{register(url=server.url)['id']}/refresh"
        reply = api.send("POST", path, expect=409)
    assert reply["detail"] == "The server's address was changed meanwhile; refresh it again"
    assert not Tool.objects.exists()


@pytest.mark.slow
def test_list_without_end_is_read_to_a_limit(api, register, settings):
    settings.MCP_TIMEOUT = 25
    pages = []

    def listed(connection, message, headers):
        pages.append(message["params"].get("cursor"))
        tools = [{"name": f"t{len(pages)}", "inputSchema": {}}]
        connection.sendall(result(message, {"tools": tools, "nextCursor": str(len(pages))}))

    with scripted(hang, **{"tools/list": listed}) as server:
        id = register(url=server.url)["id"]
        tools = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"]
    assert len(tools) == len(pages) == 200
    assert pages[:3] == [None, "1", "2"]


def test_list_of_too_many_bytes_is_given_up(api, register, settings):
    settings.MCP_TIMEOUT = 25
    pages = []

    def listed(connection, message, headers):
        pages.append(1)
        tools = [{"name": f"t{len(pages)}", "inputSchema": {"description": "x" * 7_000_000}}]
        connection.sendall(result(message, {"tools": tools, "nextCursor": str(len(pages))}))

    with scripted(hang, **{"tools/list": listed}) as server:
        id = register(url=server.url)["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=502)
    assert ("longer than" in reply["detail"], len(pages)) == (True, 3)


def test_list_in_circles_is_read_once(api, register):
    page = {"tools": [{"name": "a", "inputSchema": {}}], "nextCursor": "again"}
    with scripted(hang, **{"tools/list": page}) as server:
        id = register(url=server.url)["id"]
        assert len(api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"]) == 1
        assert len(server.sent("tools/list")) == 2


@pytest.mark.parametrize("pages", [1, 2])
def test_empty_cursor_is_a_cursor_unless_the_server_refuses_it(api, register, pages):
    """A cursor is opaque; but servers that write every member have it on the last page."""

    def listed(connection, message, headers):
        cursor = message["params"].get("cursor")
        if cursor is not None and pages == 1:
            return connection.sendall(error(message, -32602))
        name, more = ("a", {"nextCursor": ""}) if cursor is None else ("b", {})
        tools = [{"name": name, "inputSchema": {"type": "object"}}]
        connection.sendall(result(message, {"tools": tools, **more}))

    with scripted(hang, **{"tools/list": listed}) as server:
        id = register(url=server.url)["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
    assert [tool["name"] for tool in reply["tools"]] == ["a", "b"][:pages]
    assert (reply["server"]["reachable"], reply["server"]["last_error"]) == (True, "")


@pytest.mark.parametrize("state", [{"requestState": "s"}, {}], ids=["state", "no state"])
def test_server_that_asks_again_is_sent_what_it_wants_back(execute, state):
    def again_once(connection, message, headers):
        asked_again = {"resultType": "input_required", **state}
        done = {"resultType": "complete", "content": []}
        is_first = len(server.sent("tools/call")) == 1
        connection.sendall(result(message, asked_again if is_first else done))

    with scripted(again_once) as server:
        assert execute(server)["error"] is None
        first, second = (call["params"] for call in server.sent("tools/call"))
    for params in (first, second):
        params["_meta"].pop("progressToken")  # the id of the request
    assert second == {**first, **state}


def test_server_that_only_asks_again_is_given_up(execute, monkeypatch):
    monkeypatch.setattr("mcp.client.session._RETRY_SECONDS", 0.001)
    with scripted(result_of(resultType="input_required", requestState="s")) as server:
        reply = execute(server)
        states = [call["params"].get("requestState") for call in server.sent("tools/call")]
    assert reply["error_kind"] == "refused"
    assert states == [None, *["s"] * 9]


@pytest.mark.usefixtures("transactional_db")
def test_calls_of_one_server_are_limited_and_wait_for_each_other(api, register, settings):
    settings.MCP_CONCURRENCY, settings.MCP_TIMEOUT = 2, 10
    under_way, most, lock = 0, 0, threading.Lock()

    def note(peer, message, headers):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.1)
        with lock:
            under_way -= 1
        peer.sendall(result(message, {"content": []}))

    with scripted(note) as server:
        row = Server.objects.get(id=register(url=server.url)["id"])
        call = partial(server_calls.call, row, lambda session: session.call_tool("t", {}))
        at_once(*[call] * 8)
    assert most == 2


def test_process_that_waits_for_too_many_servers_says_so(api, tool, ask, monkeypatch):
    monkeypatch.setattr(pool, "_calls", threading.BoundedSemaphore(1))
    pool._calls.acquire()
    response = api.post(
        f"/api/v1/mcp/tools/{tool['id']}/execute", {"input": {"a": 1}}, "application/json"
    )
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    for method, params in (
        ("tools/call", {"name": "calc__add", "arguments": {"a": 1}}),
        ("resources/read", {"uri": "calc+x:1"}),
    ):
        assert ask(method, **params)["error"]["code"] == -32603
    assert not ToolExecution.objects.exists()
    assert Server.objects.get().reachable is None
