"""What is refused here, and what that says of a server."""

import os
import shlex
import signal
import sys
import threading

import psutil
import pytest

from core.secrets import Sealed
from mcp.client.auth_headers import Credentials
from mcp.client.http_transport import HttpTransport
from mcp.client.session_pool import pool
from mcp.models import Server, ToolExecution
from tests.mcp import stdio_process
from tests.mcp.conftest import SERVER
from tests.mcp.peers.scripted import result, scripted
from tests.mcp.test_protocol import TokenServer, oauth
from tests.server import Server as Process
from tests.site.loopback import answer, listening, request_of
from tests.threads import at_once, giving_back

PATH = "/api/v1/mcp/servers"
UNLISTED = "The command is not one of LLMRING_MCP_STDIO_COMMANDS"


def unlisted(api, register, settings) -> tuple[dict, str]:
    return register(transport_type="stdio", url="some-command"), UNLISTED


def forbidden(api, register, settings) -> tuple[dict, str]:
    server = register()
    settings.EGRESS = "public"
    return server, "localhost is an address that this server does not call"


def unreadable(api, register, settings) -> tuple[dict, str]:
    server = register()
    Server.objects.update(auth_config=Sealed("s1.00000000.AAAA"))
    return server, "A stored secret cannot be read; the key it was sealed under is missing"


def switched_off(api, register, settings) -> tuple[dict, str]:
    return register(is_active=False), "The MCP server is switched off (is_active)"


@pytest.mark.parametrize("way", [unlisted, forbidden, unreadable, switched_off])
@pytest.mark.parametrize("reachable", [True, None])
def test_refusal_of_ours_does_not_mark_the_server(api, register, settings, way, reachable):
    server, text = way(api, register, settings)
    Server.objects.update(reachable=reachable)
    entry = {"server_id": server["id"], "name": "t", "input_schema": {}}
    tool = api.send("POST", "/api/v1/mcp/tools", entry)
    reply = api.send("POST", f"/api/v1/mcp/tools/{tool['id']}/execute", {"input": {}})
    assert (reply["error"], reply["error_kind"]) == (text, "refused")
    state = api.read(f"{PATH}/{server['id']}")
    assert (state["reachable"], state["last_error"]) == (reachable, "")


@pytest.mark.parametrize("way", [unlisted, forbidden, unreadable, switched_off])
def test_servers_that_must_not_be_called_are_the_callers_mistake(api, register, settings, way):
    server, text = way(api, register, settings)
    refresh = f"{PATH}/{server['id']}/refresh"
    items = {"resources": [{"uri": "data://x", "name": "x"}], "prompts": [{"name": "x"}]}
    stored = api.send("POST", refresh, items)
    assert api.send("POST", refresh, expect=400) == {"detail": text}
    content = api.read(f"/api/v1/mcp/resources/{stored['resources'][0]['id']}/content")
    assert (content["content"], content["error"]) == (None, text)
    prompt = stored["prompts"][0]["id"]
    rendering = api.send("POST", f"/api/v1/mcp/prompts/{prompt}/render", {})
    assert (rendering["rendered"], rendering["error"]) == (None, text)
    row = Server.objects.get()
    assert (row.reachable, row.last_error) == (None, "")


@pytest.mark.usefixtures("transactional_db")
def test_busy_server_is_not_marked(api, register, settings):
    settings.MCP_CONCURRENCY, settings.MCP_TIMEOUT = 1, 1
    inside, done = threading.Event(), threading.Event()

    def call(connection, message, head):
        inside.set()
        done.wait(10)
        connection.sendall(result(message, {"content": []}))

    with scripted(call) as server:
        id = register(url=server.url, timeout_seconds=20)["id"]
        tool = api.send("POST", f"{PATH}/{id}/refresh")["tools"][0]["id"]
        path = f"/api/v1/mcp/tools/{tool}/execute"
        call = giving_back(lambda: api.send("POST", path, {"input": {}}))
        first = threading.Thread(target=call)
        first.start()
        assert inside.wait(10)
        permits = pool._slots[Server.objects.get().id].permits
        assert permits.acquire(timeout=0) is False
        done.set()
        first.join()
    assert api.read(f"{PATH}/{id}")["reachable"] is True


@pytest.mark.parametrize("status", ["401 No", "403 No"])
def test_credentials_that_the_server_refuses_do_mark_it(api, register, status):
    def refuse(connection, message, head):
        connection.sendall(answer(b"", status=status))

    with scripted(refuse, **{"server/discover": refuse}) as server:
        id = register(url=server.url)["id"]
        reply = api.send("POST", f"{PATH}/{id}/refresh", expect=502)
    state = api.read(f"{PATH}/{id}")
    assert (state["reachable"], state["last_error"]) == (False, reply["detail"])


@pytest.mark.parametrize("url", ["some-command", "some-command --flag", "stdio:some-command"])
def test_refreshing_an_unlisted_command_is_the_callers_mistake(api, register, url):
    server = register(transport_type="stdio", url=url)
    assert api.send("POST", f"{PATH}/{server['id']}/refresh", expect=400) == {"detail": UNLISTED}
    assert api.read(f"{PATH}/{server['id']}")["reachable"] is None


