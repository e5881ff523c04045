"""Each server has its own time limit; progress keeps a call alive, up to a maximum."""

import shlex
import sys
import time

import pytest

from tests.mcp.peers.scripted import DISCOVERED, STREAM, TOOL, event, hang, result, scripted

STEP = 0.1  # seconds between two notices of progress


@pytest.fixture
def execute(api, register):
    """A function: the execution of the server's tool, and the seconds that it took."""

    def execute(url: str, **members) -> tuple[dict, float]:
        id = register(url=url, **members)["id"]
        tools = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"]
        begun = time.monotonic()
        path = f"/api/v1/mcp/tools/{tools[0]['id']}/execute"
        return api.send("POST", path, {"input": {}}), time.monotonic() - begun

    return execute


def progressing(steps: int, token: str = "its own"):
    """Reports progress so many times, then answers."""

    def call(connection, message, head):
        own = message["params"]["_meta"]["progressToken"]
        connection.sendall(STREAM + b"\r\n")
        for step in range(steps):
            time.sleep(STEP)
            params = {"progress": step, "progressToken": own if token == "its own" else token}
            notice = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
            connection.sendall(event(notice))
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
        connection.sendall(event(answer))
        connection.close()

    return call


@pytest.mark.parametrize("seconds", [0.2, 1, 0.45])
def test_servers_own_limit_holds(execute, seconds):
    with scripted(hang) as server:
        reply, took = execute(server.url, timeout_seconds=seconds)
    assert (reply["error_kind"], seconds <= took) == ("timeout", True)
    assert took < seconds + 2


def test_servers_own_limit_may_be_longer_than_the_general_one(execute, settings):
    settings.MCP_TIMEOUT = 0.2

    def slow(connection, message, head):
        time.sleep(0.5)
        connection.sendall(result(message, {"content": []}))

    with scripted(slow) as server:
        assert execute(server.url, timeout_seconds=20)[0]["error"] is None


def test_limit_is_changed_and_taken_back(api, server):
    path = f"/api/v1/mcp/servers/{server['id']}"
    assert api.send("PUT", path, {"timeout_seconds": 1.5})["timeout_seconds"] == 1.5
    assert api.send("PUT", path, {"timeout_seconds": None})["timeout_seconds"] == 1.5
    assert api.send("PUT", path, {"timeout_seconds": 0})["timeout_seconds"] is None


@pytest.mark.parametrize("seconds", [-1, 601, "x", [], 1e400, "NaN"])
def test_limit_of_another_form_is_refused(api, server, seconds):
    path = f"/api/v1/mcp/servers/{server['id']}"
    reply = api.send("PUT", path, {"timeout_seconds": seconds}, expect=422)
    assert reply["detail"][0]["loc"][0] == "body"


def test_progress_keeps_a_call_alive(execute):
    with scripted(progressing(6)) as server:
        reply, took = execute(server.url, timeout_seconds=0.5)
    assert (reply["error"], took > 0.5) == (None, True)


def test_progress_keeps_it_alive_up_to_the_maximum(execute, settings):
    settings.MCP_MAX_TIMEOUT = 0.8
    with scripted(progressing(30)) as server:
        reply, took = execute(server.url, timeout_seconds=0.5)
    assert (reply["error_kind"], 0.8 <= took < 2.5) == ("timeout", True)


def test_maximum_below_the_servers_limit_does_not_shorten_it(execute, settings):
    settings.MCP_MAX_TIMEOUT = 0.2
    with scripted(progressing(3)) as server:
        assert execute(server.url, timeout_seconds=20)[0]["error"] is None


def test_progress_that_stops_does_not_keep_it_alive(execute):
    def stuck(connection, message, head):
        token = message["params"]["_meta"]["progressToken"]
        params = {"progress": 1, "progressToken": token}
        notice = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        connection.sendall(STREAM + b"\r\n" + event(notice))
        time.sleep(10)

    with scripted(stuck) as server:
        reply, took = execute(server.url, timeout_seconds=0.3)
    assert (reply["error_kind"], took < 3) == ("timeout", True)


SCRIPT = """
import json, sys, time
def answer(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    match message["method"]:
        case "server/discover": answer(id=message["id"], result=DISCOVERED)
        case "tools/list": answer(id=message["id"], result={"tools": [TOOL]})
        case "tools/call":
            token = message["params"]["_meta"]["progressToken"]
            for step in range(7):
                time.sleep(0.1)
                params = {"progress": step, "progressToken": FORM(token)}
                answer(method="notifications/progress", params=params)
            answer(id=message["id"], result={"content": []})
"""


@pytest.mark.parametrize(
    ("form", "error_kind"), [("int", None), ("str", None), ("list", "timeout")]
)
def test_progress_of_a_command_keeps_its_call_alive(execute, settings, tmp_path, form, error_kind):
    script = tmp_path / "server.py"
    text = SCRIPT.replace("FORM(token)", "[token]" if form == "list" else f"{form}(token)")
    script.write_text(f"DISCOVERED = {DISCOVERED!r}\nTOOL = {TOOL!r}\n{text}")
    settings.MCP_STDIO_COMMANDS = [url] = [shlex.join([sys.executable, str(script)])]
    reply, _ = execute(url, transport_type="stdio", timeout_seconds=0.5)
    assert reply["error_kind"] == error_kind
