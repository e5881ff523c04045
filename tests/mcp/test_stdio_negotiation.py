"""Commands that do not expect `server/discover` as the first message."""

import shlex
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from mcp.client.session_pool import pool
from mcp.models import Server
from tests.mcp.peers.environment import FASTMCP_2, SDK_1, command

# A server of 2025-11-25; FIRST is what it does with a first message that is not `initialize`.
SCRIPT = """
import itertools, json, os, sys, time
with open(STARTS, "a") as starts:
    starts.write("x")
def answer(id, result):
    print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
agreed = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
          "serverInfo": {"name": "s", "version": "1"}}
is_first = True
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if is_first and method != "initialize":
        FIRST
        continue
    is_first = False
    if method == "initialize":
        answer(message["id"], agreed)
    elif method == "tools/list":
        answer(message["id"], {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call":
        answer(message["id"], {"content": [{"type": "text", "text": "called"}]})
"""
FIRST = {
    "ends": "sys.exit(0)",
    "fails": "raise RuntimeError('not initialized')",
    "is killed": "os.kill(os.getpid(), 9)",
    "ends after a word": "print('expected initialize', flush=True); sys.exit(1)",
    "closes its output": "os.close(1); time.sleep(0.2); os._exit(1)",
    "refuses all messages": (
        "for line in itertools.chain([line], sys.stdin): "
        "print(json.dumps({'jsonrpc': '2.0', 'id': json.loads(line).get('id'), "
        "'error': {'code': -32000, 'message': 'already started'}}), flush=True)"
    ),
}
ANSWERS = {
    "answers an error": (
        "print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], "
        "'error': {'code': -32600, 'message': 'no'}}), flush=True)"
    ),
    "answers without id": (
        "print(json.dumps({'jsonrpc': '2.0', 'id': None, "
        "'error': {'code': -32600, 'message': 'no'}}), flush=True)"
    ),
}


@pytest.fixture
def listed(tmp_path, settings):
    """A function: the command line of the server that treats its first message so."""

    def listed(first: str) -> str:
        script, starts = tmp_path / "server.py", tmp_path / "starts"
        script.write_text(f"STARTS = {str(starts)!r}\n{SCRIPT.replace('FIRST', first)}")
        settings.MCP_STDIO_COMMANDS = [shlex.join([sys.executable, str(script)])]
        listed.starts = lambda: len(starts.read_text())
        return settings.MCP_STDIO_COMMANDS[0]

    return listed


def refresh(api, server: dict) -> dict:
    return api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh")


def call(api, refreshed: dict) -> dict:
    path = f"/api/v1/mcp/tools/{refreshed['tools'][0]['id']}/execute"
    return api.send("POST", path, {"input": {}})


@pytest.mark.parametrize("way", FIRST)
def test_command_that_ends_or_refuses_is_started_again_and_greeted(api, register, listed, way):
    server = register(transport_type="stdio", url=listed(FIRST[way]))
    refreshed = refresh(api, server)
    assert refreshed["server"]["protocol_version"] == "2025-11-25"
    assert call(api, refreshed)["output"]["content"][0]["text"] == "called"
    assert listed.starts() == 2


def test_command_that_refused_is_ended_when_it_is_started_again(api, register, listed):
    server = register(transport_type="stdio", url=listed(FIRST["refuses all messages"]))
    refresh(api, server)
    script = shlex.split(server["url"])[1]

    def runs(process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return script in process.cmdline()
        return False

    running = [each for each in psutil.Process().children() if runs(each)]
    *refused, _ = sorted(running, key=psutil.Process.create_time)
    for process in refused:
        process.wait(5)


@pytest.mark.parametrize("way", FIRST)
def test_its_revision_is_remembered(api, register, listed, way):
    server = register(transport_type="stdio", url=listed(FIRST[way]))
    refreshed = refresh(api, server)
    pool.forget(Server.objects.get().id)
    call(api, refreshed)
    refresh(api, server)
    assert listed.starts() == 4


@pytest.mark.parametrize("way", FIRST)
def test_operator_can_say_that_it_is_old(api, register, listed, way):
    server = register(transport_type="stdio", url=listed(FIRST[way]), legacy=True)
    assert server["legacy"] is True
    assert [tool["name"] for tool in refresh(api, server)["tools"]] == ["t"]
    assert listed.starts() == 1


@pytest.mark.parametrize("way", ANSWERS)
def test_command_that_answers_is_not_started_again(api, register, listed, way, monkeypatch):
    monkeypatch.setattr("mcp.client.negotiation._PROBE_TIMEOUT_SECONDS", 0.5)
    server = register(transport_type="stdio", url=listed(ANSWERS[way]))
    assert [tool["name"] for tool in refresh(api, server)["tools"]] == ["t"]
    assert listed.starts() == 1


@pytest.mark.parametrize(("legacy", "starts"), [(False, 2), (True, 1)])
def test_command_that_always_ends_is_reported(api, register, listed, legacy, starts):
    server = register(transport_type="stdio", url=listed("sys.exit(3)"), legacy=legacy)
    script = Path(shlex.split(server["url"])[1])
    script.write_text(script.read_text().replace('answer(message["id"], agreed)', "sys.exit(3)"))
    reply = api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", expect=502)
    assert "ended" in reply["detail"]
    assert listed.starts() == starts


@pytest.mark.peers
@pytest.mark.parametrize("library", [SDK_1, FASTMCP_2])
def test_servers_of_other_libraries_are_called(api, register, settings, library):
    name = library.partition("=")[0]
    url = shlex.join(command("sessions_server.py", name, "stdio", "0", requirement=library))
    settings.MCP_STDIO_COMMANDS = [url]
    refreshed = refresh(api, register(transport_type="stdio", url=url))
    (add,) = [tool for tool in refreshed["tools"] if tool["name"] == "add"]
    path = f"/api/v1/mcp/tools/{add['id']}/execute"
    reply = api.send("POST", path, {"input": {"a": 1, "b": 2}})
    assert reply["output"]["content"][0]["text"] == "3"
