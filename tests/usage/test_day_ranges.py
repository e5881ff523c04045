"""What the daily sums say is not looked for in the ledger; what they cannot know still is found."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests.client import ApiClient
from tests.usage.calls import CALL
from usage import day_ranges, listing

DAYS = [f"2026-10-{day:02d}" for day in (1, 2, 5, 9, 20)]
WINDOW = {"start_date": "2026-10-01", "end_date": "2026-10-31"}


@pytest.fixture
def logs(api) -> dict[str, list[str]]:
    """Ids of five logs of each day, oldest first; every second day has another model."""
    calls = [
        {
            **CALL,
            "model": f"m{number % 2}",
            "timestamp": f"{day}T{hour:02d}:00:00Z",
            "id_at_origin": f"{day}-{hour}",
        }
        for number, day in enumerate(DAYS)
        for hour in range(5)
    ]
    results = api.send("POST", "/api/v1/log/batch", {"logs": calls})["results"]
    ids = [result["log_id"] for result in results]
    return {day: ids[5 * number : 5 * number + 5] for number, day in enumerate(DAYS)}


def of(logs: dict[str, list[str]], *days: int) -> list[str]:
    return [id for day in days for id in logs[DAYS[day]]]


def pages(api, query: dict) -> list[str]:
    """The ids of all pages, by their cursors."""
    found, query = [], {**WINDOW, **query}
    while True:
        response = api.get("/api/v1/logs", query)
        found += [log["id"] for log in response.json()]
        if "X-Next-Cursor" not in response.headers:
            return found
        query["cursor"] = response.headers["X-Next-Cursor"]


@pytest.mark.parametrize("limit", [1, 5, 7, 500])
def test_pages_of_a_label_go_over_the_days_between(api, logs, way, limit):
    newest_first = of(logs, 0, 2, 4)[::-1]
    assert pages(api, {"model": "m0", "limit": limit}) == newest_first
    assert pages(api, {"limit": limit}) == of(logs, 0, 1, 2, 3, 4)[::-1]
    rows = api.read("/api/v1/logs", {**WINDOW, "model": "m0", "limit": limit, "offset": 6})
    assert [row["id"] for row in rows] == newest_first[6 : 6 + limit]


def test_window_cuts_days_with_the_label(api, logs):
    query = {
        "model": "m0",
        "start_date": f"{DAYS[0]}T02:00:00Z",
        "end_date": f"{DAYS[2]}T01:00:00Z",
    }
    rows = api.read("/api/v1/logs", query)
    assert [row["id"] for row in rows] == [*of(logs, 2)[1::-1], *of(logs, 0)[:1:-1]]


def test_large_logs_end_a_page_between_days(api, logs, monkeypatch):
    monkeypatch.setattr(listing, "MAX_PAGE_BYTES", 10)
    first = api.read("/api/v1/logs", {**WINDOW, "model": "m0"})
    assert [row["id"] for row in first] == of(logs, 4)[::-1]
    assert pages(api, {"model": "m0"}) == of(logs, 0, 2, 4)[::-1]


@pytest.mark.parametrize("entries", [1, 7, 500_000])
@pytest.mark.parametrize(("query", "days"), [({}, range(5)), ({"model": "m1"}, (1, 3))])
def test_export_in_portions_has_every_log_once(api, logs, monkeypatch, entries, query, days):
    monkeypatch.setattr(day_ranges, "MAX_ENTRIES", entries)
    lines = api.get("/api/v1/logs/export", {**WINDOW, **query}).getvalue().splitlines()
    assert [json.loads(line)["id"] for line in lines] == of(logs, *days)


@pytest.mark.parametrize("path", ["/api/v1/logs", "/api/v1/logs/export"])
@pytest.mark.parametrize("label", ["model", "provider", "alias", "origin", "profile", "priced_as"])
def test_absent_label_is_not_looked_for_in_the_ledger(api, logs, way, path, label, monkeypatch):
    monkeypatch.setattr(listing, "_run", pytest.fail)
    response = api.get(path, {**WINDOW, label: "none-such"})
    assert (response.getvalue() if response.streaming else response.content) in (b"[]", b"")


def test_admin_does_not_look_for_an_absent_label(api, logs):
    browser = ApiClient()
    browser.force_login(User.objects.create_superuser("root", password="x"))

    def rows(name: str, value: str) -> tuple[int, str]:
        with CaptureQueriesContext(connection) as queries:
            page = browser.get("/admin/usage/usagelog/", {name: value})
        ledger = [each["sql"] for each in queries if 'FROM "usage_logs"' in each["sql"]]
        return len(page.context["cl"].result_list), "\n".join(ledger)

    assert rows("model__exact", "m1")[0] == 10
    found, ledger = rows("model__exact", "none-such")
    assert found == 0 and all(
        "0000-0000-" in sql for sql in ledger.split("\n") if "none-such" in sql
    )
    assert rows("q", str(api.api_key_id))[0] == 25
    found, ledger = rows("q", "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b")
    assert found == 0 and '"api_key_id" = ' not in ledger


def test_id_at_origin_is_found(api, logs, way):
    for value, expected in ((f"{DAYS[3]}-2", of(logs, 3)[2:3]), ("nope", [])):
        rows = api.read("/api/v1/logs", {**WINDOW, "id_at_origin": value})
        assert [row["id"] for row in rows] == expected
    rows = api.read("/api/v1/logs", {**WINDOW, "id_at_origin": [f"{DAYS[0]}-0", "none"]})
    assert [row["id"] for row in rows] == of(logs, 0)[:1]
