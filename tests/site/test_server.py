"""The server as its operator sees it: started, used, killed, started again."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from core.database.embedded import EmbeddedPostgres
from tests.environment import DATA_DIR
from tests.server import COMMAND, Server
from tests.usage.calls import CALL

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]


def headers(key: str) -> dict:
    return {"X-API-Key": key}


def test_first_start_prints_accounts_once_and_a_call_that_works(new_data_dir):
    with Server(new_data_dir) as server:
        output, key = server.output, server.key
        password = re.search(r"user admin, password (\S+)", output)[1]
        words = shlex.split(re.search(r"curl .*", output)[0])
        reply = requests.post(
            next(word for word in words if word.startswith("http")),
            data=words[words.index("-d") + 1],
            headers=dict(words[n + 1].split(": ") for n, word in enumerate(words) if word == "-H"),
            timeout=10,
        )
        assert reply.json()["cost_source"] == "registry"  # the bundled copy: no internet here
        with requests.Session() as browser:
            page = browser.get(f"{server.url}/admin/login/", timeout=10)
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
            form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token}
            answer = browser.post(f"{server.url}/admin/login/?next=/admin/", form, timeout=10)
            assert answer.url == f"{server.url}/admin/"
        assert server.stop() == 0
    with Server(new_data_dir) as again:
        assert "password" not in again.output and "llmr_pk_" not in again.output
        logs = requests.get(f"{again.url}/api/v1/logs", headers=headers(key), timeout=10)
        assert len(logs.json()) == 1


def test_every_start_says_once_that_it_is_ready(new_data_dir):
    for _ in range(2):
        with Server(new_data_dir, LLMRING_WORKERS="3", LLMRING_ALLOWED_HOSTS="localhost") as server:
            server.until("Ready: ")
            (line,) = re.findall("^Ready: .*$", server.output, re.MULTILINE)
            site = f"http://localhost:{server.port}"
            assert line == (
                f"Ready: {site}  {site}/docs  {site}/admin/  (listening on 127.0.0.1:{server.port})"
            )
            assert health_command(server.port).returncode == 0
    down = health_command(server.port)
    assert down.returncode == 1
    assert down.stderr.startswith(f"unhealthy: 127.0.0.1 port {server.port}: ")


def test_health_is_found_where_the_command_line_says_and_under_every_name(data_dir):
    names = {
        "LLMRING_ALLOWED_HOSTS": "internal.example",
        "LLMRING_PUBLIC_URL": "https://llm.example.com",
    }
    command = [part.replace("127.0.0.1", "127.0.0.2") for part in COMMAND]
    server = Server(data_dir, command=command, LLMRING_WORKERS="1", **names)
    server.until("Ready: ")
    place = ("--host", "127.0.0.2", "--port", str(server.port))
    found = health_command(1, *place, **names)
    assert found.returncode == 0, found.stderr
    # As `llm-proxy server` listens, there alone.
    beside_llm_proxy = health_command(1, LISTEN_ADDR=f"127.0.0.2:{server.port}", **names)
    assert beside_llm_proxy.returncode == 0, beside_llm_proxy.stderr
    assert health_command(server.port, "--bogus").returncode == 2
    server.stop()


def health_command(port: int, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "llmring_server.cli", "health", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "LLMRING_HTTP_PORT": str(port),
            "LLMRING_DATA_DIR": "/nowhere",
            **variables,
        },
        capture_output=True,
        text=True,
    )


def test_workers_told_to_stop_while_they_start_do(data_dir):
    server = Server(data_dir, LLMRING_WORKERS="3")
    server.until("worker 3 of 3 started")
    assert server.stop(seconds=25) == 0  # those that never hear of it are killed after 30


def test_server_told_many_times_to_stop_does(data_dir):
    """Ctrl-C reaches every process of a terminal, and again through whatever started them."""
    with Server(data_dir) as server:
        for worker in server.workers():
            worker.terminate()
        for _ in range(500):
            server.process.send_signal(signal.SIGTERM)
        assert server.stop() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_ends_the_start_and_its_postgresql(new_data_dir, number):
    server = Server(new_data_dir)
    while EmbeddedPostgres(new_data_dir).postmaster() is None:
        assert server.process.poll() is None
    server.process.send_signal(number)
    assert server.process.wait(60) == -number
    assert EmbeddedPostgres(new_data_dir).postmaster() is None
    assert "Traceback" not in server.output


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_ends_a_command_and_its_postgresql(data_dir, number):
    code = "import time; print('begun', flush=True); time.sleep(60)"
    shell = (sys.executable, "manage.py", "shell", "--verbosity=0", f"--command={code}")
    command = Server(data_dir, command=shell, cwd=ROOT)
    command.until("begun")
    command.process.send_signal(number)
    assert command.process.wait(60) == -number
    assert EmbeddedPostgres(data_dir).postmaster() is None
    assert "Traceback" not in command.output


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT], ids=lambda each: each.name)
def test_signal_of_a_terminal_stops_the_server_after_its_requests(data_dir, number):
    """A closed one, and Ctrl-\\, send it to every process."""
    with Server(data_dir, LLMRING_WORKERS="2") as server:
        for worker in server.workers():
            worker.send_signal(number)
        assert requests.get(f"{server.url}/live", timeout=10).ok
        assert "worker 1 of 2 started" in server.output
        server.process.send_signal(number)
        assert server.process.wait(60) == 0
        assert "ended: signal" not in server.output
    assert EmbeddedPostgres(data_dir).postmaster() is None


def test_server_detached_from_its_terminal_goes_on(data_dir):
    with Server(data_dir, command=("nohup", *COMMAND)) as server:
        server.process.send_signal(signal.SIGHUP)
        assert requests.get(f"{server.url}/live", timeout=10).ok
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2], ids=lambda each: each.name)
def test_signal_that_asks_for_new_logs_ends_nothing(data_dir, number):
    with Server(data_dir, LLMRING_WORKERS="2") as server:
        workers = server.workers()
        for process in (server.process, *workers):
            process.send_signal(number)
        assert requests.get(f"{server.url}/health", timeout=10).ok
        assert server.workers() == workers
        assert server.stop() == 0


def test_answered_rows_survive_the_killing_of_everything(data_dir):
    answered, stop = [], threading.Event()

    def load(server, key):
        with requests.Session() as session:
            while not stop.is_set():
                try:
                    reply = session.post(
                        f"{server.url}/api/v1/log", json=CALL, headers=headers(key), timeout=5
                    )
                except requests.RequestException:
                    continue
                if reply.status_code == 200:
                    answered.append(reply.json()["log_id"])

    def wait_for(count):
        deadline = time.monotonic() + 60
        while len(answered) < count:
            assert server.process.poll() is None, server.output
            assert time.monotonic() < deadline, server.output

    with Server(data_dir) as server, ThreadPoolExecutor(8) as pool:
        key = server.key
        for _ in range(8):
            pool.submit(load, server, key)
        try:
            wait_for(200)
            for worker in server.workers():  # the server starts others in their place
                worker.send_signal(signal.SIGKILL)
            wait_for(len(answered) + 200)
            EmbeddedPostgres(data_dir).postmaster().send_signal(signal.SIGKILL)
            wait_for(len(answered) + 200)  # and another database
            orphans = server.workers()
            server.process.send_signal(signal.SIGKILL)
            EmbeddedPostgres(data_dir).postmaster().send_signal(signal.SIGKILL)
        finally:
            stop.set()
        server.process.wait(10)
        # Workers leave with their server, those with requests when their half minute is over.
        assert not psutil.wait_procs(orphans, 45)[1]
    with Server(data_dir) as server:
        stored, query = set(), {"limit": 500}
        while True:
            page = requests.get(
                f"{server.url}/api/v1/logs", query, headers=headers(key), timeout=10
            )
            stored |= {row["id"] for row in page.json()}
            if "X-Next-Cursor" not in page.headers:
                break
            query["cursor"] = page.headers["X-Next-Cursor"]
        assert set(answered) <= stored
        stats = requests.get(f"{server.url}/api/v1/stats", headers=headers(key), timeout=10).json()
        assert stats["summary"]["total_requests"] == len(stored)


def test_two_servers_starting_at_once_share_one_database(new_data_dir):
    with Server(new_data_dir) as first, Server(new_data_dir) as second:
        outputs = [first.output, second.output]
        assert sum("API key" in output for output in outputs) == 1
        key = next(server.key for server in (first, second) if "llmr_pk_" in server.output)
        requests.post(f"{first.url}/api/v1/log", json=CALL, headers=headers(key), timeout=10)
        logs = requests.get(f"{second.url}/api/v1/logs", headers=headers(key), timeout=10)
        assert len(logs.json()) == 1


def test_failed_migration_leaves_the_port_closed(data_dir):
    embedded = EmbeddedPostgres(data_dir)
    with Server(data_dir) as server:
        with embedded.connect("llmring") as connection:
            connection.execute(
                "DELETE FROM llmring.django_migrations WHERE app = 'usage';"
                "ALTER TABLE llmring.usage_daily RENAME TO usage_daily_old"
            )
        server.stop()
    broken = Server(data_dir)
    assert broken.process.wait(60) == 1
    assert "error: a migration failed:" in broken.output
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{broken.url}/health", timeout=5)


IMPATIENT = """
from llmring_site import cli, startup
startup._WAIT_SECONDS = 1  # half a minute
cli.server()
"""


def test_unreachable_database_is_reported_without_its_password(new_data_dir):
    server = Server(
        new_data_dir,
        command=(sys.executable, "-c", IMPATIENT, *COMMAND[3:]),
        LLMRING_DATABASE_URL="postgresql://me:secret-pw@127.0.0.1:9/db",
    )
    assert server.process.wait(60) == 1
    assert "waiting for the database" in server.output
    assert "error: the database of LLMRING_DATABASE_URL cannot be reached" in server.output
    assert "secret-pw" not in server.output


def test_connections_of_all_workers_stay_within_the_pool(data_dir):
    with Server(
        data_dir,
        LLMRING_DATABASE_POOL_SIZE="12",
        LLMRING_DATABASE_POOL_OVERFLOW="2",
        LLMRING_WORKERS="2",
        LLMRING_PUBLIC_REQUESTS_PER_MINUTE="1000",
        OPENAI_API_URL="http://127.0.0.1:9/v1",
        OPENAI_API_KEY="k",
    ) as server:
        command = [sys.executable, ROOT / "manage.py", "createtoken"]
        token = subprocess.check_output(command, env=server.environment, text=True).strip()
        stories = [  # between them, they use every connection that a worker keeps
            ("GET", "/api/v1/stats", server.key, None),
            ("POST", "/api/v1/log", server.key, CALL),
            ("POST", "/conversations", server.key, {}),
            ("GET", "/registry", "", None),
            ("POST", "/v1/chat/completions", token, {"model": "gpt-4o", "messages": []}),
        ]

        def call(n):
            method, path, key, body = stories[n % len(stories)]
            bearer = {"Authorization": f"Bearer {key}"} if key else {}
            return requests.request(
                method, f"{server.url}{path}", headers=bearer, json=body, timeout=30
            ).status_code

        def connections() -> int:
            rows = monitor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'llmring-server'"
            )
            return rows.fetchone()[0]

        with (
            EmbeddedPostgres(data_dir).connect("postgres") as monitor,
            ThreadPoolExecutor(64) as pool,
        ):
            futures = [pool.submit(call, n) for n in range(300)]
            most = 0
            while not all(future.done() for future in futures):
                most = max(most, connections())
            most = max(most, connections())  # they stay open for a while
        # Nothing listens at the upstream's address; after five calls its breaker is open.
        assert {future.result() for future in futures} == {200, 502, 503}
        assert 2 <= most <= 14


def test_two_deployments_share_a_database_of_their_operator(new_data_dir, tmp_path):
    """With LLMRING_DATABASE_URL nothing is embedded; schemas keep deployments apart."""
    operators = EmbeddedPostgres(DATA_DIR)
    name = f"operators_{os.getpid()}"
    with operators.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = f"postgresql://postgres@/{name}?host={operators.socket_dir}"
    try:
        with (
            Server(new_data_dir, LLMRING_DATABASE_URL=url) as one,
            Server(tmp_path / "b", LLMRING_DATABASE_URL=url, LLMRING_DATABASE_SCHEMA="b") as two,
        ):
            for server in (one, two, two):
                requests.post(
                    f"{server.url}/api/v1/log", json=CALL, headers=headers(server.key), timeout=10
                )
            assert not (new_data_dir / "postgres").exists()
            with operators.connect(name) as connection:
                counts = connection.execute(
                    "SELECT (SELECT count(*) FROM llmring.usage_logs),"
                    " (SELECT count(*) FROM b.usage_logs)"
                ).fetchone()
            assert counts == (1, 2)
    finally:
        with operators.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_path_can_forge_no_line_of_the_log(data_dir):
    with Server(data_dir, LLMRING_ACCESS_LOG="on", LLMRING_WORKERS="1") as server:
        requests.get(f"{server.url}/%1b%5b2J%0aforged%20%C2%9b", timeout=10)
        server.stop()
        assert r"GET /\x1b[2J\nforged \x9b 404" in server.output
        assert "\x1b" not in server.output and "\x9b" not in server.output


def test_logs_can_be_json_and_never_hold_a_key(data_dir):
    with Server(data_dir, LLMRING_LOG_FORMAT="json", LLMRING_ACCESS_LOG="on") as server:
        key = server.key
        requests.get(
            f"{server.url}/api/v1/logs",
            headers={**headers(key), "X-Request-ID": "trace-7"},
            timeout=10,
        )
        server.stop()
        lines = [line for line in server.output.splitlines() if line.startswith("{")]
        assert any('"request_id":"trace-7"' in line.replace('": "', '":"') for line in lines)
        assert key not in server.output
