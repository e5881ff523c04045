"""The embedded PostgreSQL: shared, taken over, stopped with its last user."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from core.database import embedded, embedded_files, server_account
from core.database.embedded import EmbeddedDatabaseError, EmbeddedPostgres
from core.database.server_account import SYSTEM_DIR

pytestmark = pytest.mark.servers

USER = """
import sys
from pathlib import Path
from core.database.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start(max_connections=20)
with server.connect("llmring") as connection:
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

    def start(data_dir=tmp_path, prefix=()):
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", USER, data_dir],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
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


def starts(data_dir) -> int:
    return (data_dir / "postgres.log").read_text().count("starting PostgreSQL")


def postmaster(data_dir) -> psutil.Process | None:
    return EmbeddedPostgres(data_dir).postmaster()


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


CONTAINER = ["unshare", "--pid", "--ipc", "--mount-proc", "--fork", "--kill-child"]


def test_server_of_another_container_is_joined_not_doubled(user, tmp_path):
    """Two of PostgreSQL on the same files would destroy them."""
    if subprocess.run([*CONTAINER, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make namespaces")
    first = user(prefix=CONTAINER)
    assert rows_seen(first) == 1
    for prefix in (CONTAINER, []):
        command = user(prefix=prefix)
        assert rows_seen(command) > 1
        leave(command)
    assert starts(tmp_path) == 1
    leave(first)


def test_server_whose_process_id_means_nothing_here_is_joined(user, tmp_path):
    first = user()
    assert rows_seen(first) == 1
    record = tmp_path / "postgres" / "postmaster.pid"
    written = record.read_text()
    record.write_text(written.replace(str(postmaster(tmp_path).pid), str(os.getpid()), 1))
    second = user()
    assert rows_seen(second) == 2
    assert starts(tmp_path) == 1
    record.write_text(written)
    leave(second)


def test_failed_start_names_the_reason(user, tmp_path):
    leave(user())
    version = tmp_path / "postgres" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(EmbeddedDatabaseError, match="FATAL: +database files are incompatible"):
        EmbeddedPostgres(tmp_path).start(max_connections=20)
    assert postmaster(tmp_path) is None


def test_database_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    """As on a full disk; the next start makes it."""

    def fail(self):
        raise psycopg.errors.DiskFull("could not extend file: No space left on device")

    server = EmbeddedPostgres(tmp_path)
    monkeypatch.setattr(EmbeddedPostgres, "_create_database", fail)
    with pytest.raises(EmbeddedDatabaseError, match="cannot be used: .*No space left"):
        server.start(max_connections=20)
    assert postmaster(tmp_path) is None
    monkeypatch.undo()
    server.start(max_connections=20)
    server.connect("llmring").close()
    server.leave()


def test_log_repeats_nothing_of_what_clients_send(tmp_path):
    server = EmbeddedPostgres(tmp_path)
    server.start(max_connections=20)
    with server.connect("llmring") as connection, pytest.raises(psycopg.Error):
        connection.execute("SELECT 'a private text' FROM nowhere")
    server.leave()
    log = (tmp_path / "postgres.log").read_text()
    assert 'relation "nowhere" does not exist' in log and "private" not in log


def test_log_does_not_grow_forever(tmp_path, monkeypatch):
    """PostgreSQL writes on where the log begins anew, while it runs and at the next start."""
    log, earlier = tmp_path / "postgres.log", tmp_path / "postgres.log.1"
    server = EmbeddedPostgres(tmp_path)
    monkeypatch.setattr(embedded, "_running", server)
    server.start(max_connections=20)
    with log.open("a") as file:
        file.write("x" * 10 * 2**20)
    embedded.rotate_log()
    assert earlier.stat().st_size > 10 * 2**20 and log.stat().st_size == 0
    with server.connect("llmring") as connection, pytest.raises(psycopg.Error):
        connection.execute("SELECT 1 FROM nowhere")
    assert log.read_text().startswith(time.strftime("%Y-")) and "nowhere" in log.read_text()
    embedded.rotate_log()
    assert "nowhere" in log.read_text()
    server.leave()
    with log.open("a") as file:
        file.write("y" * 10 * 2**20)
    server.start(max_connections=20)
    server.leave()
    assert earlier.read_text().endswith("y") and "yy" not in log.read_text()


def test_path_too_long_for_a_socket_works_whatever_tmpdir_says(user, tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 100) / "with space"
    (tmp_path / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    first = user(deep)
    assert rows_seen(first) == 1
    socket_dir = EmbeddedPostgres(deep).socket_dir
    assert socket_dir.parent == Path("/tmp")
    monkeypatch.delenv("TMPDIR")
    second = user(deep)
    assert rows_seen(second) == 2
    for process in (first, second):
        leave(process)
    assert postmaster(deep) is None and not socket_dir.exists()


def test_socket_of_a_running_server_is_found_wherever_it_is(user, tmp_path, monkeypatch):
    """A server of another version may have put it elsewhere and be left behind by a kill."""
    process = user()
    assert rows_seen(process) == 1
    used = EmbeddedPostgres(tmp_path).default_socket_dir
    monkeypatch.setattr(EmbeddedPostgres, "default_socket_dir", Path("/nowhere"))
    assert EmbeddedPostgres(tmp_path).socket_dir == used


def test_shell_in_the_data_directory_delays_no_start(user, tmp_path):
    first = user()
    assert rows_seen(first) == 1
    leave(first)
    shells = [
        subprocess.Popen(["sleep", "60"], cwd=tmp_path / "postgres"),
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd=tmp_path),
    ]
    try:
        started = time.monotonic()
        assert rows_seen(user()) == 2
        assert time.monotonic() - started < 30  # a minute, once
    finally:
        for shell in shells:
            shell.kill()
            shell.communicate()


def test_start_killed_in_initdb_is_made_up_for(user, tmp_path):
    """What a killed initdb leaves is removed; only finished files get their name."""
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    assert rows_seen(user()) == 1
    assert not (tmp_path / "postgres.new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root keeps its directories closed to PostgreSQL")
@pytest.mark.parametrize("modes", [(0o700, 0o700), (0o755, 0o700), (0o700, 0o755)])
def test_root_keeps_the_rights_of_its_directories(user, tmp_path, modes):
    parents = [tmp_path / "a", tmp_path / "a" / "b"]
    for parent, mode in zip(parents, modes, strict=True):
        parent.mkdir(mode=mode)
    data_dir = parents[-1] / "data"
    process = user(data_dir)
    assert rows_seen(process) == 1
    assert tuple(stat.S_IMODE(parent.stat().st_mode) for parent in parents) == modes
    files = (data_dir / "postgres").resolve()
    assert files.parent == SYSTEM_DIR
    leave(process)
    again = user(data_dir)
    assert rows_seen(again) == 2
    leave(again)
    shutil.rmtree(files)


@pytest.mark.skipif(os.geteuid() != 0, reason="root keeps its directories closed to PostgreSQL")
def test_root_is_told_what_to_do_when_the_way_is_closed_later(tmp_path):
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    server = EmbeddedPostgres(home / "data")
    server.start(max_connections=20)
    server.leave()
    home.chmod(0o700)
    with pytest.raises(EmbeddedDatabaseError, match=f"run `chmod o\\+x {home}`"):
        server.start(max_connections=20)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["below a file", "a file", "read-only"])
def test_unusable_data_directory_is_named(tmp_path, kind):
    (tmp_path / "file").touch()
    place = {
        "below a file": tmp_path / "file" / "data",
        "a file": tmp_path / "file",
        "read-only": Path("/proc/llmring"),  # nobody can write there, root included
    }[kind]
    with pytest.raises(EmbeddedDatabaseError, match="LLMRING_DATA_DIR must be a directory"):
        EmbeddedPostgres(place).start(max_connections=20)


def test_directory_is_not_blamed_for_what_has_no_file(tmp_path, monkeypatch):
    """As where no process can be made any more."""

    def fail(directory: Path) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("core.database.embedded.create_files", fail)
    with pytest.raises(EmbeddedDatabaseError) as refused:
        EmbeddedPostgres(tmp_path).start(max_connections=20)
    expected = "the embedded PostgreSQL cannot be used: Resource temporarily unavailable"
    assert str(refused.value) == expected


def test_root_without_useradd_is_told_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(server_account, "ACCOUNT", f"nobody-{os.getpid()}")
    monkeypatch.setattr(server_account, "_SBIN", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(server_account.AccountError, match="run `useradd --system nobody-"):
        server_account.server_account()


def test_useradd_is_found_outside_of_the_path(monkeypatch, tmp_path):
    """cron and `su` leave /usr/sbin out."""
    (tmp_path / "useradd").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "useradd").chmod(0o755)
    monkeypatch.setattr(server_account, "_SBIN", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    server_account._create_account()


@pytest.mark.skipif(os.geteuid() != 0, reason="root keeps its directories closed to PostgreSQL")
def test_programs_in_a_closed_home_are_copied_with_their_libraries(tmp_path, monkeypatch):
    """As by `uv tool install` into root's home."""
    wheel = embedded_files.PROGRAMS.parent
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for directory in (embedded_files.PROGRAMS, Path(f"{wheel}.libs")):
        shutil.copytree(directory, home / directory.relative_to(wheel.parent), symlinks=True)
    monkeypatch.setattr(server_account, "SYSTEM_DIR", tmp_path / "system")
    programs = server_account.reachable_copy(home / wheel.name / "pginstall18")
    assert programs.is_relative_to(tmp_path / "system")
    account = server_account.run_as(server_account.server_account())
    done = subprocess.run([programs / "bin/initdb", "--version"], capture_output=True, **account)
    assert done.returncode == 0 and b"18" in done.stdout
    assert server_account.reachable_copy(home / wheel.name / "pginstall18") == programs


def test_thread_that_reconnects_while_its_process_leaves_starts_nothing(
    tmp_path, settings, monkeypatch
):
    settings.DATA_DIR, settings.DATABASE_URL = tmp_path / "data", None
    monkeypatch.setattr(embedded, "_running", None)
    stop = EmbeddedPostgres._stop

    def stop_and_lose_connections(server):
        stop(server)
        listener = threading.Thread(target=embedded.ensure_running)
        listener.start()
        listener.join()

    monkeypatch.setattr(EmbeddedPostgres, "_stop", stop_and_lose_connections)
    embedded.ensure_running()
    assert EmbeddedPostgres(settings.DATA_DIR).postmaster() is not None
    embedded.leave()
    assert EmbeddedPostgres(settings.DATA_DIR).postmaster() is None
