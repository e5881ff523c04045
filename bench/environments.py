"""Environments of the servers that this one is compared with, built with uv and kept."""

import os
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmring-bench"


def ensure_environment(directory: Path, program: str, *packages: str) -> Path:
    """Return the bin folder of an environment with the packages, built if `program` is missing."""
    binaries = directory / "bin"
    if not (binaries / program).exists():
        subprocess.run(["uv", "venv", "--quiet", "--clear", str(directory)], check=True)
        # Compiled: otherwise LiteLLM's workers start so slowly that their supervisor kills them.
        install = ["uv", "pip", "install", "--quiet", "--compile-bytecode"]
        subprocess.run([*install, "--python", str(binaries / "python"), *packages], check=True)
    return binaries
