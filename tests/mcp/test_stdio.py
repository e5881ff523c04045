"""MCP servers that are processes: only those that the operator listed."""

import shlex
import sys
import time

import psutil
import pytest

from mcp.client import stdio
from mcp.client.http_transport import MAX_BYTES
from mcp.client.session_pool import pool
from mcp.models import Server
from tests.mcp import stdio_process
from tests.server import Server as Process

pytestmark = pytest.mark.servers

# A server in one line of Python for each way of being one.
PREFACE = """
import json, os, sys, time
def answer(id, result):
    print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
found = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
tools = {"tools": [{"name": "t", "inputSchema": {}}], "resultType": "complete"}
def serve(call):
    for line in sys.stdin:
        message = json.loads(line)
        match message["method"]:
            case "server/discover": answer(message["id"], found)
            case "tools/list": answer(message["id"], tools)
            case "tools/call": call(message)
"""
SCRIPTS = {
    "echoes": (
        "def call(message): answer(message['id'], {'pid': os.getpid(), 'env': dict(os.environ)})\n"
        "serve(call)"
    ),
    "chatters": (
        "print('Starting up!', flush=True)\n"
        "def call(message): print('{half', flush=True); answer(message['id'], {'content': []})\n"
        "serve(call)"
    ),
    "answers nobody": (
        "def call(message):\n"
        "    for id in ([], {}, None, 'x', 99, 1.5): answer(id, {})\n"
        "    answer(message['id'], {'content': []})\n"
        "serve(call)"
    ),
    "dies": "serve(lambda message: os._exit(3))",
    "hangs": "serve(lambda message: time.sleep(60))",
    "hangs at times": (
        "def call(message):\n"
        "    if message['params']['arguments']: time.sleep(60)\n"
        "    answer(message['id'], {'pid': os.getpid()})\n"
        "serve(call)"
    ),
    "stops reading": "serve(lambda message: (answer(message['id'], {}), time.sleep(60)))",
    "ends at once": "sys.exit(7)",
    "exaggerates": (
        "def call(message):\n"
        "    wanted = message['params']['arguments']\n"
        "    own = {'jsonrpc': '2.0', 'id': message['id']}\n"
        "    result = {'result': {'pid': os.getpid(), 'x': 'x' * wanted.get('count', 0)}}\n"
        "    parts = (result, own) if wanted.get('id') == 'last' else (own, result)\n"
        "    print(json.dumps({**parts[0], **parts[1]}), flush=True)\n"
        "serve(call)"
    ),
    "leaves a child": (
        "import subprocess\n"
        "def call(message):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    answer(message['id'], {'pid': os.getpid(), 'child': child.pid})\n"
        "    if message['params']['arguments']: os._exit(0)\n"
        "serve(call)"
    ),
    "closes its output": "serve(lambda message: (os.close(1), time.sleep(60)))",
    "ends in order": (
        "import pathlib, signal\n"
        "def end(*_): pathlib.Path(__file__).with_name('ended').touch(); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "serve(lambda message: answer(message['id'], {'pid': os.getpid()}))\n"
        "time.sleep(60)"
    ),
    "stays": "serve(lambda message: answer(message['id'], {'pid': os.getpid()}))\ntime.sleep(60)",
}


@pytest.fixture(autouse=True)
def no_processes_left():
    yield
    for id in list(pool._slots):
        pool.forget(id)
    _, left = psutil.wait_procs(
        [child for child in psutil.Process().children() if _is_ours(child)], 10
    )
    assert not left


def _is_ours(process: psutil.Process) -> bool:
    try:
        return "mcp-stdio-script" in " ".join(process.cmdline())
    except psutil.Error:  # it is about to go
        return False


def _wait_until_ended(pid: int) -> None:
    while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


@pytest.fixture
def line(tmp_path, settings):
    """A function: the listed command line of the server with this script."""

    def line(name: str) -> str:
        script = tmp_path / "mcp-stdio-script.py"
        script.write_text(f"{PREFACE}\n{SCRIPTS[name]}\n")
        settings.MCP_STDIO_COMMANDS = [shlex.join([sys.executable, str(script)])]
        return settings.MCP_STDIO_COMMANDS[0]

    return line


@pytest.fixture
def execute(api, register):
    def execute(url: str, arguments: dict | None = None) -> dict:
        server = register(transport_type="stdio", url=url)
        entry = {"server_id": server["id"], "name": "t", "input_schema": {}}
        tool = api.send("POST", "/api/v1/mcp/tools", entry)
        execute.path = f"/api/v1/mcp/tools/{tool['id']}/execute"
        return api.send("POST", execute.path, {"input": arguments or {}})

    return execute


def test_listed_command_is_started_once_and_used_again(api, execute, line, monkeypatch):
    monkeypatch.setenv("LLMRING_SECRET_KEY", "not for others")
    first = execute(line("echoes"))["output"]
    second = api.send("POST", execute.path, {"input": {}})["output"]
    assert first["pid"] == second["pid"]
    assert "LLMRING_SECRET_KEY" not in first["env"]
    assert "PATH" in first["env"]


@pytest.mark.parametrize("form", ["stdio:{}", "stdio://{}", "  {}  "])
def test_other_spellings_of_the_command_are_understood(execute, line, form):
    assert "pid" in execute(form.format(line("echoes")))["output"]


