"""The official SDK in an environment of its own, as separate processes."""

import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from tests.environment import DATA_DIR

HERE = Path(__file__).parent
VERSION = "2.3.0"


@cache
def python() -> str:
    """The interpreter of an environment with the SDK, made at first use. Needs uv and the index."""
    home = DATA_DIR.parent / f"mcp-sdk-{VERSION}"
    if not home.exists():
        uv = shutil.which("uv") or pytest.skip("uv is not installed")
        draft = Path(tempfile.mkdtemp(dir=home.parent))
        for arguments in (
            ["venv", "--allow-existing", "--python", sys.executable, str(draft)],
            ["pip", "install", "--python", str(draft / "bin" / "python"), f"mcp=={VERSION}"],
        ):
            done = subprocess.run([uv, *arguments], capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, done.stderr
        with suppress(OSError):  # another process was faster
            draft.rename(home)
    return str(home / "bin" / "python")


def command(script: str, *arguments: str) -> list[str]:
    return [python(), "-P", str(HERE / script), *arguments]


@contextmanager
def sdk_server(transport: str, era: str = "any", port: int = 0):
    """The address of a running server, which ends with the block."""
    process = subprocess.Popen(
        command("sdk_server.py", transport, era, str(port)), stdout=subprocess.PIPE, text=True
    )
    try:
        found = process.stdout.readline().strip()
        assert found, "the SDK's server did not start"
        yield f"http://127.0.0.1:{found}/{'sse' if transport == 'sse' else 'mcp'}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
