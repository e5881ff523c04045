"""`GET /api/v1/logs` (docs/http-contract.md, section "Listing logs")."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from tests.usage.calls import CALL

LOGS = "/api/v1/logs"


def make(api, count, **members):
    items = [
        {**CALL, "cost": n, "timestamp": f"2026-01-05T00:00:{n:02}Z", **members}
        for n in range(count)
    ]
    return [r["log_id"] for r in api.send("POST", "/api/v1/log/batch", {"logs": items})["results"]]


WINDOW = {"start_date": "2026-01-01", "end_date": "2026-01-31"}


def test_row_has_the_contracts_members(api):
    (id,) = make(api, 1, alias="fast", origin="app", id_at_origin="7", metadata={"a": 1})
    (log,) = api.read(LOGS, WINDOW)
    assert (
        log.items()
        >= {
            "id": id,
            "logged_at": "2026-01-05T00:00:00Z",
            "provider": "openai",
            "model": "gpt-4o-mini",
            "alias": "fast",
            "profile": "default",
            "origin": "app",
            "input_tokens": 1000,
            "output_tokens": 200,
            "cached_input_tokens": 0,
            "cost": 0,
            "cost_source": "caller",
            "latency_ms": None,
            "metadata": {"a": 1},
            "conversation_id": None,
            "id_at_origin": "7",
        }.items()
    )


def test_newest_come_first_and_pages_follow_each_other(api):
    newest_first = make(api, 7)[::-1]
    pages = [api.read(LOGS, {**WINDOW, "limit": 3, "offset": n}) for n in (0, 3, 6)]
    assert [row["id"] for page in pages for row in page] == newest_first


def test_a_page_reads_no_rows_of_other_projects(api, other_api):
    with connection.cursor() as cursor:
        for client, day in ((api, "05"), (other_api, "06")):
            items = [{**CALL, "cost": 1, "timestamp": f"2026-01-{day}T00:00:00Z"}] * 1_000
            client.send("POST", "/api/v1/log/batch", {"logs": items})
            if client is api:  # all rows are this project's, as far as the planner knows
                cursor.execute("ANALYZE usage_logs")
        before = _rows_read(cursor)
        assert len(api.read(LOGS, {**WINDOW, "limit": 10})) == 10
        assert _rows_read(cursor) - before <= 10


def _rows_read(cursor) -> int:
    cursor.execute(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
        " WHERE relid = 'usage_logs'::regclass"
    )
    return cursor.fetchone()[0]


def test_cursor_continues_after_the_last_row(api):
    newest_first, seen, query = make(api, 7)[::-1], [], {**WINDOW, "limit": 3}
    while True:
        response = api.get(LOGS, query)
        seen += [row["id"] for row in response.json()]
        if "X-Next-Cursor" not in response:
            break
        query["cursor"] = response["X-Next-Cursor"]
    assert seen == newest_first


def test_empty_parameters_are_absent(api):
    """What the released client sends."""
    api.send("POST", "/api/v1/log", CALL)
    query = "limit=50&offset=0&alias=&model=&origin=&start_date=&end_date="
    assert len(api.read(f"{LOGS}?{query}")) == 1


def test_labels_match_exactly(api):
    make(api, 1, alias="fast", origin="app")
    make(api, 1, alias="faster", origin="app")
    assert len(api.read(LOGS, {**WINDOW, "alias": "fast"})) == 1
    assert len(api.read(LOGS, {**WINDOW, "origin": "app"})) == 2
    assert api.read(LOGS, {**WINDOW, "model": "gpt"}) == []


def test_other_projects_logs_are_not_listed(api, other_api):
    api.send("POST", "/api/v1/log", CALL)
    assert other_api.read(LOGS) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", 0),
        ("limit", 501),
        ("limit", "abc"),
        ("offset", -1),
        ("offset", 2**70),
        ("cursor", "last"),
        ("start_date", "soon"),
        ("model", "a\x00b"),
    ],
)
def test_bad_query_names_its_parameter(api, name, value):
    (error,) = api.read(LOGS, {name: value}, expect=422)["detail"]
    assert error["loc"] == ["query", name]


def test_queries_do_not_grow_with_rows(api, django_assert_max_num_queries):
    make(api, 50)
    with django_assert_max_num_queries(1):  # the key is cached
        assert len(api.read(LOGS, WINDOW)) == 50


def test_logs_are_found_by_their_id_at_origin(api):
    first = api.send("POST", "/api/v1/log", {**CALL, "id_at_origin": "order-1"})["log_id"]
    other = api.send("POST", "/api/v1/log", CALL)["log_id"]
    found = api.read("/api/v1/logs?id_at_origin=order-1")
    assert [log["id"] for log in found] == [first]
    assert [log["id"] for log in api.read("/api/v1/logs?id_at_origin=none")] == [other]
    assert api.read("/api/v1/logs?id_at_origin=order-2") == []
    assert api.read("/api/v1/stats?id_at_origin=order-1")["summary"]["total_requests"] == 1


def test_what_was_received_is_listed_whatever_time_it_states(api):
    now = datetime.now(UTC)
    for at in (now + timedelta(hours=23, minutes=59), now - timedelta(days=365)):
        api.send("POST", "/api/v1/log", {**CALL, "timestamp": at.isoformat()})
    today = {"received_start": now.date().isoformat()}
    assert len(api.read(LOGS, today)) == 2
    assert api.get("/api/v1/logs/export", today).getvalue().count(b"\n") == 2
    assert api.read("/api/v1/stats", today)["summary"]["total_requests"] == 2
