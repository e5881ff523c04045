"""D01 and D06 with four workers of a real server: what they grant together."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
import redis
import requests

from core.database.embedded import EmbeddedPostgres
from tests.redis_process import redis_server
from tests.server import Server
from tests.usage.calls import CALL

pytestmark = pytest.mark.servers

# The database's clock stands still: everything happens in one minute.
FIXED = """
    CREATE OR REPLACE FUNCTION llmring.limit_clock() RETURNS timestamptz LANGUAGE sql AS
        $$SELECT '2026-03-10T12:00:01Z'::timestamptz$$;
    UPDATE llmring.projects SET tier_id = (SELECT id FROM llmring.tiers WHERE name = 'free');
    INSERT INTO llmring.api_keys (id, project_id, name, digest, hint, created_at, scopes,
            is_from_login, is_pending)
        SELECT gen_random_uuid(), id, '', sha256('second'), '', now(), '{all}', false, false
        FROM llmring.projects;
"""
GRANTED = (
    "SELECT granted FROM llmring.request_windows WHERE holder IN (SELECT id FROM llmring.projects)"
)


class Crowd:
    """Requests to a server's four workers, each on a connection of its own."""

    def __init__(self, server: Server, database: psycopg.Connection) -> None:
        self.server, self.database = server, database
        self.seconds: list[float] = []

    def one(self, number: int) -> int:
        """Half of them on the edge, half on views; half with one key, half with the other."""
        headers = {"X-API-Key": "second" if number % 4 < 2 else self.server.key}
        started = time.monotonic()
        if number % 2:
            url = f"{self.server.url}/api/v1/log"
            reply = requests.post(url, json=CALL, headers=headers, timeout=10)
        else:
            url = f"{self.server.url}/api/v1/templates/"
            reply = requests.get(url, headers=headers, timeout=10)
        self.seconds.append(time.monotonic() - started)
        return reply.status_code

    def all(self, count: int, *, at_once: int = 40) -> list[int]:
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self.one, range(count)))

    @property
    def granted(self) -> int:
        return self.database.execute(GRANTED).fetchone()[0]


@pytest.fixture
def start(data_dir):
    """A function that starts a server, with Redis if its port is given."""
    with ExitStack() as stack:

        def start(port: int | None = None) -> Crowd:
            variables = {"LLMRING_REDIS_URL": f"redis://127.0.0.1:{port}/0"} if port else {}
            server = stack.enter_context(Server(data_dir, LLMRING_WORKERS="4", **variables))
            database = stack.enter_context(EmbeddedPostgres(data_dir).connect("llmring"))
            database.execute(FIXED)
            time.sleep(1)  # what every worker may take to hear of it
            return Crowd(server, database)

        yield start


@pytest.fixture
def own_redis():
    with redis_server() as (port, process):
        yield port, process


def test_d01_four_workers_without_redis_grant_54_to_60(start):
    crowd = start()
    statuses = crowd.all(200)
    assert set(statuses) == {200, 429}
    assert 54 <= statuses.count(200) <= 60
    assert crowd.granted <= 60


def test_d01_four_workers_with_redis_grant_exactly_60(start, own_redis):
    crowd = start(own_redis[0])
    statuses = crowd.all(200)
    assert (statuses.count(200), statuses.count(429)) == (60, 140)
    assert crowd.granted == 60


@pytest.mark.parametrize("with_redis", [True, False])
def test_d02_remaining_never_rises_from_one_worker_to_the_next(start, own_redis, with_redis):
    crowd = start(own_redis[0] if with_redis else None)
    crowd.database.execute("UPDATE llmring.tiers SET requests_per_minute = 300")
    time.sleep(1)
    shown = []
    for _ in range(60):
        headers = {"X-API-Key": crowd.server.key}
        reply = requests.get(f"{crowd.server.url}/api/v1/logs", headers=headers, timeout=10)
        shown.append(int(reply.headers["X-RateLimit-Remaining"]))
    assert shown == sorted(shown, reverse=True)
    assert shown[-1] <= 240


def killed(process, port) -> None:
    process.kill()
    process.wait(10)


def hanging(process, port) -> None:
    os.kill(process.pid, signal.SIGSTOP)


def refusing_writes(process, port) -> None:
    with redis.Redis(port=port) as client:
        client.config_set("maxmemory", 1)


def emptied(process, port) -> None:
    with redis.Redis(port=port) as client:
        client.flushall()


@pytest.mark.parametrize("fail", [killed, hanging, refusing_writes, emptied])
def test_d06_redis_that_fails_in_the_middle_opens_nothing(start, own_redis, fail):
    port, process = own_redis
    crowd = start(port)
    assert crowd.all(40) == [200] * 40
    held = crowd.granted - 40  # by Redis
    fail(process, port)
    crowd.seconds.clear()
    statuses = crowd.all(200, at_once=8)  # few, so that none waits for the others' turn
    if fail is hanging:
        os.kill(process.pid, signal.SIGCONT)
    assert set(statuses) == {200, 429}
    # Lost at most: what Redis had of its leases, and a lease of each other worker.
    assert 60 - held - 3 <= 40 + statuses.count(200) <= 60
    assert max(crowd.seconds) < 1.5
    crowd.seconds.clear()
    assert crowd.all(20, at_once=4) == [429] * 20
    assert max(crowd.seconds) < 0.5
    assert crowd.server.output.count("Redis is away") <= 4  # once in each worker


def test_d06_redis_that_comes_back_counts_nothing_twice(start, own_redis):
    port, process = own_redis
    crowd = start(port)
    assert crowd.all(20) == [200] * 20
    hanging(process, port)
    assert crowd.all(20) == [200] * 20
    os.kill(process.pid, signal.SIGCONT)
    crowd.server.until("Redis is back")
    statuses = crowd.all(60)
    assert 60 - 6 - 3 <= 40 + statuses.count(200) <= 60
