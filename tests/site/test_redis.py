"""The optional Redis: used when it is there, missed by nobody when it is lost."""

import pytest
import requests

from tests.redis_process import redis_server
from tests.server import Server
from tests.usage.test_log import CALL

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
