"""The service about itself."""

import pytest
from django.db import connection


def test_health_says_that_the_database_is_connected(anonymous):
    body = anonymous.read("/health")
    assert (body["status"], body["database"], body["redis"]) == ("healthy", "connected", "disabled")
    assert "migrations" not in body


def test_both_spellings_of_a_path_are_served(anonymous):
    assert anonymous.read("/live") == anonymous.read("/live/") == {"status": "alive"}


@pytest.fixture
def unmigrated(db_all):
    """One migration of ours that the database does not have."""
    one = "app = 'usage' AND name = '0001_schema'"
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM django_migrations WHERE {one} RETURNING app, name, applied")
        row = cursor.fetchone()
        yield
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", row
        )


def test_unapplied_migrations_are_neither_healthy_nor_ready(unmigrated, anonymous):
    body = anonymous.read("/health", expect=503)
    assert (body["status"], body["database"], body["migrations"]) == (
        "unhealthy",
        "connected",
        "pending",
    )
    assert anonymous.read("/ready", expect=503) == {
        "status": "not ready",
        "database": "connected",
        "migrations": "pending",
    }
    assert anonymous.read("/live") == {"status": "alive"}


def test_empty_database_is_not_ready(db_all, anonymous):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_migrations RENAME TO hidden_migrations")
        try:
            assert anonymous.read("/ready", expect=503)["migrations"] == "pending"
        finally:
            cursor.execute("ALTER TABLE hidden_migrations RENAME TO django_migrations")


def test_migrations_of_a_later_version_do_not_disturb(db_all, anonymous):
    """While a cluster is upgraded, older servers go on beside a database that is ahead."""
    later = "('usage', '9999_later', now())"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO django_migrations (app, name, applied) VALUES {later}")
        try:
            assert anonymous.read("/ready") == {"status": "ready"}
        finally:
            cursor.execute("DELETE FROM django_migrations WHERE name = '9999_later'")
