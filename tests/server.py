"""A real server in a process of its own, as an operator starts it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import requests

# A shell ignores these for what it runs in the background, and our servers would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

READY_SECONDS = 60
KEY_FILE = "key_of_first_start"  # of tests alone; in data that `FirstStart` made
COMMAND = (
    *(sys.executable, "-m", "llmring_site.cli"),
    *("--host", "127.0.0.1", "--port", "{port}"),
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def open_to_postgresql(directory: Path) -> Path:
    """Let other accounts pass through one of pytest's folders; returns it."""
    for folder in (directory, *directory.parents):
        folder.chmod(0o711)
        if folder.name.startswith("pytest-of-"):
            break
    return directory


class Server:
    """`llmring-server` on a free port with its data in `data_dir`; a context manager.

    `command` starts it in another way; `{port}` in it is replaced.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        command: Sequence[str] = COMMAND,
        cwd: Path | None = None,
        port: int | None = None,
        **variables: str,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = data_dir
        self.log = data_dir.with_name(f"{data_dir.name}.{self.port}.log")
        self.environment = {
            name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ
        }
        self.environment |= {
            "LLMRING_DATA_DIR": str(data_dir),
            "LLMRING_REGISTRY_BASE_URL": "http://127.0.0.1:9/",  # nobody listens
            **variables,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [part.format(port=self.port) for part in command],
                env=self.environment,
                cwd=cwd,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> "Server":
        try:
            return self.ready()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *error) -> None:
        self.stop()

    def ready(self) -> "Server":
        """Wait until it answers."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.output
            try:
                if requests.get(f"{self.url}/health", timeout=5).ok:
                    return self
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.05)
        raise AssertionError(self.output)

    def until(self, text: str) -> None:
        """Wait until it has printed this."""
        deadline = time.monotonic() + READY_SECONDS
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            time.sleep(0.002)

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def key(self) -> str:
        """The key that the first start printed."""
        recorded = self.data_dir / KEY_FILE
        if recorded.exists():
            return recorded.read_text()
        return re.search(r"llmr_pk_[0-9a-f]{32}", self.output)[0]

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.name() != "postgres"]

    def stop(self, *, seconds: float = 60) -> int:
        """Ask it to stop, as a supervisor would; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)
