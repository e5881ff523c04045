"""A session ends where nobody can have noticed: right before a statement, or during one.

Reads and writes that are safe to repeat are answered as ever (F2), and nothing is done twice.
"""

import select
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import User
from conversations.models import Conversation
from core.database import lost_connections, raw_connection
from core.database.postgresql.base import DatabaseWrapper
from templates_app.models import ConversationTemplate
from tests.client import ApiClient
from tests.threads import giving_back
from tests.usage.calls import CALL
from tests.waiting_sessions import waiting_sessions
from usage.models import UsageLog

MAX_STATEMENTS = 40


@pytest.fixture
def operator(db_all):
    with raw_connection.connect() as own:
        yield own


@pytest.fixture
def each_statement(monkeypatch, operator):
    """Numbers of a request's statements: the session ends right before the one of that number.

    To be looped over with one request in each round; ends when a request has no more.
    """
    is_idle, left, ended = lost_connections.is_idle, [0], [False]

    def end(used: psycopg.Connection) -> bool:
        idle = is_idle(used)
        left[0] -= 1
        if left[0] == 0:
            operator.execute("SELECT pg_terminate_backend(%s)", [used.info.backend_pid])
            # The server says so; pg_terminate_backend itself looks ten times a second.
            assert select.select([used.pgconn.socket], [], [], 5)[0]
            ended[0] = True
        return idle

    monkeypatch.setattr(lost_connections, "is_idle", end)

    def numbers():
        for number in range(1, MAX_STATEMENTS):
            connection.close()
            left[0], ended[0] = number, False
            yield number
            left[0] = 0
            if not ended[0]:
                assert number > 1, "no statement was seen"
                return
        raise AssertionError("too many statements")

    numbers.stop = lambda: left.__setitem__(0, 0)
    return numbers


@pytest.fixture
def rows(api):
    api.send("POST", "/api/v1/log", CALL)
    api.send("PUT", "/api/v1/aliases/fast", {"model": "openai:gpt-4o"})
    template = api.send("POST", "/api/v1/templates", {"name": "t"})
    conversation = api.send("POST", "/conversations", {})
    api.send(
        "POST", f"/conversations/{conversation['id']}/messages", {"role": "user", "content": "x"}
    )
    return {"template": template["id"], "conversation": conversation["id"]}


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/ready",
        "/api/v1/logs",
        "/api/v1/stats",
        "/api/v1/logs/export",
        "/api/v1/aliases",
        "/api/v1/templates",
        "/api/v1/templates/{template}",
        "/conversations",
        "/conversations/{conversation}",
        "/conversations/{conversation}/messages",
        "/api/v1/receipts",
        "/api/v1/receipts/uncertified",
        "/api/v1/mcp/servers",
    ],
)
def test_reads_are_answered_whichever_statement_is_lost(api, rows, way, each_statement, path):
    path = path.format(**rows)

    def answer() -> tuple:
        response = api.get(path)
        body = response.getvalue() if response.streaming else response.content
        return response.status_code, b"" if path == "/health" else body

    expected = answer()
    assert expected[0] == 200
    for _ in each_statement():
        assert answer() == expected


@pytest.mark.slow
def test_admin_pages_are_shown_whichever_statement_is_lost(rows, each_statement):
    browser = ApiClient()
    browser.force_login(User.objects.create_superuser("root", password="x"))
    for _ in each_statement():
        assert browser.get("/admin/usage/usagelog/").status_code == 200


def test_unknown_keys_are_looked_up(bridge_mode, way, each_statement):
    for number in each_statement():
        assert ApiClient(f"llmr_pk_{number:032x}").read("/api/v1/logs") == []


def test_put_is_carried_out_whichever_statement_is_lost(api, rows, each_statement):
    for number in each_statement():
        target = {"model": f"openai:m{number}"}
        api.send("PUT", "/api/v1/aliases/fast", target)
        each_statement.stop()
        resolved = api.read("/api/v1/aliases/resolve", {"alias": "fast"})
        assert resolved["model"] == target["model"]
        name = {"name": f"name {number}"}
        assert (
            api.send("PUT", f"/api/v1/templates/{rows['template']}", name)["name"] == name["name"]
        )


