"""`llmring-db`, as an operator calls it."""

import os
import subprocess
import sys

import psycopg

from tests.server import Server


def run(command: str, **variables: str) -> subprocess.CompletedProcess:
    program = "from llmring_site.cli import database; database()"
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", program, command],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_empty_database_is_pending_until_it_is_migrated(data_dir):
    of = {"LLMRING_DATA_DIR": str(data_dir)}
    before = run("status", **of)
    assert (before.returncode, "0 applied" in before.stdout) == (1, True)
    migrated, after = run("migrate", **of), run("status", **of)
    assert (migrated.returncode, after.returncode) == (0, 0)
    assert "0 pending" in after.stdout


def test_address_opens_the_database_of_a_running_server(data_dir):
    with Server(data_dir):
        found = run("url", LLMRING_DATA_DIR=str(data_dir))
        assert found.returncode == 0, found.stderr
        with psycopg.connect(found.stdout.strip()) as connection:
            names = connection.execute("SELECT name FROM llmring.projects").fetchall()
    assert names == [("default",)]


def test_address_has_no_password():
    found = run("url", LLMRING_DATABASE_URL="postgresql://me:secret-pw@db.example:6432/logs")
    assert found.stdout == "postgresql://me@db.example:6432/logs\n"
    assert "secret-pw" not in found.stderr
