"""Workers, reloaders and other servers: nothing made before a fork is used after it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from zlib import crc32

import pytest
import requests

from core.database.embedded import EmbeddedPostgres
from tests.environment import DATA_DIR
from tests.first_start import PASSWORD
from tests.server import COMMAND, Server, free_port, open_to_postgresql
from tests.usage.calls import CALL

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60


def log(server, **headers) -> requests.Response:
    return requests.post(
        f"{server.url}/api/v1/log",
        json=CALL,
        headers={"X-API-Key": server.key, **headers},
        timeout=SECONDS,
    )


def until(condition) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_port_in_use_is_refused_at_once_and_touches_nothing(new_data_dir, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = Server(new_data_dir, port=other.getsockname()[1])
        assert server.process.wait(SECONDS) == 1
    [line] = server.output.splitlines()
    assert line.startswith(f"error: port {server.port} is in use")
    assert not (new_data_dir / "postgres").exists()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.9", "[::2]"])
def test_host_that_is_not_ours_is_refused_in_one_line(new_data_dir, host):
    command = [*COMMAND[:4], host, *COMMAND[5:]]
    server = Server(new_data_dir, command=command)
    assert server.process.wait(SECONDS) == 1
    [line] = server.output.splitlines()
    assert line.startswith("error: ") and host.strip("[]") in line


def test_revoked_key_is_refused_by_all_workers_within_a_second(data_dir):
    with Server(data_dir, LLMRING_WORKERS="3") as server:
        for _ in range(20):
            assert log(server).status_code == 200
        with EmbeddedPostgres(data_dir).connect("llmring") as connection:
            connection.execute("UPDATE llmring.api_keys SET revoked_at = now()")
        time.sleep(1)  # what is promised
        with ThreadPoolExecutor(10) as pool:
            replies = list(pool.map(lambda _: log(server).status_code, range(40)))
        assert replies == [401] * 40


def test_hanging_tools_leave_threads_for_everybody_else(data_dir):
    """Ninety calls of a server that accepts and never answers; one worker has 64 threads."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=200) as silent,
        Server(data_dir, LLMRING_WORKERS="1", LLMRING_MCP_TIMEOUT="5") as server,
        ThreadPoolExecutor(90) as pool,
    ):
        headers = {"X-API-Key": server.key}
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"
        entry = {"name": "silent", "url": url, "transport_type": "http"}
        mcp = f"{server.url}/api/v1/mcp"
        made = requests.post(f"{mcp}/servers", json=entry, headers=headers, timeout=SECONDS).json()
        tool = {"server_id": made["id"], "name": "hang", "input_schema": {"type": "object"}}
        made = requests.post(f"{mcp}/tools", json=tool, headers=headers, timeout=SECONDS).json()
        execute = f"{mcp}/tools/{made['id']}/execute"
        calls = [
            pool.submit(
                requests.post, execute, json={"input": {}}, headers=headers, timeout=SECONDS
            )
            for _ in range(90)
        ]
        started = time.monotonic()
        for path in ("/live", "/api/v1/logs", "/api/v1/templates"):
            reply = requests.get(f"{server.url}{path}", headers=headers, timeout=5)
            assert reply.status_code == 200
        assert log(server).status_code == 200
        assert time.monotonic() - started < 5
        assert {call.result().status_code for call in calls} <= {200, 429, 502, 503, 504}


def copied_source(directory: Path) -> Path:
    """The programs in a folder where they can be edited."""
    source = directory / "source"
    skipped = shutil.ignore_patterns(".*", "tests", "bench", "docs", "data", "__pycache__")
    shutil.copytree(ROOT, source, ignore=skipped)
    return source


@pytest.mark.parametrize(
    "command",
    [
        [*COMMAND, "--reload"],
        [sys.executable, "manage.py", "runserver", "127.0.0.1:{port}"],
    ],
    ids=["--reload", "runserver"],
)
def test_edited_view_is_served(data_dir, tmp_path, command):
    source = copied_source(tmp_path)
    with Server(data_dir, command=command, cwd=source, PYTHONPATH=str(source)) as server:

        def alive() -> str:
            try:
                reply = requests.get(f"{server.url}/live", timeout=5)
            except requests.RequestException:
                return ""
            if reply.status_code == 503:  # it ends
                return ""
            assert reply.ok, (reply.status_code, reply.text, server.output)
            return reply.json()["status"]

        assert alive() == "alive"
        schemas = source / "llmring_site" / "schemas.py"
        schemas.write_text(schemas.read_text().replace('"alive"', '"edited"'))
        saved_at, wait_seconds = time.monotonic(), 2

        def is_edited() -> bool:
            # A reloader that had not looked at the files yet takes the edit for the original.
            nonlocal saved_at, wait_seconds
            if time.monotonic() - saved_at > wait_seconds:
                saved_at, wait_seconds = time.monotonic(), 2 * wait_seconds  # it may be starting
                schemas.touch()
            return alive() == "edited"

        until(is_edited)


