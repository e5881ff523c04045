"""A Redis that is away is asked once, by whoever needs it first."""

import pytest
import redis
from django_redis.cache import RedisCache

from core import redis_client
from tests.server import free_port


@pytest.fixture
def refused(settings):
    """The address of a Redis that nobody runs."""
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    return settings.REDIS_URL


def test_nothing_is_sent_to_a_redis_that_is_away(refused):
    client = redis_client.connect()
    with pytest.raises(redis.ConnectionError) as first:
        client.get("key")
    assert not isinstance(first.value, redis_client.Away)
    with pytest.raises(redis_client.Away):
        client.get("key")


def test_cache_that_finds_redis_away_says_so_to_all(refused, caplog):
    options = {
        "REDIS_CLIENT_CLASS": "core.redis_client.Client",
        "IGNORE_EXCEPTIONS": True,
    }
    cache = RedisCache(refused, {"OPTIONS": options})
    cache.set("key", 1)
    assert cache.get("key") is None
    assert redis_client.presence.is_away
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "Redis is away" in warning.getMessage()


def test_another_address_is_another_redis(refused, settings):
    with pytest.raises(redis.ConnectionError):
        redis_client.connect().get("key")
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert not redis_client.presence.is_away
