"""What the pool's connections keep of large requests: nothing."""

import pytest
from django.db import connection

from core.database.raw_connection import pooled_cursor
from tests.usage.calls import CALL
from usage.models import UsageLog

LARGE, SMALL = "x" * 2_200_000, "x" * 1_000


@pytest.fixture(autouse=True)
def pool(transactional_db):
    connection.close()
    yield connection.pool
    connection.close()


def sessions(pool) -> set[int]:
    return {idle.info.backend_pid for idle in pool._pool}


@pytest.mark.parametrize("cursor", [connection.cursor, pooled_cursor])
@pytest.mark.parametrize(("text", "is_kept"), [(SMALL, True), (LARGE, False)])
def test_a_connection_is_closed_after_a_large_statement(pool, cursor, text, is_kept):
    with cursor() as opened:
        opened.execute("SELECT pg_backend_pid(), length(%s::text)", [text])
        session, length = opened.fetchone()
    connection.close()

    assert length == len(text)
    assert (session in sessions(pool)) == is_kept


def test_batches_are_not_remembered_by_connections_that_read(api, pool):
    api.send("GET", "/api/v1/stats")
    connection.close()
    for _ in range(3):
        api.send("POST", "/api/v1/log/batch", {"logs": [CALL] * 10})
        api.send("GET", "/api/v1/stats")
        connection.close()

    assert pool._pool and not any(idle._prepared._counts for idle in pool._pool)
    assert UsageLog.objects.count() == 30
