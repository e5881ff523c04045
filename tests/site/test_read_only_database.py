"""A database takes no writes: after a failover, or because its disk is full."""

import select

import pytest
from django.db import OperationalError, connection, transaction
from psycopg import sql

from core import bridge
from core.database import lost_connections, raw_connection
from core.database.group_commit import close_writers
from llmring_site import checks
from tests.usage.calls import CALL
from usage.models import UsageLog

WRITES = [
    ("/api/v1/log", CALL),
    ("/api/v1/log/batch", {"logs": [CALL]}),
    ("/conversations", {"title": "t"}),
    ("/api/v1/templates", {"name": "t"}),
]


def close_connections() -> None:
    connection.close()
    connection.close_pool()
    bridge.run(close_writers())


@pytest.fixture
def set_read_only(db_all):
    """Turn it on or off, for sessions that begin from now on."""
    name = sql.Identifier(connection.settings_dict["NAME"])
    with raw_connection.connect() as operator:
        operator.execute("SET default_transaction_read_only = off")

        def set_it(value: str) -> None:
            change = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
            operator.execute(change.format(name, sql.SQL(value)))

        yield set_it
        operator.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(name))
        close_connections()


@pytest.mark.django_db(transaction=True)
def test_writes_are_unavailable_until_they_are_taken_again(api, set_read_only, way):
    set_read_only("on")
    close_connections()
    for path, body in WRITES:
        reply = api.post(path, body, content_type="application/json")
        assert (reply.status_code, reply.get("Retry-After")) == (503, "1"), path
        connection.close()  # as at the end of every request
    assert api.get("/api/v1/logs").status_code == 200
    connection.close()
    set_read_only("off")  # the sessions that began meanwhile still take no writes
    api.send("PUT", "/api/v1/aliases/fast", {"model": "openai:gpt-4o"})
    for path, body in WRITES:
        api.send("POST", path, body)
    assert UsageLog.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_server_does_not_start_with_it(set_read_only):
    set_read_only("on")
    close_connections()
    (error,) = checks.check_database(None, ["default"])
    assert "is read-only" in error.msg


@pytest.mark.django_db(transaction=True)
def test_session_that_was_ended_in_its_transaction_is_a_lost_one(db_all):
    with pytest.raises(OperationalError) as lost, transaction.atomic(), connection.cursor() as used:
        used.execute("SET LOCAL idle_in_transaction_session_timeout = 1")
        assert select.select([connection.connection.pgconn.socket], [], [], 5)[0]
        used.execute("SELECT 1")
    assert lost_connections.is_lost(lost.value)
