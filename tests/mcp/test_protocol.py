"""What our client puts on the wire, held against the SDK's own types of each revision."""

import threading

import pytest
from mcp_types import methods

from core import egress
from core.ids import uuid7
from core.secrets import Sealed
from mcp.client import notifications
from mcp.client.mcp_errors import RpcError
from mcp.client.negotiation import Target, open_session
from mcp.models import Server
from tests.mcp.peers.scripted import (
    DISCOVERED,
    MODERN,
    STREAM,
    as_json,
    error,
    event,
    result,
    scripted,
)
from tests.site.loopback import answer, listening, request_of

HANDSHAKE = "2025-11-25"
INITIALIZED = {
    "protocolVersion": HANDSHAKE,
    "capabilities": {"tools": {}, "resources": {}, "prompts": {}},
    "serverInfo": {"name": "s", "version": "1"},
}
DONE = {"content": [], "resultType": "complete"}


@pytest.fixture(autouse=True)
def limited():
    with egress.time_limit(20):
        yield


def answered(value: dict, **headers: str):
    def send(connection, message, head):
        connection.sendall(result(message, value, **headers))

    return send


def refuse(code: int):
    def send(connection, message, head):
        connection.sendall(error(message, code))

    return send


def target(url: str, config: dict | None = None, **options) -> Target:
    sealed = Sealed.of(config) if config else None
    ids = {"id": uuid7(), "project_id": uuid7()}
    return Target(**ids, url=url, transport="http", auth_config=sealed, **options)


def use(server, **options) -> None:
    """Everything that can be asked, in one session."""
    session = open_session(target(server.url, **options))
    for kind in ("tools", "resources", "resources/templates", "prompts"):
        session.listed(kind)
    headers = {"a": "Region", "c": "Code"}
    schema = {"properties": {a: {"type": "string", "x-mcp-header": b} for a, b in headers.items()}}
    session.call_tool("tööl", {"a": "Köln", "b": 1, "c": "=?base64?eA==?="}, schema)
    session.read_resource("notes://today")
    session.get_prompt("p", {"a": "b"})


LISTS = {
    "resources/list": {"resources": [], "resultType": "complete"},
    "resources/templates/list": {"resourceTemplates": [], "resultType": "complete"},
    "prompts/list": {"prompts": [], "resultType": "complete"},
    "resources/read": {"contents": [], "resultType": "complete"},
    "prompts/get": {"messages": [], "resultType": "complete"},
}
ALL = {"tools": {}, "resources": {}, "prompts": {}}


def test_every_request_of_the_stateless_revision_is_a_valid_one():
    discovered = {**DISCOVERED, "capabilities": ALL}
    with scripted(answered(DONE), **LISTS, **{"server/discover": discovered}) as server:
        use(server)
    assert {message["method"] for _, _, message in server.requests} == {
        *LISTS,
        *("server/discover", "tools/list", "tools/call"),
    }
    for _, headers, message in server.requests:
        methods.validate_client_request(message["method"], MODERN, message["params"])
        assert headers["mcp-protocol-version"] == MODERN
        assert headers["mcp-method"] == message["method"].lower()
        assert "mcp-session-id" not in headers
        assert headers["accept"] == "application/json, text/event-stream"
    (call,) = [each for each in server.requests if each[2]["method"] == "tools/call"]
    # base64 of "tööl", "Köln" and what looks like base64; header values are lowered by the recorder
    assert call[1]["mcp-name"] == "=?base64?dMO2w7Zs?=".lower()
    assert call[1]["mcp-param-region"] == "=?base64?S8O2bG4=?=".lower()
    assert call[1]["mcp-param-code"] == "=?base64?PT9iYXNlNjQ/ZUE9PT89?=".lower()


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", HANDSHAKE])
def test_every_request_of_the_revisions_with_handshake_is_a_valid_one(version):
    initialized = answered({**INITIALIZED, "protocolVersion": version}, Mcp_Session_Id="s1")
    others = {**LISTS, "server/discover": refuse(-32601), "initialize": initialized}
    with scripted(answered(DONE), **others) as server:
        use(server)
    probe, *requests = server.requests
    assert probe[2]["method"] == "server/discover"
    assert [message["method"] for _, _, message in requests[:2]] == [
        "initialize",
        "notifications/initialized",
    ]
    for _, headers, message in requests:
        if "id" in message:
            methods.validate_client_request(message["method"], version, message["params"])
            assert message["params"].get("_meta", {}).keys() <= {"progressToken"}
        if message.get("method") == "initialize":
            assert "mcp-protocol-version" not in headers
        else:
            assert headers["mcp-protocol-version"] == version
            assert headers["mcp-session-id"] == "s1"
        assert {"mcp-method", "mcp-name", "mcp-param-region"}.isdisjoint(headers)


