"""HTTP+SSE, the transport of 2024-11-05: answers come over one stream, which the client opens."""

import json
import threading
from contextlib import contextmanager

import pytest

from mcp.client.session_pool import pool
from mcp.server_calls import changed_servers
from tests.mcp.conftest import SCHEMA
from tests.mcp.peers.scripted import STREAM, TOOL, event, scripted
from tests.site.loopback import answer, listening, request_of

pytestmark = pytest.mark.django_db

RESULTS = {
    "initialize": {
        "protocolVersion": "2024-11-05",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "old", "version": "1"},
    },
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "done"}]},
}
DONE = RESULTS["tools/call"]
ENDPOINT = STREAM + b"\r\nevent: endpoint\ndata: /messages\n\n"
ACCEPTED = answer(b"", status="202 Accepted")
REFUSALS = {
    "bad request": answer(b"", status="400 Bad Request"),
    "not found": answer(b"", status="404 Not Found"),
    "method not allowed": answer(b"", status="405 Method Not Allowed"),
    "not acceptable": answer(b"", status="406 Not Acceptable"),
    "unsupported type": answer(b"", status="415 Unsupported Media Type"),
    "stream for any method": ENDPOINT,
}


@pytest.fixture(params=REFUSALS)
def url(request):
    streams = []

    def serve(connection) -> None:
        while asked := request_of(connection):
            head, _, body = asked.partition(b"\r\n\r\n")
            if head.startswith(b"GET"):
                streams.append(connection)
                connection.sendall(ENDPOINT)
            elif head.startswith(b"POST /sse"):
                connection.sendall(REFUSALS[request.param])
            else:
                connection.sendall(ACCEPTED)
                message = json.loads(body)
                if result := RESULTS.get(message["method"]):
                    reply = {"jsonrpc": "2.0", "id": message["id"], "result": result}
                    streams[-1].sendall(event(reply))

    with listening(serve) as port:
        yield f"http://127.0.0.1:{port}/sse"


def test_older_transport_is_found(api, register, settings, url):
    """A server that is registered as `http`."""
    settings.MCP_TIMEOUT = 3
    id = register(url=url)["id"]
    reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
    assert reply["server"]["protocol_version"] == "2024-11-05"
    path = f"/api/v1/mcp/tools/{reply['tools'][0]['id']}/execute"
    done = api.send("POST", path, {"input": {}})
    assert done["output"]["content"][0]["text"] == "done"


