"""A connection that the database has closed is replaced before a request notices."""

from threading import Barrier

import pytest
from django.db import connection

from core.database import liveness, raw_connection
from tests.client import ApiClient
from tests.threads import at_once
from tests.usage.calls import CALL

pytestmark = pytest.mark.servers

COUNT = 6


def end_all_sessions() -> None:
    """As a restart of the database does."""
    with raw_connection.connect() as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def warm(api):
    """Several connections in the pool, all idle, and one of the group writer."""
    barrier = Barrier(COUNT)

    def hold():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            barrier.wait(10)

    api.send("POST", "/api/v1/log", CALL)
    connection.close()
    at_once(*[hold] * COUNT)
    return api


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/health", None),
        ("GET", "/ready", None),
        ("GET", "/api/v1/logs", None),
        ("GET", "/api/v1/stats", None),
        ("POST", "/api/v1/log", CALL),
        ("POST", "/api/v1/templates", {"name": "t"}),
        ("POST", "/conversations", {}),
    ],
)
def test_no_request_fails_after_a_restart(warm, method, path, body):
    end_all_sessions()
    for _ in range(2 * COUNT):
        warm.send(method, path, body)
        connection.close()


def test_messages_are_appended_after_a_restart(warm):
    id = warm.send("POST", "/conversations", {})["id"]
    end_all_sessions()
    for _ in range(2 * COUNT):
        warm.send("POST", f"/conversations/{id}/messages", {"role": "user", "content": "x"})


def test_unknown_keys_are_looked_up_after_a_restart(warm, bridge_mode):
    end_all_sessions()
    for number in range(2 * COUNT):
        stranger = ApiClient(f"llmr_pk_{number:032x}")
        assert stranger.read("/api/v1/logs") == []
        connection.close()


def test_live_connection_is_taken_without_a_round_trip(db, monkeypatch):
    connection.ensure_connection()
    raw = connection.connection
    sent = []
    monkeypatch.setattr(raw, "execute", sent.append)
    assert liveness.is_live(raw) and sent == []


def test_connection_with_a_notice_is_live(db):
    with raw_connection.connect() as own, raw_connection.connect() as other:
        own.execute("LISTEN something")
        other.execute("NOTIFY something")
        assert liveness.is_live(own)