AFTER_FORK = """
import os
from llmring_site import startup
startup.use_database()
import django
django.setup()
from django.db import connection
from accounts.models import ApiKey
from accounts.key_cache import listener
from conversations.models import Conversation
from core import bridge
from core.scoping import Caller
from usage.ingestion import log
from usage.schemas import LogEntry
import uuid

def work():
    entry = LogEntry(provider="p", model="m", input_tokens=1, output_tokens=1, cost=1)
    caller = Caller(project_id=uuid.UUID(int=1), api_key_id=uuid.UUID(int=2))
    owned = Conversation.objects.owned_ids
    bridge.run(log(caller, entry, owned_conversations=owned))
    listener.start()
    assert listener.listening.wait(20)
    return ApiKey.objects.count()

before = work()
pids = []
for _ in range(3):
    if (pid := os.fork()) == 0:
        status = 1
        try:
            status = int(work() != before)
        finally:
            os._exit(status)
    pids.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
assert work() == before
"""


def test_forked_process_uses_nothing_of_its_parent(data_dir):
    """The parent has used everything: pool, loop, writer, listener."""
    with Server(data_dir):
        environment = {**os.environ, "LLMRING_DATA_DIR": str(data_dir)}
        subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", AFTER_FORK],
            env=environment,
            check=True,
            timeout=SECONDS,
        )
        with closing(EmbeddedPostgres(data_dir).connect("llmring")) as connection:
            [(count,)] = connection.execute("SELECT count(*) FROM llmring.usage_logs")
        assert count == 5


def test_workers_that_die_at_once_end_the_server(new_data_dir):
    command = [
        sys.executable,
        "-c",
        "import os, sys; from llmring_site.supervisor import Supervisor;"
        "sys.exit(Supervisor(lambda slot: os._exit(3), count=2, ended=lambda pid: None).run())",
    ]
    server = Server(new_data_dir, command=command)
    assert server.process.wait(SECONDS) == 1


def python_with(*packages: str, version: str = "") -> str:
    """The Python of an environment with our package and others, made when it is missing."""
    requirements = f"{crc32((ROOT / 'pyproject.toml').read_bytes()):08x}"
    name = "-".join(("python", version or "own", *packages, requirements))
    home = DATA_DIR.parent / name
    if not home.exists():
        draft = Path(tempfile.mkdtemp(dir=home.parent))
        for arguments in (
            ["venv", "--allow-existing", "--python", interpreter(version), draft],
            ["pip", "install", "--python", draft / "bin/python", *packages, "--editable", ROOT],
        ):
            subprocess.run(["uv", "-q", *arguments], check=True, timeout=600)
        with suppress(OSError):  # another process was faster
            draft.rename(home)
    return str(home / "bin/python")


def interpreter(version: str) -> str:
    """A Python of this version that is here already, else what uv can find or fetch."""
    if not version:
        return sys.executable
    installed = Path(os.environ.get("PYENV_ROOT", "/")).glob(f"versions/{version}.*/bin/python")
    return str(next(installed, version))


@pytest.mark.peers
@pytest.mark.parametrize(
    ("application", "worker"),
    [
        ("llmring_site.wsgi:application", ["-k", "gthread", "--threads", "4"]),
        ("llmring_site.asgi:application", ["-k", "uvicorn_worker.UvicornWorker"]),
    ],
    ids=["wsgi", "asgi"],
)
@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn_serves(data_dir, application, worker, preload):
    python = python_with("gunicorn", "uvicorn-worker")
    command = [python, "-m", "gunicorn", "-w", "2", *worker, *preload]
    command += ["-b", "127.0.0.1:{port}", application]
    with Server(data_dir, command=command) as server, requests.Session() as session:
        session.headers["X-API-Key"] = server.key
        started = time.monotonic()
        for _ in range(10):
            reply = session.post(f"{server.url}/api/v1/log", json=CALL, timeout=SECONDS)
            assert reply.status_code == 200, server.output
        for path in ("/api/v1/stats", "/registry.json", "/health", "/api/v1/logs/export"):
            assert session.get(f"{server.url}{path}", timeout=SECONDS).status_code == 200
        chunks = iter([b'{"provider":"p",', b'"model":"m","input_tokens":1,"output_tokens":1}'])
        json = {"Content-Type": "application/json"}
        reply = session.post(f"{server.url}/api/v1/log", chunks, headers=json, timeout=SECONDS)
        assert reply.status_code == 200, reply.text
        assert time.monotonic() - started < 20
        server.stop(seconds=20)
    assert EmbeddedPostgres(data_dir).postmaster() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_uvicorn_leaves_no_postgresql(data_dir, number):
    """It ends by the signal that it was sent, which leaves nothing for Python's exit."""
    application = "llmring_site.asgi:application"
    command = [sys.executable, "-m", "uvicorn", application, "--port", "{port}"]
    with Server(data_dir, command=command) as server:
        assert log(server).status_code == 200
        server.process.send_signal(number)
        server.process.wait(SECONDS)
        assert "Traceback" not in server.output
    assert EmbeddedPostgres(data_dir).postmaster() is None


