"""Library mode: `create_app`, mounted in applications of others."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import requests

from llmring_site import library
from tests.environment import DATA_DIR
from tests.server import free_port
from tests.site.databases import new_database
from tests.usage.calls import CALL

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parents[2]
KEY = {"X-API-Key": "key-of-the-host"}


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("postgresql://me@h/d", "postgresql://me@h/d"),
        ("host=/tmp dbname=d password='a b'", "postgresql:///?password=a%20b&dbname=d&host=%2Ftmp"),
        (SimpleNamespace(conninfo="postgresql://me@h/pool"), "postgresql://me@h/pool"),
        (SimpleNamespace(config=SimpleNamespace(connection_string="postgresql://h/m")), None),
        (SimpleNamespace(_connect_args=["postgresql://me@h/asyncpg"]), "postgresql://me@h/asyncpg"),
    ],
)
def test_address_of_pools_and_managers_is_read(source, address):
    result = library._variables_of(source, None, None)["LLMRING_DATABASE_URL"]
    assert result == (address or "postgresql://h/m")


def test_arguments_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="needs a db_manager"):
        library.create_app(standalone=False)
    with pytest.raises(ValueError, match="no PostgreSQL address found in a SimpleNamespace"):
        library.create_app(db_manager=SimpleNamespace())


def test_settings_are_a_mapping_or_an_object():
    expected = {
        "LLMRING_CORS_ORIGINS": '["https://a.example"]',
        "LLMRING_DEBUG": "off",
        "LLMRING_CACHE_TTL": "60",
    }
    attributes = {"cors_origins": ["https://a.example"], "debug": False, "cache_ttl": 60}
    unset = {"redis_url": None}
    for settings in (
        attributes | unset,
        {f"LLMRING_{name.upper()}": value for name, value in attributes.items()},
        SimpleNamespace(**attributes, **unset),
    ):
        assert library._variables_of(None, None, settings) == expected


def test_settings_may_be_variables_without_our_prefix():
    settings = {
        "openai_api_key": "sk-1",
        "MANAGEMENT_TOKEN_FILE": "/run/secrets/token",
        "log_file": "/tmp/calls.log",
        "admin_user": "root",
        "log_level": "debug",
    }
    assert library._variables_of(None, None, settings) == {
        "OPENAI_API_KEY": "sk-1",
        "MANAGEMENT_TOKEN_FILE": "/run/secrets/token",
        "LOG_FILE": "/tmp/calls.log",
        "ADMIN_USER": "root",
        "LLMRING_LOG_LEVEL": "debug",
    }


@contextmanager
def fastapi_host(address: str, tmp_path: Path):
    """The address and the output of the host, in an environment with FastAPI and our package."""
    port = free_port()
    with (tmp_path / "output").open("w+") as output:
        process = subprocess.Popen(
            [_python(), ROOT / "tests/site/peers/fastapi_host.py", str(port), address],
            env={"PATH": os.environ["PATH"], "LLMRING_DATA_DIR": str(tmp_path / "data")},
            cwd=tmp_path,
            stdout=output,
            stderr=output,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _await(url, process, tmp_path / "output")
            yield url, tmp_path / "output"
        finally:
            process.terminate()
            process.wait(30)


def _python() -> str:
    home = DATA_DIR.parent / "fastapi"
    if not home.exists():
        draft = Path(tempfile.mkdtemp(dir=home.parent))
        uv = shutil.which("uv")
        for arguments in (
            ["venv", "--allow-existing", "--python", sys.executable, draft],
            ["pip", "install", "--python", draft / "bin/python", "fastapi", "--editable", ROOT],
        ):
            subprocess.run([uv, *arguments], check=True, capture_output=True, timeout=600)
        with suppress(OSError):  # another process was faster
            draft.rename(home)
    return str(home / "bin/python")


def _await(url: str, process: subprocess.Popen, output: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(requests.ConnectionError):
            assert requests.get(f"{url}/health", timeout=10).json() == {"host": "healthy"}
            return
        assert process.poll() is None and time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)


@pytest.mark.peers
def test_mounted_in_fastapi_it_serves_its_routes_below_the_mount(tmp_path):
    with (
        new_database() as address,
        fastapi_host(address, tmp_path) as (url, output),
        requests.Session() as session,
    ):
        session.headers.update(KEY)
        reply = session.post(f"{url}/llmring/api/v1/log", json=CALL, timeout=30)
        assert reply.status_code == 200, reply.text
        log_id = reply.json()["log_id"]
        logs = session.get(f"{url}/llmring/api/v1/logs", timeout=10).json()
        assert [row["id"] for row in logs] == [log_id]
        body = {"name": "greeting", "system_prompt": "Hello {{name}}"}
        created = session.post(f"{url}/llmring/api/v1/templates", json=body, timeout=10)
        assert created.status_code == 200, created.text
        assert session.get(f"{url}/whole/health", timeout=10).json()["status"] == "healthy"
        described = session.get(f"{url}/whole/", timeout=10).json()
        assert described["endpoints"]["docs"] == "/whole/docs"
        for path in ("/llmring/", "/llmring/health"):
            assert session.get(f"{url}{path}", timeout=10).status_code == 404
        assert requests.get(f"{url}/llmring/api/v1/logs", timeout=10).status_code == 401
        with psycopg.connect(address) as connection:
            tables = "SELECT count(*) FROM mounted.usage_logs"
            assert connection.execute(tables).fetchone() == (1,)
            people = "SELECT count(*) FROM mounted.users"
            assert connection.execute(people).fetchone() == (0,)  # the host has its own
        assert "an earlier create_app set other values of LLMRING_DATABASE_SCHEMA" in (
            output.read_text()
        )