def test_tool_that_is_switched_off_does_not_run_by_its_id(api, register):
    with scripted(None) as server:
        path = f"{PATH}/{register(url=server.url)['id']}/refresh"
        tool = api.send("POST", path, {"tools": [{"name": "t"}]})["tools"][0]["id"]
        api.send("POST", path, {"tools": []})
        execute = f"/api/v1/mcp/tools/{tool}/execute"
        reply = api.send("POST", execute, {"input": {}})
        assert (reply["error_kind"], reply["output"]) == ("refused", None)
        assert reply["error"] == "The tool is switched off (is_active)"
        recorded = api.send("POST", execute, {"input": {}, "output": {"a": 1}})
        assert recorded["output"] == {"a": 1}
    assert server.requests == []


def test_execution_is_only_recorded_where_calling_is_switched_off(api, tool, found, settings):
    settings.MCP_EXECUTE = False
    path = f"/api/v1/mcp/tools/{tool['id']}/execute"
    api.send("POST", path, {"input": {"a": 1}})
    assert ToolExecution.objects.get().origin == "recorded"
    reply = found("tools/call", name="calc__add", arguments={"a": 1})
    assert reply["isError"] is True
    assert "LLMRING_MCP_EXECUTE" in reply["content"][0]["text"]
    row = ToolExecution.objects.order_by("id").last()
    assert (row.origin, row.error_kind) == ("endpoint", "refused")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("member", ["name", "url"])
def test_empty_name_and_address_are_refused_in_changes(api, server, method, member):
    reply = api.send(method, f"{PATH}/{server['id']}", {member: ""}, expect=422)
    assert reply["detail"][0]["loc"] == ["body", member]
    assert Server.objects.get().name == SERVER["name"]


@pytest.mark.parametrize("value", [[1, 2], "text", 5, True, None])
@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28"])
def test_structured_content_that_is_no_object(api, register, found, version, value):
    content = [{"type": "text", "text": "x"}]
    called = {"content": content, "structuredContent": value}

    def call(connection, message, head):
        connection.sendall(result(message, called))

    with scripted(call) as server:
        id = register(url=server.url)["id"]
        api.send("POST", f"{PATH}/{id}/refresh")
        reply = found("tools/call", version, name="calc__t")
    assert reply["content"] == content
    if version == "2026-07-28":
        assert reply.get("structuredContent") == value
    else:
        assert "structuredContent" not in reply
    assert ToolExecution.objects.get().output == called


PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "http://evil.example:8000", "null", "", "localhost"),
        *("http://localhost.evil.example", "http://127.0.0.1.evil.example", "file://"),
        *("http://evil.example#http://localhost", "https://localhost@evil.example"),
    ],
)
def test_pages_of_other_origins_are_refused(api, origin):
    reply = api.send("POST", "/mcp", PING, expect=403, HTTP_ORIGIN=origin)
    assert (reply["id"], reply["error"]["code"]) == (None, -32600)


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost:6274", "http://127.0.0.1:3000", "https://localhost", "http://[::1]:80"),
        *("https://app.example", "https://llm.example", "https://a.sub.example"),
    ],
)
def test_pages_of_listed_origins_and_of_this_machine_may_call(api, settings, origin):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    settings.CORS_ALLOWED_ORIGIN_REGEXES = [r"https://[a-z.]+\.sub\.example\Z"]
    settings.PUBLIC_URL = "https://llm.example"
    assert api.send("POST", "/mcp", PING, HTTP_ORIGIN=origin)["result"] == {}


def test_programs_send_no_origin(api):
    assert api.send("POST", "/mcp", PING)["result"] == {}


@pytest.mark.parametrize("count", [2, 8, 16])
def test_calls_that_are_refused_together_fetch_one_new_token(count):
    together = threading.Barrier(count)
    tokens = TokenServer()

    def serve(connection):
        while request := request_of(connection):
            if b"Bearer t1" in request:
                together.wait(10)
                connection.sendall(answer(b"", status="401 Unauthorized"))
            else:
                connection.sendall(answer(b"{}"))

    with listening(tokens) as token_port, listening(serve) as port:
        credentials = Credentials(Sealed.of(oauth(token_port)))
        http = HttpTransport(f"http://127.0.0.1:{port}/", credentials, pool_size=count)
        credentials.headers()

        def call() -> int:
            with http.send("POST", b"{}", headers={}, timeout=10) as response:
                return response.status_code

        statuses = at_once(*[call] * count)
    assert (statuses, len(tokens.requests)) == ([200] * count, 2)


@pytest.mark.servers
@pytest.mark.parametrize("ignores", ["nothing", "its input", "SIGTERM"])
def test_command_ends_with_a_server_that_is_killed(data_dir, tmp_path, ignores):
    script = tmp_path / "mcp-server.py"
    script.write_text(
        "import json, os, signal, sys, time\n"
        + ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if ignores == "SIGTERM" else "")
        + "def tell(id, result):\n"
        "    print(json.dumps({'jsonrpc': '2.0', 'id': id, 'result': result}), flush=True)\n"
        "found = {'supportedVersions': ['2026-07-28'], 'capabilities': {'tools': {}}}\n"
        "tools = {'tools': [{'name': 't', 'inputSchema': {'type': 'object'}}]}\n"
        "for line in sys.stdin:\n"
        "    message = json.loads(line)\n"
        "    results = {'server/discover': found, 'tools/list': tools}\n"
        "    tell(message['id'], results.get(message['method'], {'pid': os.getpid()}))\n"
        + ("" if ignores == "nothing" else "time.sleep(600)\n")
    )
    url = shlex.join([sys.executable, str(script)])
    with Process(data_dir, LLMRING_MCP_STDIO_COMMANDS=url) as server:
        process = stdio_process.started_by(server, url)
        for worker in [*server.workers(), psutil.Process(server.process.pid)]:
            os.kill(worker.pid, signal.SIGKILL)
        process.wait(20)
