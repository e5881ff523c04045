"""The released client in an environment of its own. Needs uv and the package index."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def run_client(script: str, *arguments: object, cwd: Path):
    """What a script beside this file prints as its last line, which is JSON."""
    uv = shutil.which("uv") or pytest.skip("uv is not installed")
    python = ["--python", sys.executable, "--with", "llmring==1.4.0", "python", "-P"]
    command = [uv, "run", "--no-project", *python, str(Path(__file__).with_name(script))]
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LLMRING_") and not name.endswith("_API_KEY")
    }
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
