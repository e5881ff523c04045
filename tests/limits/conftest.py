"""The cast of the limits' stories: tiers, a clock that tests set, Redis or none.

Each story is told twice, with Redis and without, and with real commits.
"""

from datetime import datetime

import pytest
import redis
from django.db import connection

from accounts.limits import log_quotas, request_limits, shown_remainder
from accounts.models import Project, Tier
from tests.client import ApiClient
from tests.redis_process import redis_server


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "limits":
            item.add_marker(pytest.mark.django_db(transaction=True), append=False)


@pytest.fixture(scope="session")
def redis_url():
    with redis_server() as (port, _):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(params=["redis", "database"])
def store(request, settings):
    """Where requests are counted."""
    settings.REDIS_URL = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            client.flushall()
    return request.param


@pytest.fixture(autouse=True)
def _fresh_worker(db_all):
    """A worker that has just started, and the real clock for whoever comes next."""
    request_limits.forget()
    log_quotas.forget()
    shown_remainder.forget()
    yield
    set_clock(None)


class Clock:
    """The database's clock; it stands still where it is set."""

    def __init__(self) -> None:
        self.set("2026-03-10T12:00:10Z")

    def set(self, text: str) -> None:
        self.at = datetime.fromisoformat(text)
        set_clock(f"'{text}'::timestamptz")
        request_limits.forget()  # a worker only knows how long a minute still lasts


def set_clock(now: str | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION limit_clock() RETURNS timestamptz LANGUAGE sql AS"
            f" $$SELECT {now or 'clock_timestamp()'}$$"
        )


@pytest.fixture
def clock(db_all):
    return Clock()


@pytest.fixture
def tier(db_all):
    return Tier.objects.create(
        name="tested", requests_per_minute=60, logs_per_month=100, retention_days=30
    )


@pytest.fixture
def limited(tier):
    """A client of a project with that tier."""
    return ApiClient.of(Project.objects.create(name="limited", tier=tier))
