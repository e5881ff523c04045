"""Other MCP implementations in environments of their own, as separate processes.

The package `mcp` of this project hides the SDK of that name, so none of them can be
imported here. Environments are built at first use, and need uv or npm and an index.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.environment import DATA_DIR

HERE = Path(__file__).parent
SDK = "mcp==2.3.0"
SDK_1 = "mcp==1.30.0"
FASTMCP_2 = "fastmcp==2.14.7"
TYPESCRIPT_1 = "@modelcontextprotocol/sdk@1.32.2"
TYPESCRIPT_2 = "@modelcontextprotocol/client@2.4.0"


@cache
def python(requirement: str = SDK) -> str:
    """Return the interpreter of an environment with the Python package."""
    home = _environment(requirement, _install_python)
    return str(home / "bin" / "python")


@cache
def node_modules(package: str) -> Path:
    """Return a folder with the npm package in its `node_modules`."""
    return _environment(package, _install_npm)


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
    folder = node_modules(package)
    script = folder / "ts_client.mjs"
    shutil.copy(HERE / "ts_client.mjs", script)
    library = package.rpartition("@")[0]
    done = subprocess.run(
        ["node", str(script), library, url, key, mode],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
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


def _environment(name: str, install) -> Path:
    home = DATA_DIR.parent / "peers" / name.replace("/", "-").replace("==", "-")
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=home.parent))
        install(name, draft)
        with suppress(OSError):  # another process was faster
            draft.rename(home)
    return home


def _install_python(requirement: str, folder: Path) -> None:
    uv = [sys.executable, "-m", "uv"] if shutil.which("uv") is None else ["uv"]
    _run([*uv, "venv", "--allow-existing", "--python", sys.executable, str(folder)])
    interpreter = str(folder / "bin" / "python")
    _run([*uv, "pip", "install", "--python", interpreter, requirement, "uvicorn"])


def _install_npm(package: str, folder: Path) -> None:
    _run(["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", package])


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