def test_idempotent_post_happens_once_whichever_statement_is_lost(api, each_statement):
    for number in each_statement():
        body, key = {"name": f"t{number}"}, {"HTTP_IDEMPOTENCY_KEY": f"key-{number}"}
        first = api.send("POST", "/api/v1/templates", body, **key)
        assert api.send("POST", "/api/v1/templates", body, **key) == first
        assert ConversationTemplate.objects.filter(name=f"t{number}").count() == 1


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/api/v1/templates", {"name": "t"}, ConversationTemplate),
        ("/conversations", {}, Conversation),
        ("/api/v1/log", CALL, UsageLog),
        ("/api/v1/log/batch", {"logs": [CALL]}, UsageLog),
    ],
)
def test_post_without_a_key_is_never_done_twice(api, each_statement, path, body, model):
    """503 says that it may be tried again; what was answered with 200 is there once."""
    answered = 0
    for _ in each_statement():
        response = api.post(path, body, content_type="application/json")
        assert response.status_code in (200, 503), response.content
        answered += response.status_code == 200
        connection.close()
        assert model.objects.count() == answered


def lose_commit(monkeypatch, *, is_done: bool) -> list[int]:
    """Have the next commit's connection end, before it or between it and its answer."""
    commit, lost = DatabaseWrapper._commit, []

    def once(self):
        if not lost:
            lost.append(1)
            if is_done:
                commit(self)
            self.connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        commit(self)

    monkeypatch.setattr(DatabaseWrapper, "_commit", once)
    return lost


@pytest.mark.parametrize("is_done", [False, True])
def test_commit_without_an_answer_is_repeated_where_that_is_harmless(api, monkeypatch, is_done):
    lost = lose_commit(monkeypatch, is_done=is_done)
    key = {"HTTP_IDEMPOTENCY_KEY": "once"}
    reply = api.send("POST", "/api/v1/templates", {"name": "t"}, **key)
    assert lost and ConversationTemplate.objects.get().id == UUID(reply["id"])


@pytest.mark.parametrize("is_done", [False, True])
def test_commit_without_an_answer_is_not_repeated_elsewhere(api, monkeypatch, is_done):
    api.send("PUT", "/api/v1/aliases/fast", {"model": "openai:gpt-4o"})
    lost = lose_commit(monkeypatch, is_done=is_done)
    api.send("DELETE", "/api/v1/aliases/fast", expect=503)
    assert lost
    assert len(api.read("/api/v1/aliases")) == (0 if is_done else 1)


def test_read_that_waits_when_its_session_ends(api, rows, way, operator):
    """During the statement: it waits for a lock when a restart ends it."""
    expected = api.read("/api/v1/logs")
    connection.close()
    started = threading.Event()

    @giving_back
    def read() -> list:
        started.set()
        return ApiClient(api.key).read("/api/v1/logs")

    with ThreadPoolExecutor(1) as pool:
        with operator.transaction():
            operator.execute("LOCK TABLE usage_logs IN ACCESS EXCLUSIVE MODE")
            reply = pool.submit(read)
            started.wait(10)
            [pid] = waiting_sessions()
            with raw_connection.connect() as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert reply.result(10) == expected


def test_one_lost_connection_has_the_others_replaced_once(db_all, operator):
    """The pool is not asked again for each of them."""
    connection.ensure_connection()
    pool = connection.connection._pool
    drained = []
    drain, pool.drain = pool.drain, lambda: drained.append(1) or drain()
    try:
        first, second = pool.getconn(), pool.getconn()
        for idle in (first, second):
            lost_connections.mark_taken(idle)
        for idle in (first, second):
            idle.close()
            lost_connections.replace_others(pool, idle)
            pool.putconn(idle)
        assert drained == [1]
    finally:
        pool.drain = drain


@pytest.mark.parametrize(
    ("statement", "is_read"),
    [
        ("SELECT 1", True),
        ("  ((SELECT 1) UNION SELECT 2)", True),
        ("\nWITH a AS (SELECT updated_at FROM t) SELECT * FROM a", True),
        ("WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a", False),
        ("SELECT * FROM t FOR UPDATE", False),
        ("SELECT nextval('s')", False),
        ("SELECT pg_advisory_lock(1)", False),
        ("SELECT 1 INTO t", False),
        ("UPDATE t SET a = 1", False),
        ("NOTIFY channel", False),
        (b"SELECT 1", False),
    ],
)
def test_what_is_a_read(db, operator, statement, is_read):
    assert operator.autocommit
    assert lost_connections.can_repeat(statement, operator) == is_read


def test_statement_of_a_transaction_is_not_repeated_behind_others(operator):
    with pytest.raises(OperationalError), transaction.atomic():
        UsageLog.objects.count()
        pid = connection.connection.info.backend_pid
        operator.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        UsageLog.objects.count()
    assert UsageLog.objects.count() == 0  # and the connection is usable again
