"""A server, a database or a role may have other defaults than PostgreSQL's own."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db import connection
from psycopg import sql

from core import errors
from core.database import raw_connection
from usage.models import UsageLog

DEFAULTS = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "America/New_York",
    "default_transaction_isolation": "serializable",
}


@pytest.fixture
def other_defaults(db_all):
    """All connections from now on would have them."""
    database = sql.Identifier(connection.settings_dict["NAME"])
    renew = (connection.close, connection.close_pool)
    for name, value in DEFAULTS.items():
        connection.cursor().execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.Identifier(name), value)
        )
    for each in renew:
        each()
    yield
    connection.cursor().execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(database))
    for each in renew:
        each()


@pytest.mark.django_db(transaction=True)
def test_other_defaults_change_nothing(api, other_defaults):
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    logged = api.send("POST", "/api/v1/log", {**call, "timestamp": "2026-03-02T03:04:05Z"})
    assert logged["timestamp"] == "2026-03-02T03:04:05Z"
    days = api.read("/api/v1/stats?start_date=2026-03-01&end_date=2026-03-31")["by_day"]
    assert [day["date"] for day in days] == ["2026-03-02"]  # March 1st in New York
    assert UsageLog.objects.get().created_at == datetime(2026, 3, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_connections_of_every_kind_have_our_settings(other_defaults):
    expected = {
        "DateStyle": "ISO, MDY",
        "IntervalStyle": "postgres",
        "TimeZone": "UTC",
        "default_transaction_isolation": "read committed",
    }
    with raw_connection.connect() as raw, connection.cursor() as pooled:
        for cursor in (raw.cursor(), pooled):
            cursor.execute(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [[*DEFAULTS]]
            )
            assert dict(cursor.fetchall()) == expected


@pytest.mark.parametrize(
    ("context", "is_row"),
    [
        ('while updating tuple (0,12) in relation "conversations"', True),
        ("beim Aktualisieren von Tupel (0,12) in Relation »conversations«", True),
        ("lors de l'insertion de l'enregistrement (0, 12) de l'index dans la relation", True),
        ('0,12 튜플(해당 릴레이션 "conversations")을 갱신하는 중에 발생', True),
        ("SQL-Anweisung »SELECT 1«\nPL/pgSQL-Funktion f(numeric(12,6)) Zeile 3", False),
        (None, False),
    ],
)
def test_wait_for_a_row_is_recognized_in_any_language(context, is_row):
    class Canceled(errors.psycopg.errors.QueryCanceled):
        diag = SimpleNamespace(context=context)

    expected = 503, "row_locked" if is_row else "query_too_slow"
    failure = errors.failure(Canceled())
    assert (failure.status, failure.code) == expected
