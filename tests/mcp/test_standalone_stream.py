"""What servers with sessions send outside of answers (MCP 2025-11-25, "Streamable HTTP")."""

import queue
import threading
import time

import pytest

from mcp.client import standalone_stream, streamable
from mcp.client.session_pool import pool
from mcp.server_calls import changed_servers
from tests.mcp.peers.environment import FASTMCP_2, SDK_1, sessions_server
from tests.mcp.peers.scripted import STREAM, TOOL, error, event, result, scripted
from tests.site.loopback import answer

pytestmark = pytest.mark.django_db

AGREED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": "s", "version": "1"},
}
SAMPLING = {"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {}}
CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
PROGRESS = "notifications/progress"
DONE = {"content": [{"type": "text", "text": "done"}]}


class WithSession:
    """A server that assigns a session; `on_get` answers the GET of its stream."""

    def __init__(self, on_get, call=None, session="s1") -> None:
        self.call = call or (lambda connection, message: result(message, DONE))
        self.others = {
            "server/discover": lambda c, message, h: c.sendall(error(message, -32601)),
            "initialize": lambda c, message, h: c.sendall(
                result(message, AGREED, **({"Mcp_Session_Id": session} if session else {}))
            ),
            "tools/list": {"tools": [TOOL]},
            "GET": on_get,
        }

    def __call__(self, connection, message, headers) -> None:
        connection.sendall(self.call(connection, message))


def running(behavior: WithSession):
    return scripted(behavior, **behavior.others)


def gets(server) -> list[dict]:
    return [headers for method, headers, _ in server.requests if method == "GET"]


@pytest.fixture
def execute(api, register):
    """A function: the execution of the tool of a server, in its first session."""

    def execute(server) -> dict:
        id = register(url=server.url)["id"]
        tools = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"]
        return api.send("POST", f"/api/v1/mcp/tools/{tools[0]['id']}/execute", {"input": {}})

    return execute


def test_request_on_the_stream_is_refused_at_once(execute, settings):
    """SDKs send sampling and roots there, and the tool waits for the reply."""
    settings.MCP_TIMEOUT = 5
    called, refused = threading.Event(), threading.Event()

    def ask(connection, message, headers):
        connection.sendall(STREAM + b"\r\n")
        called.wait(5)
        other = b"event: other\n" + event({**SAMPLING, "id": "other"})
        connection.sendall(other + event(SAMPLING))
        refused.wait(5)

    def replies() -> list[dict]:
        return [message for _, _, message in server.requests if message.get("id") == "q"]

    def call(connection, message):
        called.set()
        server.wait_for(replies)
        refused.set()
        return result(message, DONE)

    with running(WithSession(ask, call)) as server:
        reply = execute(server)
        assert reply["output"] == DONE
        assert replies()[0]["error"]["code"] == -32601
        assert not any(message.get("id") == "other" for *_, message in server.requests)
        (headers,) = gets(server)
    sent = [message.get("method", method) for method, _, message in server.requests]
    assert sent[1:5] == ["initialize", "notifications/initialized", "GET", "tools/list"]
    assert headers["mcp-session-id"] == "s1"
    assert headers["mcp-protocol-version"] == "2025-11-25"
    assert headers["accept"] == "text/event-stream"


def test_changed_lists_are_heard(api, register):
    changed_servers.take()
    changed_servers.arrived.clear()

    def tell(connection, message, headers):
        connection.sendall(STREAM + b"\r\n" + event(CHANGED))
        connection.recv(1)

    with running(WithSession(tell)) as server:
        id = register(url=server.url)["id"]
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        assert changed_servers.arrived.wait(5)
    assert {str(each) for each in changed_servers.take()} == {id}


@pytest.mark.parametrize(
    ("token", "kind"), [(lambda own: own, None), (lambda own: "another", "timeout")]
)
def test_progress_on_the_stream_keeps_its_call_alive(execute, settings, token, kind):
    """Servers whose answers are JSON have no other place for it."""
    settings.MCP_TIMEOUT = 0.6
    tokens, answered = queue.SimpleQueue(), threading.Event()

    def progress(connection, message, headers):
        connection.sendall(STREAM + b"\r\n")
        params = {"progressToken": token(tokens.get(timeout=5)), "progress": 1}
        for _ in range(9):
            connection.sendall(event({"jsonrpc": "2.0", "method": PROGRESS, "params": params}))
            time.sleep(0.1)
        answered.set()

    def call(connection, message):
        tokens.put(message["params"]["_meta"]["progressToken"])
        answered.wait(5)
        return result(message, DONE)

    with running(WithSession(progress, call)) as server:
        assert execute(server)["error_kind"] == kind


@pytest.mark.parametrize(
    "refusal",
    [
        answer(b"id: 1\n\n", status="405 Method Not Allowed", Content_Type="text/event-stream"),
        answer(b"", status="401 Unauthorized"),
        answer(b"id: 1\n\n", Content_Type="text/html"),
        answer(b"data: {}\n\n", Content_Type="text/event-stream"),
        b"",
    ],
    ids=["no stream", "other credentials", "page", "ended", "closed"],
)
def test_server_without_a_stream_is_asked_once(execute, monkeypatch, refusal):
    monkeypatch.setattr(standalone_stream, "_MAX_RETRY_SECONDS", 0)

    def refuse(connection, message, headers):
        connection.sendall(refusal)
        connection.close()

    def call(connection, message):
        server.wait_for(lambda: gets(server))
        return result(message, DONE)

    with running(WithSession(refuse, call)) as server:
        assert execute(server)["output"] == DONE
        for thread in threading.enumerate():
            if thread.name == "mcp-stream":
                thread.join(5)
                assert not thread.is_alive()
    assert len(gets(server)) == 1


def test_server_without_sessions_is_not_asked(execute):
    with running(WithSession(answer(b""), session="")) as server:
        assert execute(server)["output"] == DONE
    assert gets(server) == []


@pytest.mark.parametrize(
    ("id", "limit", "seconds"),
    [("7", "_MIN_SECONDS", 0), ("", "_MIN_SECONDS", 0), ("7", "_MAX_RETRY_SECONDS", 0.01)],
    ids=["lasted", "lasted without ids", "ended at once"],
)
def test_ended_stream_is_resumed(execute, monkeypatch, id, limit, seconds):
    monkeypatch.setattr(standalone_stream, limit, seconds)

    def end(connection, message, headers):
        if len(gets(server)) == 1:
            connection.sendall(STREAM + b"\r\n" + event(CHANGED, id=id))
            connection.close()
        else:
            connection.sendall(STREAM + b"\r\n")
            connection.recv(1)

    def call(connection, message):
        server.wait_for(lambda: len(gets(server)) == 2)
        return result(message, DONE)

    with running(WithSession(end, call)) as server:
        assert execute(server)["output"] == DONE
        first, second = gets(server)
    assert ("last-event-id" in first, second.get("last-event-id", "")) == (False, id)


def test_stream_that_its_server_ends_at_once_is_polled(execute, monkeypatch, settings):
    """Such a stream is an id, `retry`, and the end, until there is a message (SEP-1699)."""
    settings.MCP_TIMEOUT = 1.8  # less than two polls without `retry` take
    monkeypatch.setattr(standalone_stream, "_MIN_RETRY_SECONDS", 0)
    refused = threading.Event()

    def poll(connection, message, headers):
        number = len(gets(server))
        question = event(SAMPLING, id="3") if number == 3 else b""
        prime = f"id: {number}\nretry: 10\ndata:\n\n".encode()
        connection.sendall(STREAM + b"\r\n" + prime + question)
        if number == 3:
            refused.wait(5)
        connection.close()

    def call(connection, message):
        server.wait_for(lambda: any(message.get("id") == "q" for *_, message in server.requests))
        refused.set()
        return result(message, DONE)

    with running(WithSession(poll, call)) as server:
        assert execute(server)["output"] == DONE
        assert [each.get("last-event-id") for each in gets(server)[:3]] == [None, "1", "2"]


def test_answer_is_polled_in_its_session(execute, monkeypatch):
    monkeypatch.setattr(streamable, "_MIN_RETRY_SECONDS", 0)

    def call(connection, message):
        connection.sendall(STREAM + b"\r\nid: c1\nretry: 1\ndata:\n\n")
        connection.close()
        return b""

    def poll(connection, message, headers):
        if headers.get("last-event-id") == "c1":
            (called,) = server.sent("tools/call")
            answered = {"jsonrpc": "2.0", "id": called["id"], "result": DONE}
            connection.sendall(STREAM + b"\r\n" + event(answered))
            connection.close()
        else:
            connection.sendall(answer(b"", status="405 Method Not Allowed"))

    with running(WithSession(poll, call)) as server:
        assert execute(server)["output"] == DONE
        headers = gets(server)[-1]
    assert headers["mcp-session-id"] == "s1"
    assert headers["mcp-protocol-version"] == "2025-11-25"


def test_stream_ends_with_its_session(execute):
    ended = threading.Event()

    def hold(connection, message, headers):
        connection.sendall(STREAM + b"\r\n")
        if connection.recv(1) == b"":
            ended.set()

    with running(WithSession(hold)) as server:
        execute(server)
        server.wait_for(lambda: gets(server))
        (id,) = pool._slots
        pool.forget(id)
        assert ended.wait(5)
        server.wait_for(lambda: any(method == "DELETE" for method, *_ in server.requests))


def test_stream_that_opens_after_its_session_is_closed(execute, monkeypatch):
    monkeypatch.setattr(standalone_stream, "_OPENING_SECONDS", 0)
    forgotten, ended = threading.Event(), threading.Event()

    def open_late(connection, message, headers):
        forgotten.wait(5)
        connection.sendall(STREAM + b"\r\n")
        if connection.recv(1) == b"":
            ended.set()

    with running(WithSession(open_late)) as server:
        execute(server)
        (id,) = pool._slots
        pool.forget(id)
        server.wait_for(lambda: any(method == "DELETE" for method, *_ in server.requests))
        forgotten.set()
        assert ended.wait(5)


@pytest.mark.peers
@pytest.mark.parametrize("library", [SDK_1, FASTMCP_2])
def test_tool_that_asks_for_roots_is_not_left_waiting(api, register, settings, library):
    settings.MCP_TIMEOUT = 5
    with sessions_server(library) as url:
        id = register(url=url)["id"]
        tools = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"]
        (id,) = (tool["id"] for tool in tools if tool["name"] == "roots")
        reply = api.send("POST", f"/api/v1/mcp/tools/{id}/execute", {"input": {}})
    assert reply["error_kind"] == "tool"
    assert "This client cannot do that" in reply["error"]
