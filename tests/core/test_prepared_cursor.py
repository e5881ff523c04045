"""Statements of the pool's connections: parameters, what is prepared, errors."""

from decimal import Decimal

import psycopg
import pytest
from django.db import connection

from core.database import prepared_cursor, raw_connection
from core.database.prepared_cursor import PreparedCursor
from core.database.raw_connection import pooled_cursor

PREPARED = "SELECT count(*) FROM pg_prepared_statements"


@pytest.fixture(autouse=True)
def pool(transactional_db):
    connection.close()
    yield
    connection.close()


@pytest.mark.parametrize("prepares", [True, False])
@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT %s::int, %s::numeric, '100%%', %s::int", (7, Decimal("0.5"), 7)),
        (
            "SELECT %(count)s::int, %(cost)s::numeric, '100%%', %(count)s::int",
            {"cost": Decimal("0.5"), "count": 7, "unused": 1},
        ),
    ],
)
def test_parameters_stand_where_they_are_named(monkeypatch, prepares, sql, params):
    monkeypatch.setattr(PreparedCursor, "prepares", prepares)
    with pooled_cursor() as cursor:
        cursor.execute(sql, params)

        assert cursor.fetchall() == [(7, Decimal("0.5"), "100%", 7)]
        assert cursor.fetchone() is None


def test_rows_come_one_by_one_or_all():
    with pooled_cursor() as cursor:
        cursor.execute("SELECT generate_series(1, 4)")
        assert cursor.fetchone() == (1,)
        assert next(iter(cursor)) == (2,)
        assert cursor.fetchall() == [(3,), (4,)]


def test_a_statement_is_prepared_once_for_its_types(monkeypatch):
    with raw_connection.connect() as own:
        cursor = PreparedCursor(own)
        for value in (1, 2, "a", "b"):
            cursor.execute("SELECT %s::text", (value,))
        cursor.execute(PREPARED)

        assert cursor.fetchone() == (3,)


def test_no_more_statements_stay_prepared_than_the_most_recent(monkeypatch):
    monkeypatch.setattr(prepared_cursor, "_MAX_PREPARED", 3)
    with raw_connection.connect() as own:
        cursor = PreparedCursor(own)
        for number in (*range(6), 0):
            cursor.execute(f"SELECT {number}")
            assert cursor.fetchone() == (number,)
        cursor.execute(PREPARED)

        assert cursor.fetchone() == (3,)


def test_two_connections_behind_a_pooler_have_no_name_in_common():
    with raw_connection.connect() as one, raw_connection.connect() as other:
        names = set()
        for own in (one, other):
            cursor = PreparedCursor(own)
            cursor.execute("SELECT 1")
            cursor.execute("SELECT name FROM pg_prepared_statements")
            names |= {*cursor.fetchall()}

    assert len(names) == 4


def test_an_error_is_the_servers_and_the_connection_goes_on():
    with raw_connection.connect() as own:
        cursor = PreparedCursor(own)
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                cursor.execute("SELECT 1 / %s", (0,))
        with pytest.raises(psycopg.errors.SyntaxError):
            cursor.execute("SELECT SELECT")
        cursor.execute("SELECT 1")

        assert cursor.fetchone() == (1,)


def test_a_statement_that_a_pooler_lost_runs_unprepared_from_then_on(monkeypatch):
    monkeypatch.setattr(PreparedCursor, "prepares", True)
    with raw_connection.connect() as own:
        cursor = PreparedCursor(own)
        cursor.execute("SELECT 1")
        own.execute("DEALLOCATE ALL")
        for _ in range(2):
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]

    assert not PreparedCursor.prepares
