"""Packages of other people in environments of their own, for tests that run them as processes.

    python("openai==3.57.0")        the interpreter of an environment with the package
    node_modules("openai@7.57.0")   a folder with the npm package in its `node_modules`

Environments are built at first use, and need uv or npm and an index.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.environment import DATA_DIR


@cache
def python(*requirements: str) -> str:
    """Return the interpreter of an environment with the Python packages."""
    home = _environment("+".join(requirements), lambda home: _install_python(requirements, home))
    return str(home / "bin" / "python")


@cache
def node_modules(package: str) -> Path:
    """Return a folder with the npm package in its `node_modules`."""
    return _environment(package, lambda home: _install_npm(package, home))


def node_script(script: Path, package: str) -> list[str]:
    """Return the command of a script that can import the npm package."""
    # Node looks for packages beside the script. It is put there whole: other processes run it.
    copy = node_modules(package) / script.name
    draft = copy.with_name(f"{copy.stem}-{os.getpid()}{copy.suffix}")
    shutil.copy(script, draft)
    draft.replace(copy)
    return ["node", str(copy)]


def _environment(name: str, install) -> Path:
    home = DATA_DIR.parent / "peers" / name.replace("/", "-").replace("==", "-")
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=home.parent))
        install(draft)
        with suppress(OSError):  # another process was faster
            draft.rename(home)
    return home


def _install_python(requirements: tuple[str, ...], folder: Path) -> None:
    uv = [sys.executable, "-m", "uv"] if shutil.which("uv") is None else ["uv"]
    _run([*uv, "venv", "--allow-existing", "--python", sys.executable, str(folder)])
    interpreter = str(folder / "bin" / "python")
    _run([*uv, "pip", "install", "--python", interpreter, *requirements])


def _install_npm(package: str, folder: Path) -> None:
    _run(["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", package])


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
