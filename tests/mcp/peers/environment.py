"""Other MCP implementations in environments of their own, as separate processes.

The package `mcp` of this project hides the SDK of that name, so none of them can be
imported here.
"""

import json
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import peer_environments
from tests.peer_environments import node_script

HERE = Path(__file__).parent
SDK = "mcp==2.3.0"
SDK_1 = "mcp==1.30.0"
FASTMCP_2 = "fastmcp==2.14.7"
TYPESCRIPT_1 = "@modelcontextprotocol/sdk@1.32.2"
TYPESCRIPT_2 = "@modelcontextprotocol/client@2.4.0"


def python(requirement: str = SDK) -> str:
    """Return the interpreter of an environment with the Python package."""
    return peer_environments.python(requirement, "uvicorn")


def command(script: str, *arguments: str, requirement: str = SDK) -> list[str]:
    return [python(requirement), str(HERE / script), *arguments]


@contextmanager
def sdk_server(transport: str, era: str = "any", port: int = 0):
    """The address of a running server of SDK 2.x, which ends with the block."""
    with _started(command("sdk_server.py", transport, era, str(port))) as found:
        yield f"http://127.0.0.1:{found}/{'sse' if transport == 'sse' else 'mcp'}"


@contextmanager
def sessions_server(requirement: str, *, transport: str = "http", port: int = 0):
    """The address of a running server of SDK 1.x or FastMCP 2, which keep sessions."""
    arguments = (requirement.partition("=")[0], transport, str(port))
    with _started(command("sessions_server.py", *arguments, requirement=requirement)) as found:
        yield f"http://127.0.0.1:{found}/{'sse' if transport == 'sse' else 'mcp'}"


def typescript_lists(package: str, url: str, key: str, mode: str) -> dict:
    """Return what a client of the TypeScript SDK reads from `/mcp`: all lists, a call."""
    library = package.rpartition("@")[0]
    done = subprocess.run(
        [*node_script(HERE / "ts_client.mjs", package), library, url, key, mode],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_client(script: str, *arguments: str, requirement: str) -> dict:
    """Return the JSON that a client script prints."""
    done = subprocess.run(
        command(script, *arguments, requirement=requirement),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _started(arguments: list[str]):
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().strip()
        assert port, "the server did not start"
        _wait_until_served(port)
        yield port
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _wait_until_served(port: str) -> None:
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/nowhere", timeout=20)