TWICE = """
import asyncio
from llmring_site.asgi import application

async def live():
    incoming, outgoing = asyncio.Queue(), asyncio.Queue()
    life = asyncio.create_task(application({"type": "lifespan"}, incoming.get, outgoing.put))
    await incoming.put({"type": "lifespan.startup"})
    await outgoing.get()
    scope = {"type": "http", "method": "GET", "path": "/health", "raw_path": b"/health"}
    scope |= {"http_version": "1.1", "scheme": "http", "query_string": b"", "root_path": ""}
    scope |= {"headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1)}
    body, sent = asyncio.Queue(), asyncio.Queue()
    await body.put({"type": "http.request", "body": b"", "more_body": False})
    await application(scope, body.get, sent.put)
    print((await sent.get())["status"])
    await incoming.put({"type": "lifespan.shutdown"})
    await life

for _ in range(2):
    asyncio.run(live())
"""


def test_application_that_has_ended_begins_again(data_dir):
    """As in a test client of Starlette's that is entered twice."""
    environment = {**os.environ, "LLMRING_DATA_DIR": str(data_dir)}
    done = subprocess.run([sys.executable, "-c", TWICE], env=environment, capture_output=True)
    assert done.stdout.split() == [b"200", b"200"], done.stderr
    assert EmbeddedPostgres(data_dir).postmaster() is None


@pytest.mark.peers
@pytest.mark.parametrize("version", ["3.12", "3.13"])  # 3.14 where uv finds one
def test_other_pythons_serve(data_dir, version):
    command = [python_with(version=version), *COMMAND[1:]]
    with Server(data_dir, command=command) as server:
        assert log(server).status_code == 200, server.output
        logs = requests.get(
            f"{server.url}/api/v1/logs", headers={"X-API-Key": server.key}, timeout=SECONDS
        )
        assert len(logs.json()) == 1
        with requests.Session() as browser:
            page = browser.get(f"{server.url}/admin/login/", timeout=SECONDS).text
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
            form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token}
            browser.post(f"{server.url}/admin/login/", form, timeout=SECONDS)
            pages = ("", "usage/usagelog/", "accounts/project/", "accounts/project/add/")
            for path in pages:
                page = browser.get(f"{server.url}/admin/{path}", timeout=SECONDS)
                assert page.status_code == 200 and 'name="password"' not in page.text, path
        assert "Warning" not in server.output


@contextmanager
def pgbouncer(socket_dir: str, directory: Path):
    """The address of a pooler in transaction mode whose connections share four servers."""
    program = shutil.which("pgbouncer")
    assert program, "needs pgbouncer; Debian and Homebrew have it under that name"
    port, settings = free_port(), directory / "pgbouncer.ini"
    settings.write_text(
        "[databases]\n"
        f"llmring = host={socket_dir} dbname=llmring user=postgres\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n"
        "ignore_startup_parameters = options, extra_float_digits\n"
    )
    # Nobody is root there, and PostgreSQL's own user may use its socket.
    user = ["-u", "pgserver"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [program, "-q", *user, open_to_postgresql(directory) / settings.name]
    )
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/llmring"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.peers
def test_pooler_in_transaction_mode_is_enough(data_dir, tmp_path):
    """Connections share servers, and with them the names of prepared statements."""
    with Server(data_dir) as server:
        key = server.key
        with EmbeddedPostgres(data_dir).connect("llmring") as connection:
            connection.execute(
                "ALTER ROLE postgres IN DATABASE llmring SET search_path = llmring, mcp_client"
            )
            [(socket_dir,)] = connection.execute("SHOW unix_socket_directories")
        with (
            pgbouncer(socket_dir, tmp_path) as url,
            Server(tmp_path / "pooled", LLMRING_DATABASE_URL=url) as pooled,
            ThreadPoolExecutor(16) as pool,
        ):
            headers = {"X-API-Key": key}

            def send(path: str, body: dict, count: int) -> list[dict]:
                def once(_):
                    reply = requests.post(
                        f"{pooled.url}{path}", json=body, headers=headers, timeout=SECONDS
                    )
                    assert reply.status_code == 200, reply.text
                    return reply.json()

                return list(pool.map(once, range(count)))

            send("/api/v1/log", CALL, 100)
            *_, conversation = send("/conversations", {"title": "t"}, 60)
            send(
                f"/conversations/{conversation['id']}/messages",
                {"role": "user", "content": "x"},
                60,
            )
            stats = requests.get(f"{pooled.url}/api/v1/stats", headers=headers, timeout=SECONDS)
            assert stats.json()["summary"]["total_requests"] == 100