def test_address_of_neither_transport_is_reported(api, register):
    def serve(connection) -> None:
        while asked := request_of(connection):
            status = "404 No" if asked.startswith(b"POST") else "410 No"
            connection.sendall(answer(b"", status=status))

    with listening(serve) as port:
        id = register(url=f"http://127.0.0.1:{port}/")["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=502)
    assert reply == {"detail": "The MCP server answered with status 404"}


@contextmanager
def older(call=None, opening: bytes = ENDPOINT, **others):
    """A running server whose `call(stream, message)` answers `tools/call`."""
    streams = []

    def opened(connection, message, headers):
        streams.append(connection)
        connection.sendall(opening)
        if opening != ENDPOINT:
            connection.close()

    def answered(connection, message, headers):
        connection.sendall(ACCEPTED)
        if call and message["method"] == "tools/call":
            call(streams[-1], message)
        else:
            streams[-1].sendall(reply_to(message))

    methods = {**dict.fromkeys(RESULTS, answered), "GET": opened, **others}
    with scripted(methods.pop("tools/call"), **methods) as server:
        server.streams = streams
        yield server


def reply_to(message: dict) -> bytes:
    reply = {"jsonrpc": "2.0", "id": message["id"], "result": RESULTS[message["method"]]}
    return event(reply)


def methods_of(server) -> list[str]:
    return [message.get("method", method) for method, _, message in server.requests]


@pytest.fixture
def execute(api, register, settings):
    """A function: the execution of the tool of a server; of its next one, without a server."""
    settings.MCP_TIMEOUT = 3

    def execute(server=None) -> dict:
        if server:
            execute.id = register(url=server.url, transport_type="sse")["id"]
            entry = {"server_id": execute.id, "name": "t", "input_schema": SCHEMA}
            tool = api.send("POST", "/api/v1/mcp/tools", entry)
            execute.path = f"/api/v1/mcp/tools/{tool['id']}/execute"
        return api.send("POST", execute.path, {"input": {"a": 1}})

    return execute


def test_one_stream_serves_all_calls(execute):
    with older() as server:
        assert execute(server)["output"] == execute()["output"] == DONE
    assert methods_of(server) == [
        *("GET", "initialize", "notifications/initialized"),
        *("tools/call", "tools/call"),
    ]
    assert server.requests[0][1]["accept"] == "text/event-stream"


@pytest.mark.parametrize(
    ("opening", "kind", "reason"),
    [
        (
            answer(b"", status="500 Oops", Content_Type="text/event-stream"),
            "protocol",
            "The MCP server answered with status 500",
        ),
        (
            answer(b"event: endpoint\ndata: /messages\n\n", Content_Type="text/html"),
            "protocol",
            "The MCP server has no stream of events at its address",
        ),
        (
            STREAM + b"\r\ndata: /messages\n\n",
            "protocol",
            "The MCP server's stream does not say where to send messages",
        ),
        (
            STREAM + b"\r\nevent: endpoint\ndata: http://localhost:9/messages\n\n",
            "refused",
            "The MCP server redirects to another server",
        ),
    ],
    ids=["status", "page", "no address", "another server"],
)
def test_address_without_a_proper_stream_is_reported(execute, opening, kind, reason):
    with older(opening=opening) as server:
        reply = execute(server)
    assert (reply["error_kind"], reply["error"]) == (kind, reason)
    assert methods_of(server) == ["GET"]


def test_events_of_other_kinds_are_no_answers(execute):
    def call(stream, message):
        other = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
        stream.sendall(b"event: other\n" + event(other) + b"event: message\nid: 1\n\n")
        stream.sendall(
            event({"jsonrpc": "2.0", "id": 999}) + event({"jsonrpc": "2.0", "method": 5})
        )
        stream.sendall(reply_to(message))

    with older(call) as server:
        assert execute(server)["output"] == DONE


def test_requests_and_notices_on_the_stream_are_handled(execute):
    changed_servers.take()
    changed_servers.arrived.clear()

    def call(stream, message):
        stream.sendall(event({"jsonrpc": "2.0", "id": "q1", "method": "ping"}))
        stream.sendall(event({"jsonrpc": "2.0", "id": "q2", "method": "roots/list"}))
        stream.sendall(event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
        server.wait_for(lambda: len(replies()) == 2)
        stream.sendall(reply_to(message))

    def replies() -> dict:
        found = [message for _, _, message in server.requests]
        return {each["id"]: each for each in found if "id" in each and "method" not in each}

    with older(call) as server:
        assert execute(server)["output"] == DONE
        assert changed_servers.arrived.wait(5)
    assert replies()["q1"]["result"] == {}
    assert replies()["q2"]["error"]["code"] == -32601
    assert {str(each) for each in changed_servers.take()} == {execute.id}


@pytest.mark.parametrize(
    ("status", "calls", "kind"),
    [
        ("400 No", 2, None),
        ("404 No", 2, None),
        ("429 No", 1, "protocol"),
        ("500 No", 1, "protocol"),
    ],
)
def test_call_that_is_turned_away_is_sent_once_more_over_a_new_stream(execute, status, calls, kind):
    def turn_away(connection, message, headers):
        if methods_of(server).count("tools/call") == 1:
            connection.sendall(answer(b"", status=status))
        else:
            connection.sendall(ACCEPTED)
            server.streams[-1].sendall(reply_to(message))

    with older(**{"tools/call": turn_away}) as server:
        reply = execute(server)
    assert reply["error_kind"] == kind
    assert methods_of(server).count("tools/call") == methods_of(server).count("GET") == calls


def test_handshake_that_is_turned_away_is_not_repeated(execute):
    def turn_away(connection, message, headers):
        connection.sendall(answer(b"", status="400 No"))

    with older(initialize=turn_away) as server:
        assert execute(server)["error"] == "The MCP server answered with status 400"
    assert methods_of(server) == ["GET", "initialize"]


def test_stream_that_ends_fails_its_calls_and_is_opened_again(execute):
    def call(stream, message):
        if len(server.streams) == 1:
            stream.shutdown(2)
        else:
            stream.sendall(reply_to(message))

    with older(call) as server:
        lost = execute(server)
        assert (lost["error_kind"], lost["output"]) == ("unreachable", None)
        assert execute()["output"] == DONE
    assert methods_of(server).count("tools/call") == methods_of(server).count("GET") == 2


@pytest.mark.parametrize("method", ["tools/call", "initialize"])
def test_server_is_told_of_timeouts_but_of_that_of_the_handshake(execute, settings, method):
    settings.MCP_TIMEOUT = 0.3

    def accept(connection, message, headers):
        connection.sendall(ACCEPTED)

    with older(**{method: accept}) as server:
        assert execute(server)["error_kind"] == "timeout"
        if method == "tools/call":
            server.wait_for(lambda: server.sent("notifications/cancelled"))
            (notice,) = server.sent("notifications/cancelled")
            assert notice["params"]["requestId"] == server.sent("tools/call")[0]["id"]
    assert bool(server.sent("notifications/cancelled")) == (method == "tools/call")


def test_stream_ends_with_its_registration(api, execute):
    ended = threading.Event()

    def hold(connection, message, headers):
        server.streams.append(connection)
        connection.sendall(ENDPOINT)
        if connection.recv(1) == b"":
            ended.set()

    with older(GET=hold) as server:
        execute(server)
        api.send("DELETE", f"/api/v1/mcp/servers/{execute.id}")
        assert ended.wait(5)
    assert not pool._slots
