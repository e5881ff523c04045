"""A statement of a request is given up after a while; a reply says so."""

import psycopg
import pytest
from django.db import connection, connections

from accounts.models import User
from core.database import raw_connection
from core.database.timeouts import limit_statements
from tests.client import ApiClient
from usage.models import UsageLog

CALL = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
TOO_SLOW = {"detail": "The query took longer than 0.2 seconds; narrow it"}


@pytest.fixture
def limited(settings, db_all):
    """Connections whose statements may take a fifth of a second."""
    settings.STATEMENT_TIMEOUT_SECONDS = 0.2
    options = connections.settings["default"]["OPTIONS"]
    unlimited = options["options"]
    connection.close()
    connection.close_pool()
    limit_statements()
    limit_statements()  # again: it is one limit all the same
    yield
    options["options"] = unlimited
    connection.close()
    connection.close_pool()


@pytest.fixture
def locked(limited):
    """The ledger, held by somebody else: every read of it waits."""
    with raw_connection.connect() as other, other.transaction(force_rollback=True):
        other.execute("SET statement_timeout = 0")
        other.execute("LOCK TABLE usage_logs IN ACCESS EXCLUSIVE MODE")
        yield


def test_limit_is_part_of_each_connection(limited):
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("200ms",)
        with pytest.raises(Exception, match="statement timeout") as error:
            cursor.execute("SELECT pg_sleep(2)")
    assert isinstance(error.value.__cause__, psycopg.errors.QueryCanceled)


def test_reply_says_that_a_query_took_too_long(api, locked):
    assert api.read("/api/v1/logs", expect=503) == TOO_SLOW


@pytest.mark.django_db(transaction=True)
def test_reply_says_that_another_request_changes_the_same(limited, api):
    """Nothing about it could be narrowed: it can be sent again."""
    path = f"/conversations/{api.send('POST', '/conversations', {'title': 'before'})['id']}"
    with raw_connection.connect() as other, other.transaction(force_rollback=True):
        other.execute("SELECT 1 FROM conversations FOR UPDATE")
        response = api.patch(path, {"title": "after"}, content_type="application/json")
    assert response.status_code == 503
    assert response.json() == {"detail": "Another request is changing the same; try again"}
    assert response["Retry-After"] == "1"
    assert api.send("PATCH", path, {"title": "after"})["title"] == "after"


@pytest.mark.django_db(transaction=True)
def test_who_repeats_a_request_too_early_is_told_to_try_again(limited, api):
    """The first one with this Idempotency-Key, a long import, is still under way."""
    with raw_connection.connect() as other, other.transaction(force_rollback=True):
        other.execute(
            """
            INSERT INTO idempotent_requests
                (id, project_id, fingerprint, body_digest, created_at)
            VALUES (gen_random_uuid(), %s, encode(sha256(%s), 'hex'), '', now())
            """,
            [api.project.id, b"/templates\nkey"],
        )
        response = api.post(
            "/api/v1/templates",
            {"name": "t"},
            content_type="application/json",
            HTTP_IDEMPOTENCY_KEY="key",
        )
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.json() == {"detail": "Another request is changing the same; try again"}


def test_admin_page_says_what_to_do(db_all, locked):
    browser = ApiClient()
    browser.force_login(User.objects.create_superuser("root", password="x"))
    response = browser.get("/admin/usage/usagelog/")
    assert response.status_code == 503
    assert "Narrow the list" in response.content.decode()


def test_bounded_writes_take_their_time(api, limited):
    """A batch lifts the limit for its own transaction, and only for it."""
    api.send("POST", "/api/v1/log/batch", {"logs": [CALL] * 3})
    assert UsageLog.objects.count() == 3
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("200ms",)
