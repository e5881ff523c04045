"""A revoked key is refused by every process at once, cached or not."""

import time

import psycopg
import pytest
from django.db import connection

from accounts import api_keys, key_cache
from tests.client import ApiClient
from tests.usage.calls import CALL

pytestmark = pytest.mark.django_db(transaction=True)

ROUTE = "/api/v1/logs"


def refused_within_a_second(client) -> bool:
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if client.get(ROUTE).status_code == 401:
            return True
    return False


def test_cached_key_is_refused_after_its_revocation(api, project):
    api.send("POST", "/api/v1/log", CALL)
    assert key_cache.get(api_keys.digest(api.key))
    project.api_keys.all().revoke()
    assert refused_within_a_second(api)
    api.send("POST", "/api/v1/log", CALL, expect=401)


def test_change_made_by_another_program_is_noticed_too(api):
    api.send("POST", "/api/v1/log", CALL)
    with psycopg.connect(**_parameters(), autocommit=True) as other:
        other.execute("UPDATE api_keys SET expires_at = now() WHERE id = %s", [api.api_key_id])
    assert refused_within_a_second(api)


def test_nothing_is_cached_while_the_listener_is_cut_off(api, project, monkeypatch):
    api.send("POST", "/api/v1/log", CALL)
    monkeypatch.setattr(key_cache.KeyListener, "is_healthy", False)
    assert key_cache.get(api_keys.digest(api.key)) is None
    api.send("POST", "/api/v1/log", CALL)  # every request looks its key up
    project.api_keys.all().revoke()
    api.send("POST", "/api/v1/log", CALL, expect=401)


def test_loss_and_return_of_the_database_are_logged_once(caplog):
    caplog.set_level("INFO", logger="accounts.key_cache")
    listener, attempts = key_cache.KeyListener(), []

    def listen() -> None:
        attempts.append(None)
        if len(attempts) > 10:
            listener._stopped.set()
        if len(attempts) == 6:
            listener._log_loss("")  # as when it listens
        raise psycopg.OperationalError

    listener._listen = listen
    listener._stopped.wait = lambda seconds: None
    listener.run()
    assert [record.getMessage() for record in caplog.records] == [
        "key listener lost its connection: OperationalError",
        "key listener is connected again",
        "key listener lost its connection: OperationalError",
    ]


@pytest.mark.slow
def test_listener_reconnects_after_its_connection_was_killed(api):
    with psycopg.connect(**_parameters(), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query = 'SELECT 1' AND pid <> pg_backend_pid()"
        )
        key_cache.listener.listening.clear()
    assert key_cache.listener.listening.wait(5)
    api.send("POST", "/api/v1/log", CALL)
    assert ApiClient(api.key).get(ROUTE).status_code == 200


def _parameters() -> dict:
    parameters = connection.get_connection_params()
    return {k: v for k, v in parameters.items() if k in ("host", "dbname", "user", "options")}
