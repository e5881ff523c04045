"""A database that restarts under load: nothing answered is lost, and failures end with it."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import psutil
import pytest
import requests

from core.database.embedded import EmbeddedPostgres
from tests.server import Server, open_to_postgresql
from tests.usage.calls import CALL

pytestmark = pytest.mark.servers

CLIENTS = 12
AWAY_SECONDS = 2
READS = (
    "/api/v1/logs",
    "/api/v1/stats",
    "/health",
    "/ready",
    "/api/v1/templates",
    "/api/v1/aliases",
)


class Exchange(NamedTuple):
    path: str
    status: int
    started: float
    ended: float


@pytest.fixture
def database(tmp_path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of its own, which the server knows by its address only."""
    directory = tmp_path / "database"
    directory.mkdir()
    server = EmbeddedPostgres(open_to_postgresql(directory))
    server.start(max_connections=60)
    yield server
    if server.postmaster():
        stop(server, signal.SIGINT)


class Load:
    """Clients that log and read until they are stopped, and what they were answered."""

    def __init__(self, server: Server, key: str) -> None:
        self._server, self._headers = server, {"X-API-Key": key}
        self.exchanges: list[Exchange] = []
        self.logged: list[str] = []
        self.stopped = threading.Event()

    def run(self, number: int) -> None:
        with requests.Session() as session:
            session.headers.update(self._headers)
            while not self.stopped.is_set():
                path = READS[number % len(READS)] if number % 2 else "/api/v1/log"
                self._send(session, path)
                number += 2

    def _send(self, session: requests.Session, path: str) -> None:
        started = time.monotonic()
        if path == "/api/v1/log":
            reply = session.post(f"{self._server.url}{path}", json=CALL, timeout=60)
            if reply.ok:
                self.logged.append(reply.json()["log_id"])
        else:
            reply = session.get(f"{self._server.url}{path}", timeout=60)
        self.exchanges.append(Exchange(path, reply.status_code, started, time.monotonic()))

    def wait_for(self, count: int) -> None:
        """Wait for so many more answers."""
        deadline, count = time.monotonic() + 60, len(self.exchanges) + count
        while len(self.exchanges) < count:
            assert time.monotonic() < deadline, self._server.output


def stop(database: EmbeddedPostgres, how: signal.Signals) -> None:
    postmaster = database.postmaster()
    postmaster.send_signal(how)
    psutil.wait_procs([postmaster], 30)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "crash"])
def test_restart_under_load(tmp_path, database, how):
    url = f"postgresql://postgres@/llmring?host={database.socket_dir}"
    with (
        Server(tmp_path / "data", LLMRING_DATABASE_URL=url) as server,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        load = Load(server, server.key)
        clients = [pool.submit(load.run, number) for number in range(CLIENTS)]
        try:
            load.wait_for(300)
            stop(database, how)
            load.stopped.wait(AWAY_SECONDS)
            database.start(max_connections=60)
            back = time.monotonic()
            while load.exchanges[-1].started < back + 1:
                load.wait_for(50)
            load.wait_for(300)
        finally:
            load.stopped.set()
        for client in clients:
            client.result()
        stats = requests.get(
            f"{server.url}/api/v1/stats", headers={"X-API-Key": server.key}, timeout=10
        )
    wrong = [each for each in load.exchanges if each.status not in (200, 503)]
    assert not wrong, server.output
    late = [each for each in load.exchanges if each.status == 503 and each.ended > back + 1]
    assert not late
    assert stats.json()["summary"]["total_requests"] >= len(load.logged) > 100


def test_health_of_a_server_without_its_database_is_answered_soon(tmp_path, database):
    """Requests wait for half a minute; what watches a server would have given up by then."""
    url = f"postgresql://postgres@/llmring?host={database.socket_dir}"
    with Server(tmp_path / "data", LLMRING_DATABASE_URL=url, LLMRING_WORKERS="1") as server:
        stop(database, signal.SIGINT)
        for path in ("/ready", "/health"):
            started = time.monotonic()
            reply = requests.get(f"{server.url}{path}", timeout=60)
            assert (reply.status_code, reply.json()["database"]) == (503, "disconnected")
            assert time.monotonic() - started < 10
        database.start(max_connections=60)
        deadline = time.monotonic() + 30
        while requests.get(f"{server.url}/ready", timeout=60).status_code == 503:
            assert time.monotonic() < deadline, server.output