def test_known_revision_saves_the_probe():
    others = {**LISTS, "initialize": INITIALIZED}
    with scripted(answered(DONE), **others) as server:
        use(server, known_version=HANDSHAKE)
    assert server.requests[0][2]["method"] == "initialize"


@pytest.mark.parametrize("code", [-32022, -32020, -32601])
def test_server_that_dropped_the_handshake_is_detected(code):
    with scripted(answered(DONE), initialize=refuse(code)) as server:
        session = open_session(target(server.url, known_version=HANDSHAKE))
    assert session.version == MODERN


def test_server_of_an_unknown_revision_only_is_reported(api, register):
    initialized = {**INITIALIZED, "protocolVersion": "1999-01-01"}
    others = {"server/discover": refuse(-32601), "initialize": initialized}
    with scripted(answered(DONE), **others) as server:
        id = register(url=server.url)["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=502)
    assert "no revision" in reply["detail"]


def only(*versions: str):
    def send(connection, message, head):
        inner = {"code": -32022, "message": "no", "data": {"supported": versions}}
        connection.sendall(as_json({"jsonrpc": "2.0", "id": message["id"], "error": inner}))

    return send


@pytest.mark.parametrize(
    "discovery",
    [{**DISCOVERED, "supportedVersions": [HANDSHAKE]}, only(HANDSHAKE)],
    ids=["discovered", "refused"],
)
def test_server_that_lists_a_revision_with_handshake_is_greeted(discovery):
    others = {"server/discover": discovery, "initialize": INITIALIZED}
    with scripted(answered(DONE), **others) as server:
        session = open_session(target(server.url))
    assert session.version == HANDSHAKE


@pytest.mark.parametrize(
    "discovery",
    [{**DISCOVERED, "supportedVersions": ["2099-01-01"]}, only("2099-01-01")],
    ids=["discovered", "refused"],
)
def test_server_of_later_revisions_only_is_reported(api, register, discovery):
    with scripted(answered(DONE), **{"server/discover": discovery}) as server:
        id = register(url=server.url)["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=502)
    assert "no revision" in reply["detail"]


@pytest.mark.parametrize("times", [1, 2])
def test_revision_that_is_refused_and_listed_is_asked_for_once_more(times):
    """The conformance suite of MCP wants it ("request-metadata")."""
    inner = {"code": -32022, "message": "no", "data": {"supported": [MODERN]}}

    def refuse_first(connection, message, head):
        if len(server.sent("server/discover")) > times:
            return connection.sendall(result(message, DISCOVERED))
        connection.sendall(as_json({"jsonrpc": "2.0", "id": message["id"], "error": inner}))

    others = {"server/discover": refuse_first, "initialize": INITIALIZED}
    with scripted(answered(DONE), **others) as server:
        session = open_session(target(server.url))
    assert len(server.sent("server/discover")) == 2
    assert session.version == (MODERN if times == 1 else HANDSHAKE)


@pytest.mark.parametrize("code", [-32602, -32022])
def test_handshake_that_is_refused_is_done_in_an_older_revision_that_is_listed(code):
    """Source: MCP 2025-11-25, "Lifecycle", "Error Handling"."""
    older = "2025-03-26"
    data = {"supported": ["2024-11-05", older], "requested": HANDSHAKE}
    inner = {"code": code, "message": "Unsupported protocol version", "data": data}

    def initialize(connection, message, head):
        if message["params"]["protocolVersion"] == older:
            return connection.sendall(result(message, {**INITIALIZED, "protocolVersion": older}))
        connection.sendall(as_json({"jsonrpc": "2.0", "id": message["id"], "error": inner}))

    others = {"server/discover": refuse(-32601), "initialize": initialize}
    with scripted(answered(DONE), **others) as server:
        session = open_session(target(server.url))
        greetings = [each["params"]["protocolVersion"] for each in server.sent("initialize")]
    assert (session.version, greetings) == (older, [HANDSHAKE, older])


@pytest.mark.parametrize("supported", [[HANDSHAKE], ["1999-01-01"], [], None, 5, [{}]])
def test_refused_handshake_without_an_older_revision_is_not_repeated(supported):
    inner = {"code": -32602, "message": "no", "data": {"supported": supported}}

    def initialize(connection, message, head):
        connection.sendall(as_json({"jsonrpc": "2.0", "id": message["id"], "error": inner}))

    others = {"server/discover": refuse(-32601), "initialize": initialize}
    with scripted(answered(DONE), **others) as server:
        with pytest.raises(RpcError, match="-32602"):
            open_session(target(server.url))
        assert len(server.sent("initialize")) == 1


@pytest.mark.parametrize(
    "supported",
    [5, "2026-07-28", None, [[]], [{}, 5]],
    ids=["number", "text", "null", "list", "odd"],
)
def test_odd_list_of_revisions_is_no_list(api, register, supported):
    def unsupported(connection, message, head):
        inner = {"code": -32022, "message": "no", "data": {"supported": supported}}
        connection.sendall(as_json({"jsonrpc": "2.0", "id": message["id"], "error": inner}))

    for found in ({**DISCOVERED, "supportedVersions": supported}, unsupported):
        with scripted(answered(DONE), **{"server/discover": found}) as server:
            id = register(url=server.url)["id"]
            api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=502)


@pytest.mark.parametrize("capabilities", [5, "tools", ["tools"], None])
def test_odd_capabilities_are_none(api, register, capabilities):
    discovery = {**DISCOVERED, "capabilities": capabilities}
    with scripted(answered(DONE), **{"server/discover": discovery}) as server:
        id = register(url=server.url)["id"]
        assert api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"] == []


@pytest.mark.parametrize("version", ["2025-03-26", HANDSHAKE])
def test_requests_of_the_server_are_answered(version):
    """A ping with an empty result, anything else with an error (2025-11-25, "Ping").

    In 2025-03-26 a server may send them, and its answers, in batches.
    """

    def events(messages: list[dict]) -> bytes:
        return event(messages) if version == "2025-03-26" else b"".join(map(event, messages))

    def ask_first(connection, message, headers):
        questions = [
            {"jsonrpc": "2.0", "id": "q1", "method": "ping"},
            {"jsonrpc": "2.0", "id": "q2", "method": "sampling/createMessage", "params": {}},
        ]
        connection.sendall(STREAM + b"\r\n" + events(questions))
        server.wait_for(lambda: len(replies()) == 2)
        other = {"jsonrpc": "2.0", "id": 999, "result": {}}
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": DONE}
        no_message = b"event: other\n" + event({**answer, "result": {}})
        connection.sendall(no_message + events([other, answer]))
        connection.close()

    def replies() -> dict:
        found = [message for _, _, message in server.requests if "method" not in message]
        return {message["id"]: message for message in found}

    agreed = {**INITIALIZED, "protocolVersion": version}
    others = {"server/discover": refuse(-32601), "initialize": agreed}
    with scripted(ask_first, **others) as server:
        session = open_session(target(server.url))
        assert session.call_tool("t", {}) == DONE
    assert replies()["q1"]["result"] == {}
    assert replies()["q2"]["error"]["code"] == -32601


def test_flood_of_requests_makes_no_flood_of_threads():
    done = threading.Event()

    def flood(connection, message, headers):
        ping = event({"jsonrpc": "2.0", "id": "q", "method": "ping"})
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
        connection.sendall(STREAM + b"\r\n" + ping * 200 + event(answer))
        connection.close()

    def hold(connection, message, headers):
        done.wait(5)
        connection.close()

    others = {"server/discover": refuse(-32601), "initialize": INITIALIZED, "POST": hold}
    with scripted(flood, **others) as server:
        session = open_session(target(server.url))
        session.call_tool("t", {})
        count = sum(thread.name == "mcp-notify" for thread in threading.enumerate())
        done.set()
        # They end, or the next test could not send a thing.
        for thread in threading.enumerate():
            if thread.name == "mcp-notify":
                thread.join(5)
    assert 0 < count <= notifications.MAX_IN_FLIGHT


@pytest.mark.parametrize(
    ("config", "header", "value"),
    [
        ({"type": "bearer", "token": "t0ken"}, "authorization", "bearer t0ken"),
        ({"type": "basic", "username": "me", "password": "pw"}, "authorization", "basic bwu6chc="),
        ({"type": "api_key", "key": "k3y"}, "x-api-key", "k3y"),
        ({"type": "api_key", "header": "X-Own", "value": "k3y"}, "x-own", "k3y"),
        ({"type": "headers", "headers": {"X-A": "k3y", "X-B": "b"}}, "x-a", "k3y"),
        ({"type": "headers", "headers": {"X-A": "a", "X-B": "k3y"}}, "x-b", "k3y"),
        ({"headers": {"Authorization": "Token k3y"}}, "authorization", "token k3y"),
    ],
)
def test_credentials_go_with_every_call(config, header, value):
    with scripted(answered(DONE)) as server:
        session = open_session(target(server.url, config))
        session.call_tool("t", {})
    assert {headers[header] for _, headers, _ in server.requests} == {value}


def test_server_without_credentials_gets_none():
    with scripted(answered(DONE)) as server:
        session = open_session(target(server.url, {"type": "none"}))
        assert session.call_tool("t", {}) == DONE
    assert all("authorization" not in headers for _, headers, _ in server.requests)


def test_credentials_sealed_under_a_lost_key_make_no_call(api, register):
    with scripted(answered(DONE)) as server:
        id = register(url=server.url)["id"]
        Server.objects.update(auth_config=Sealed("s1.00000000.AAAA"))
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=400)
        assert "key it was sealed under" in reply["detail"]
    assert server.requests == []


