"""Start and stop the servers of a run."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.measure import stat_fields


class NotHealthy(Exception):
    """A server ended, or did not answer in time. The message has the end of its log."""


@contextmanager
def running(
    command: list[str | Path], *, log: Path, env: dict[str, str] | None = None
) -> Iterator[int]:
    """Yield the pid of `command`, started in its own session and ended with all its children.

    It gets no LLMRING_ variables except those in `env`, and reads no .env file of the developer,
    as it runs in the log's directory.
    """
    inherited = {name: value for name, value in os.environ.items() if name[:8] != "LLMRING_"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=log.parent,
            env={**inherited, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    """End the process by SIGTERM, and after ten seconds its whole session by SIGKILL."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """Return a loopback port that is free at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(url: str, *, pid: int, log: Path, seconds: float = 60) -> None:
    """Return once `url` answers 200. Raises NotHealthy with the end of the log."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not has_ended(pid):
        try:
            if requests.get(url, timeout=2).status_code == 200:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise NotHealthy(f"{url} does not answer; its log ends:\n{log.read_text()[-2000:]}")


def printed_port(*, pid: int, log: Path, seconds: float = 60) -> int:
    """Return the port that a server prints first. Raises NotHealthy with the end of the log."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not has_ended(pid):
        if found := re.match(r"(\d+)\n", log.read_text()):
            return int(found[1])
        time.sleep(0.01)
    raise NotHealthy(f"no port was printed; the log ends:\n{log.read_text()[-2000:]}")


def has_ended(pid: int) -> bool:
    """Return whether a child process is gone, or is a zombie waiting to be reaped."""
    try:
        return stat_fields(pid)[0] == "Z"
    except FileNotFoundError:
        return True
