"""The embedded PostgreSQL: shared, taken over, stopped with its last user."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from core.database.embedded import EmbeddedPostgres

USER = """
import sys
from pathlib import Path
from core.database.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start(max_connections=20)
with server._connect("llmring") as connection:
    connection.execute("SELECT pg_advisory_lock(1)")
    connection.execute("CREATE TABLE IF NOT EXISTS seen (pid int)")
    connection.execute("INSERT INTO seen VALUES (pg_backend_pid())")
    print(connection.execute("SELECT count(*) FROM seen").fetchone()[0], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def user(tmp_path):
    """Starts a process that uses the server and holds on until its input is closed."""
    started = []

    def start(data_dir=tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-c", USER, data_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        leave(process)


def leave(process) -> None:
    if not process.stdin.closed:
        process.stdin.close()
    process.wait(60)
    process.stdout.close()


def rows_seen(process) -> int:
    return int(process.stdout.readline())


def postmaster(data_dir) -> psutil.Process | None:
    return EmbeddedPostgres(data_dir)._postmaster()


def test_last_of_several_processes_stops_the_server(user, tmp_path):
    first, second = user(), user()
    assert {rows_seen(first), rows_seen(second)} <= {1, 2}
    running = postmaster(tmp_path)
    leave(first)
    assert postmaster(tmp_path) == running
    leave(second)
    assert postmaster(tmp_path) is None


def test_server_left_by_a_killed_process_is_taken_over_and_stopped(user, tmp_path):
    killed = user()
    assert rows_seen(killed) == 1
    left = postmaster(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert postmaster(tmp_path) == left
    heir = user()
    assert rows_seen(heir) == 2
    assert postmaster(tmp_path) == left
    leave(heir)
    assert postmaster(tmp_path) is None


def test_killed_server_recovers_at_the_next_start(user, tmp_path):
    killed = user()
    assert rows_seen(killed) == 1
    server = postmaster(tmp_path)
    for process in (killed, server):
        process.send_signal(signal.SIGKILL)
    killed.wait(10)
    psutil.wait_procs([server], 10)
    heir = user()
    assert rows_seen(heir) == 2
    leave(heir)


def test_recorded_process_id_of_another_program_is_not_the_server(user, tmp_path):
    first = user()
    assert rows_seen(first) == 1
    leave(first)
    (tmp_path / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert postmaster(tmp_path) is None
    second = user()
    assert rows_seen(second) == 2


def test_path_too_long_for_a_socket_works(user, tmp_path):
    deep = tmp_path / ("d" * 100) / "with space"
    process = user(deep)
    assert rows_seen(process) == 1
    assert EmbeddedPostgres(deep).socket_dir.parent != deep
    leave(process)
    assert postmaster(deep) is None