class TokenServer:
    """Gives out tokens `t1`, `t2`, …, each good for so many seconds."""

    def __init__(self, seconds: int = 3600, status: str = "200 OK") -> None:
        self.seconds, self.status, self.requests = seconds, status, []

    def __call__(self, connection) -> None:
        while request := request_of(connection):
            self.requests.append(request.decode())
            body = f'{{"access_token":"t{len(self.requests)}","expires_in":{self.seconds}}}'
            connection.sendall(answer(body.encode(), status=self.status))


def oauth(port: int, **members) -> dict:
    return {
        "type": "oauth2",
        "token_url": f"http://127.0.0.1:{port}/token",
        "client_id": "us",
        "client_secret": "s:cret",
        **members,
    }


@pytest.mark.parametrize(
    ("config", "form"),
    [
        ({"scope": "read write"}, "&scope=read+write"),
        (
            {"scopes": ["read", "write"], "audience": "a", "resource": "https://a.b/"},
            "&scope=read+write&audience=a&resource=https%3A%2F%2Fa.b%2F",
        ),
    ],
    ids=["text", "list"],
)
def test_oauth_token_is_fetched_once(config, form):
    tokens = TokenServer()
    with (
        listening(tokens) as port,
        scripted(answered(DONE)) as server,
    ):
        session = open_session(target(server.url, oauth(port, **config)))
        session.call_tool("t", {})
        session.call_tool("t", {})
    (request,) = tokens.requests
    assert "Authorization: Basic dXM6cyUzQWNyZXQ=" in request  # us:s%3Acret
    assert request.endswith(f"grant_type=client_credentials{form}")
    assert {headers["authorization"] for _, headers, _ in server.requests} == {"bearer t1"}


