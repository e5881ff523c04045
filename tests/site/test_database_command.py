"""`llmring-db`, as an operator calls it."""

import os
import stat
import subprocess
import sys

import psycopg
import pytest

from llmring_site import cli, startup
from tests.server import Server

pytestmark = pytest.mark.servers


def run(*arguments: str, umask: int = -1, **variables: str) -> subprocess.CompletedProcess:
    program = "from llmring_site.cli import database; database()"
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        umask=umask,
    )


def test_empty_database_is_pending_until_it_is_migrated(new_data_dir):
    of = {"LLMRING_DATA_DIR": str(new_data_dir)}
    before = run("status", **of)
    assert (before.returncode, "0 applied" in before.stdout) == (1, True)
    migrated, after = run("migrate", **of), run("status", **of)
    assert (migrated.returncode, after.returncode) == (0, 0)
    assert "0 pending" in after.stdout


def test_nobody_else_may_write_to_the_data_directory(new_data_dir):
    """Also with the umask 000 of some systems: who can write there can replace the keys."""
    migrated = run("migrate", umask=0, LLMRING_DATA_DIR=str(new_data_dir))
    assert migrated.returncode == 0, migrated.stderr
    made = [path for path in (new_data_dir, *new_data_dir.rglob("*")) if not path.is_symlink()]
    assert {"secret_key", "encryption_key", "static"} <= {path.name for path in made}
    assert [path for path in made if path.lstat().st_mode & stat.S_IWOTH] == []


def test_address_has_no_password_unless_asked():
    url = "postgresql://me:secret-pw@db.example:6432/logs?sslmode=require"
    printed = run("url", LLMRING_DATABASE_URL=url)
    assert printed.stdout == (
        "postgresql://me@db.example:6432/logs"
        "?sslmode=require&options=-c%20search_path%3Dllmring,mcp_client\n"
    )
    assert "secret-pw" not in printed.stderr
    whole = run("url", "--with-password", LLMRING_DATABASE_URL=url)
    assert whole.stdout.startswith("postgresql://me:secret-pw@db.example:6432/logs?")


def test_address_opens_our_tables_by_their_plain_names(data_dir):
    with Server(data_dir):
        printed = run("url", LLMRING_DATA_DIR=str(data_dir))
        assert printed.returncode == 0, printed.stderr
        with psycopg.connect(printed.stdout.strip()) as connection:
            count = "SELECT (SELECT count(*) FROM projects), (SELECT count(*) FROM servers)"
            assert connection.execute(count).fetchone() == (1, 0)


def test_status_of_a_database_that_is_away_is_one_line():
    done = run("status", LLMRING_DATABASE_URL="postgresql://me:secret-pw@127.0.0.1:9/logs")
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the database of LLMRING_DATABASE_URL cannot be reached: ")
    assert "refused" in line and "secret-pw" not in line


def test_address_has_a_plus_sign_as_it_was_written():
    """PostgreSQL's addresses are no forms, where it is a blank."""
    url = "postgresql://me@db.example/logs?application_name=a+b"
    assert "application_name=a%2Bb&" in run("url", LLMRING_DATABASE_URL=url).stdout


def test_encrypted_connections_need_programs_that_can_encrypt(monkeypatch, tmp_path):
    """Those of the wheel cannot."""
    monkeypatch.setattr(startup, "is_encrypted", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(startup.StartupError, match="Debian: postgresql-client"):
        cli._program("pg_dump")
    program = tmp_path / "pg_dump"
    program.touch(mode=0o755)
    assert cli._program("pg_dump") == str(program)


def test_dump_is_restored_into_another_database(data_dir, tmp_path):
    of = {"LLMRING_DATA_DIR": str(data_dir)}
    dump = str(tmp_path / "llmring.dump")
    statement = "INSERT INTO projects (id, name, created_at) VALUES (gen_random_uuid(), 'x', now())"
    written = run("psql", "-c", statement, **of)
    assert written.stdout == "INSERT 0 1\n", written.stderr
    dumped = run("dump", "--format=custom", "--file", dump, **of)
    assert dumped.returncode == 0, dumped.stderr
    other = {"LLMRING_DATA_DIR": str(tmp_path / "other")}
    restored = run("restore", "--no-owner", dump, **other)
    assert restored.returncode == 0, restored.stderr
    count = run("psql", "-At", "-c", "SELECT count(*) FROM projects WHERE name = 'x'", **other)
    assert count.stdout == "1\n"
    assert "0 pending" in run("status", **other).stdout
