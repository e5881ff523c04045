"""The optional Redis: used when it is there; without it no request fails."""

import os
import signal
import time

import pytest
import requests
from redis import Redis

from tests.redis_process import redis_server
from tests.server import Server
from tests.usage.calls import CALL

pytestmark = pytest.mark.servers


@pytest.fixture
def redis():
    """The address of a Redis, and its process."""
    with redis_server() as (port, process):
        yield f"redis://127.0.0.1:{port}/0", process


def test_lost_redis_costs_nothing_but_its_state(redis, data_dir):
    url, process = redis
    with Server(data_dir, LLMRING_REDIS_URL=url) as server:
        assert requests.get(f"{server.url}/health", timeout=10).json()["redis"] == "connected"
        process.kill()
        process.wait(10)
        health = requests.get(f"{server.url}/health", timeout=10)
        assert (health.status_code, health.json()["redis"]) == (200, "disconnected")
        reply = requests.post(
            f"{server.url}/api/v1/log", json=CALL, headers={"X-API-Key": server.key}, timeout=10
        )
        assert reply.status_code == 200


def test_redis_that_hangs_is_waited_for_once(redis, data_dir):
    url, process = redis
    with Server(data_dir, LLMRING_WORKERS="1", LLMRING_REDIS_URL=url) as server:
        requests.get(f"{server.url}/registry.json", timeout=10)
        snapshot = requests.get(f"{server.url}/health", timeout=10).json()["registry"]["snapshot"]
        paths = ["/health", f"/registry/v/{snapshot}/registry.json"]
        for path in paths:
            assert requests.get(server.url + path, timeout=10).status_code == 200
        os.kill(process.pid, signal.SIGSTOP)
        started = time.monotonic()
        for path in paths * 10:
            assert requests.get(server.url + path, timeout=10).status_code == 200
        assert time.monotonic() - started < 5  # each of them waited for two seconds
        assert server.output.count("Redis is away") == 1
        os.kill(process.pid, signal.SIGCONT)
        server.until("Redis is back")
        assert requests.get(f"{server.url}/health", timeout=10).json()["redis"] == "connected"


def test_redis_that_refuses_writes_is_not_connected(redis, data_dir):
    url, _ = redis
    with (
        Server(data_dir, LLMRING_WORKERS="1", LLMRING_REDIS_URL=url) as server,
        Redis.from_url(url) as client,
    ):
        states = set()
        client.config_set("maxmemory", 1)
        for _ in range(5):
            states.add(requests.get(f"{server.url}/health", timeout=10).json()["redis"])
        assert states == {"disconnected"}
        assert server.output.count("OutOfMemoryError") == 1