def test_oauth_secret_can_go_in_the_form():
    tokens = TokenServer()
    config = {"token_endpoint_auth_method": "client_secret_post", "resource": "https://a.b/"}
    with listening(tokens) as port, scripted(answered(DONE)) as server:
        open_session(target(server.url, oauth(port, **config)))
    assert "client_id=us&client_secret=s%3Acret" in tokens.requests[0]
    assert "Authorization" not in tokens.requests[0]


def test_oauth_token_is_renewed_before_it_ends_and_when_it_is_refused():
    def strict(connection, message, headers):
        if headers["authorization"] == "bearer t2":
            connection.sendall(answer(b"", status="401 Unauthorized"))
        else:
            connection.sendall(result(message, DONE))

    renewed = ["bearer t1", "bearer t2", "bearer t3"]
    for seconds, used in ((0, renewed), (-1, renewed), (3600, ["bearer t1"] * 2)):
        tokens = TokenServer(seconds)
        with (
            listening(tokens) as port,
            scripted(strict) as server,
        ):
            session = open_session(target(server.url, oauth(port)))
            session.call_tool("t", {})
        assert [headers["authorization"] for _, headers, _ in server.requests] == used


@pytest.mark.parametrize("status", ["401 No", "500 Oops", "302 Found"])
def test_token_server_that_gives_none_is_reported(api, register, status):
    with listening(TokenServer(status=status)) as port, scripted(answered(DONE)) as server:
        id = register(url=server.url, auth_config=oauth(port))["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=502)
    assert reply == {"detail": f"The token server answered with status {status[:3]}"}
    assert server.requests == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"[]", b"{}", b'{"access_token":5}', b'{"access_token":"\\n"}'),
        '{"access_token":"é"}'.encode(),
    ],
)
def test_token_server_without_a_token_is_reported(api, register, body):
    def serve(connection):
        request_of(connection)
        connection.sendall(answer(body))

    with listening(serve) as port, scripted(answered(DONE)) as server:
        id = register(url=server.url, auth_config=oauth(port))["id"]
        reply = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", expect=502)
    assert reply == {"detail": "The token server's answer has no token"}
    assert server.requests == []