@pytest.mark.parametrize("change", ["{} --more", "{} ; id", "env {}", "sh -c '{}'", "{}x"])
def test_command_that_is_not_listed_is_not_started(execute, line, change):
    reply = execute(change.format(line("echoes")))
    assert reply["error_kind"] == "refused"
    assert reply["error"] == "The command is not one of LLMRING_MCP_STDIO_COMMANDS"


def test_listed_command_that_does_not_exist_is_reported(execute, settings):
    settings.MCP_STDIO_COMMANDS = ["/no/such/program"]
    reply = execute("/no/such/program")
    assert reply["error"] == "The MCP server's command cannot be started: No such file or directory"


@pytest.mark.parametrize("way", ["chatters", "answers nobody"])
def test_lines_that_answer_no_request_are_ignored(execute, line, way):
    assert execute(line(way))["output"] == {"content": []}


@pytest.mark.parametrize("id", ["first", "last"])
def test_process_survives_an_answer_that_is_too_long(api, execute, line, id):
    """Its state would be lost for one large result."""
    first = execute(line("exaggerates"))["output"]["pid"]
    entry = {"input": {"count": 3 * MAX_BYTES, "id": id}}
    reply = api.send("POST", execute.path, entry)
    assert (reply["error_kind"], reply["output"]) == ("protocol", None)
    assert "too long" in reply["error"]
    assert api.send("POST", execute.path, {"input": {}})["output"]["pid"] == first


def test_process_that_died_is_reported_and_started_again(api, execute, line):
    for reply in (execute(line("dies")), api.send("POST", execute.path, {"input": {}})):
        assert (reply["error_kind"], reply["output"]) == ("unreachable", None)
        assert reply["error"] == "The MCP server ended with status 3"


def test_process_that_ends_at_once_is_reported(execute, line):
    reply = execute(line("ends at once"))
    assert (reply["error_kind"], reply["output"]) == ("unreachable", None)


def test_process_that_hangs_is_abandoned_in_time(execute, line, settings):
    settings.MCP_TIMEOUT = 1
    begun = time.monotonic()
    reply = execute(line("hangs"))
    assert (reply["error_kind"], time.monotonic() - begun < 2) == ("timeout", True)


def test_process_that_hangs_again_and_again_is_replaced(api, execute, line, settings):
    first = execute(line("hangs at times"))["output"]["pid"]
    settings.MCP_TIMEOUT = 0.2
    for _ in range(3):
        hung = api.send("POST", execute.path, {"input": {"hang": True}})
        assert hung["error_kind"] == "timeout"
    settings.MCP_TIMEOUT = 10
    assert api.send("POST", execute.path, {"input": {}})["output"]["pid"] != first


def test_process_that_does_not_read_holds_nobody_up(api, execute, line, settings):
    settings.MCP_TIMEOUT = 1
    assert execute(line("stops reading"))["error"] is None
    begun = time.monotonic()
    reply = api.send("POST", execute.path, {"input": {"a": "x" * 1_000_000}})
    assert (reply["error_kind"], time.monotonic() - begun < 2) == ("timeout", True)


def test_process_ends_with_its_registration(api, execute, line):
    process = psutil.Process(execute(line("echoes"))["output"]["pid"])
    api.send("DELETE", f"/api/v1/mcp/servers/{Server.objects.get().id}")
    process.wait(10)


def test_process_that_does_not_end_is_killed(api, execute, line):
    process = psutil.Process(execute(line("echoes"))["output"]["pid"])
    process.suspend()
    api.send("DELETE", f"/api/v1/mcp/servers/{Server.objects.get().id}")
    process.wait(10)


def test_process_that_stays_is_told_to_end_before_it_is_killed(
    api, execute, line, tmp_path, monkeypatch
):
    """Source: MCP 2025-11-25, "Lifecycle", "Shutdown"."""
    monkeypatch.setattr(stdio, "_TERMINATE_SECONDS", 0.5)
    process = psutil.Process(execute(line("ends in order"))["output"]["pid"])
    api.send("DELETE", f"/api/v1/mcp/servers/{Server.objects.get().id}")
    process.wait(10)
    assert (tmp_path / "ended").exists()


def test_children_end_with_their_process(api, execute, line):
    output = execute(line("leaves a child"))["output"]
    child = psutil.Process(output["child"])
    api.send("DELETE", f"/api/v1/mcp/servers/{Server.objects.get().id}")
    child.wait(10)


def test_process_that_left_a_child_with_its_pipes_is_replaced(api, execute, line):
    process = execute(line("leaves a child"), {"exit": True})["output"]
    _wait_until_ended(process["pid"])
    lost = api.send("POST", execute.path, {"input": {}})
    assert (lost["error_kind"], lost["error"]) == ("unreachable", "The MCP server has ended")
    again = api.send("POST", execute.path, {"input": {}})["output"]
    assert again["pid"] != process["pid"]
    psutil.Process(process["child"]).wait(10)


def test_process_that_closes_its_output_is_ended(execute, line, monkeypatch):
    monkeypatch.setattr(stdio, "_TERMINATE_SECONDS", 0.1)
    reply = execute(line("closes its output"))
    assert reply["error_kind"] == "unreachable"
    assert reply["error"] == "The MCP server ended with status -15"


def test_process_ends_with_the_server(line, tmp_path):
    command = line("stays")
    with Process(tmp_path / "data", LLMRING_MCP_STDIO_COMMANDS=command) as server:
        process = stdio_process.started_by(server, command)
        assert server.stop() == 0
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
