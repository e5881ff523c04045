"""Callers that close the connection cancel their call, and it is recorded once.

Source: docs/http-contract/mcp.md, "Calling out"; MCP 2026-07-28, "Cancellation".
"""

import json
import shlex
import socket
import sys
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from mcp.models import Server, ToolExecution
from tests.mcp.conftest import META, MODERN
from tests.mcp.peers.scripted import DISCOVERED, STREAM, TOOL, error, event, result, scripted
from tests.released_client.server import serving

pytestmark = pytest.mark.usefixtures("transactional_db")

HANDSHAKE = "2025-11-25"
AGREED = {"protocolVersion": HANDSHAKE, "capabilities": DISCOVERED["capabilities"]}
OF_BEFORE_2026 = {
    "server/discover": lambda connection, message, _: connection.sendall(error(message, -32601)),
    "initialize": AGREED,
}
CANCELLED = "notifications/cancelled"
GONE = "The caller closed the connection before the MCP server answered"
DONE = {"content": [{"type": "text", "text": "done"}]}


class Working:
    """A tool that works until its connection ends; `finish` is one that gets done."""

    def __init__(self, begin: bytes = b"") -> None:
        self.begin = begin
        self.begun, self.ended, self.may_finish = (threading.Event() for _ in range(3))

    def __call__(self, connection, message, head) -> None:
        token = message["params"]["_meta"].get("progressToken")
        params = {"progressToken": token, "progress": 1}
        notice = event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        connection.sendall(self.begin and self.begin + notice)
        self.begun.set()
        with suppress(ConnectionError):  # where it sent what nobody read
            connection.recv(1)
        self.ended.set()

    def finish(self, connection, message, head) -> None:
        self.begun.set()
        self.may_finish.wait(5)
        connection.sendall(result(message, DONE))


@pytest.fixture
def refreshed(api, register):
    """A function: the items of a server that is registered and refreshed."""

    def refreshed(url: str, **members) -> dict:
        id = register(url=url, **members)["id"]
        return api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")

    return refreshed


def sent(api, address: str, path: str, body: dict | None, **headers: str) -> socket.socket:
    """The connection on which a request was sent."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = {
        "Host": "localhost",
        "X-API-Key": api.key,
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    method = "GET" if body is None else "POST"
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    connection = socket.create_connection((urlsplit(address).hostname, urlsplit(address).port))
    connection.sendall("\r\n".join([*head, "", ""]).encode() + data)
    return connection


def on_mcp(version: str, **params) -> tuple[str, dict, dict]:
    """Path, body and headers of a request to `/mcp`."""
    headers = {"MCP_Protocol_Version": version, "Accept": "application/json, text/event-stream"}
    if version == MODERN:
        headers |= {"Mcp_Method": "tools/call", "Mcp_Name": params["name"]}
        params["_meta"] = {**META, **params.get("_meta", {})}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    return "/mcp", body, headers


def executing(items: dict) -> tuple[str, dict, dict]:
    return f"/api/v1/mcp/tools/{items['tools'][0]['id']}/execute", {"input": {}}, {}


WAYS = {
    "execute": executing,
    "mcp": lambda _: on_mcp(MODERN, name="calc__t"),
    "mcp with progress": lambda _: on_mcp(MODERN, name="calc__t", _meta={"progressToken": 1}),
}


@pytest.mark.parametrize("begin", [b"", STREAM + b"\r\n"], ids=["silent", "streaming"])
@pytest.mark.parametrize("others", [{}, OF_BEFORE_2026], ids=["stateless", "handshake"])
@pytest.mark.parametrize("way", WAYS)
def test_call_ends_with_its_caller(api, refreshed, way, others, begin):
    tool = Working(begin)
    with scripted(tool, **others) as server, serving() as address:
        path, body, headers = WAYS[way](refreshed(server.url))
        with sent(api, address, path, body, **headers):
            assert tool.begun.wait(5)
        assert tool.ended.wait(5)
        if others:
            server.wait_for(lambda: server.sent(CANCELLED))
    (execution,) = ToolExecution.objects.all()
    assert (execution.error_kind, execution.error, execution.output) == ("timeout", GONE, None)
    (call,) = server.sent("tools/call")
    notices = [notice["params"]["requestId"] for notice in server.sent(CANCELLED)]
    assert notices == ([call["id"]] if others else [])
    assert Server.objects.get().reachable is True


@pytest.mark.parametrize(
    "kept",
    [
        lambda items: (*executing(items)[:2], {"Idempotency_Key": "k"}),
        lambda _: on_mcp(HANDSHAKE, name="calc__t"),
    ],
    ids=["with a key to retry", "of before 2026"],
)
def test_call_that_outlives_its_caller_is_recorded(api, refreshed, kept):
    tool = Working()
    with scripted(tool.finish) as server, serving() as address:
        path, body, headers = kept(refreshed(server.url))
        with sent(api, address, path, body, **headers):
            assert tool.begun.wait(5)
        tool.may_finish.set()
    (execution,) = ToolExecution.objects.all()
    assert (execution.error, execution.output) == (None, DONE)
    if headers.get("Idempotency_Key"):
        assert api.send("POST", path, body, HTTP_IDEMPOTENCY_KEY="k")["output"] == DONE
        assert len(server.sent("tools/call")) == 1


@pytest.mark.parametrize(("kind", "method"), [("prompts", "get"), ("resources", "read")])
def test_reading_and_rendering_end_with_their_caller(api, refreshed, kind, method):
    reading = Working()
    capable = {**DISCOVERED, "capabilities": {"prompts": {}, "resources": {}}}
    listed = {"prompts": [{"name": "p"}], "resources": [{"name": "r", "uri": "r:1"}]}
    others = {f"{each}/list": {each: items} for each, items in listed.items()}
    others |= {"server/discover": capable, f"{kind}/{method}": reading}
    with scripted(reading, **others) as server, serving() as address:
        (item,) = refreshed(server.url)[kind]
        path, body = f"/api/v1/mcp/prompts/{item['id']}/render", {}
        if kind == "resources":
            path, body = f"/api/v1/mcp/resources/{item['id']}/content", None
        with sent(api, address, path, body):
            assert reading.begun.wait(5)
        assert reading.ended.wait(5)


SCRIPT = """
import json, socket, sys
test = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def answer(message, result):
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    match message["method"]:
        case "server/discover": answer(message, DISCOVERED)
        case "tools/list": answer(message, {"tools": [TOOL]})
        case _: test.sendall(line.encode())
"""


def test_command_is_told_that_the_caller_has_gone(api, refreshed, settings, tmp_path):
    script = tmp_path / "server.py"
    script.write_text(f"DISCOVERED = {DISCOVERED!r}\nTOOL = {TOOL!r}\n{SCRIPT}")
    with socket.create_server(("127.0.0.1", 0)) as listening, serving() as address:
        command = [sys.executable, str(script), str(listening.getsockname()[1])]
        settings.MCP_STDIO_COMMANDS = [url] = [shlex.join(command)]
        items = refreshed(url, transport_type="stdio")
        script_side, _ = listening.accept()
        path, body, _ = executing(items)
        with script_side, script_side.makefile() as messages:
            with sent(api, address, path, body):
                call = json.loads(messages.readline())
            notice = json.loads(messages.readline())
    assert (notice["method"], notice["params"]["requestId"]) == (CANCELLED, call["id"])
    assert ToolExecution.objects.get().error == GONE
