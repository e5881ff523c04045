"""The quota of logs in a month: D03, D04, D05, D07 (docs/limits.md)."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import ApiKey, MonthlyLogs, Project
from conversations.models import Conversation
from core.scoping import Caller
from gateway import metering
from tests.client import ApiClient
from tests.limits.test_requests import HEADERS, standing
from tests.threads import giving_back
from tests.usage.calls import CALL
from usage import retention
from usage.log_rows import build_row
from usage.models import UsageLog
from usage.schemas import LogEntry

LOG, BATCH = "/api/v1/log", "/api/v1/log/batch"
APRIL = 1775001600  # 2026-04-01T00:00:00Z


@pytest.fixture
def now(monkeypatch):
    """A function that sets the clock of arrivals."""

    def set(text: str) -> datetime:
        class Moved(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.fromisoformat(text)

        for module in ("ingestion", "log_rows", "batches", "deduplication"):
            monkeypatch.setattr(f"usage.{module}.datetime", Moved)
        return Moved.now()

    set("2026-03-10T12:00:00Z")
    return set


@pytest.fixture(autouse=True)
def _many_requests(limited, tier, now):
    tier.requests_per_minute = 100_000
    tier.save()


def counted(client) -> dict[str, int]:
    months = MonthlyLogs.objects.filter(project=client.project).order_by("month")
    return {f"{row.month:%Y-%m}": row.logs for row in months}


def stored(client) -> int:
    return UsageLog.objects.filter(project_id=client.project.id).count()


def fill(client, count: int) -> None:
    report = client.send("POST", BATCH, {"logs": [CALL] * count})
    assert report["created"] == count


@pytest.mark.usefixtures("way")
def test_d02_log_beyond_the_quota_is_refused_until_next_month(limited):
    fill(limited, 100)
    for _ in range(2):  # the second refusal is known without asking the database
        reply = limited.post(LOG, CALL, content_type="application/json")
        assert reply.status_code == 429
        assert standing(reply) == (100, 0, APRIL)
        seconds = datetime.fromtimestamp(APRIL, UTC) - datetime(2026, 3, 10, 12, tzinfo=UTC)
        assert int(reply.headers["Retry-After"]) == seconds.total_seconds()
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.json() == {
            "detail": "The limit of 100 logs per month is reached; "
            "it is reset at 2026-04-01T00:00:00Z"
        }
    assert stored(limited) == 100
    assert limited.get("/api/v1/logs").status_code == 200  # reading goes on


def test_d03_the_clients_time_does_not_move_a_log_into_another_month(limited):
    limited.send("POST", LOG, {**CALL, "timestamp": "2026-02-03T00:00:00Z"})
    limited.send("POST", LOG, {**CALL, "timestamp": "2025-12-31T23:59:59Z"})
    old = {**CALL, "timestamp": "2026-01-01T00:00:00Z"}
    assert limited.send("POST", BATCH, {"logs": [old, CALL]})["created"] == 2
    assert counted(limited) == {"2026-03": 4}


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ("2026-01-31T23:59:59.900Z", "2026-02-01T00:00:00.100Z"),
        ("2024-02-29T23:59:59.900Z", "2024-03-01T00:00:00.100Z"),
        ("2025-02-28T23:59:59.900Z", "2025-03-01T00:00:00.100Z"),
        ("2025-12-31T23:59:59.900Z", "2026-01-01T00:00:00.100Z"),
    ],
)
def test_d03_months_begin_at_midnight_utc(limited, now, last, first):
    with connection.cursor() as cursor:  # a server where it is 45 minutes earlier
        cursor.execute("SET TIME ZONE 'America/New_York'")
    try:
        now(last)
        fill(limited, 100)
        assert limited.post(LOG, CALL, content_type="application/json").status_code == 429
        now(first)
        limited.send("POST", LOG, CALL)
        fill(limited, 1)
    finally:
        connection.close()
        connection.close_pool()  # or another test would get it
    assert counted(limited) == {last[:7]: 100, first[:7]: 2}


def test_d03_deleting_gives_nothing_back(limited, now):
    now("2026-03-31T12:00:00Z")
    fill(limited, 90)
    old = {**CALL, "timestamp": "2026-01-01T00:00:00Z"}
    assert limited.send("POST", BATCH, {"logs": [old] * 10})["created"] == 10
    assert sum(retention.enforce(now=datetime(2026, 3, 31, 12, tzinfo=UTC))) == 10
    assert stored(limited) == 90
    conversation = limited.send("POST", "/api/v1/conversations", {"title": "gone"})["id"]
    limited.send("DELETE", f"/api/v1/conversations/{conversation}")
    assert not Conversation.objects.filter(id=conversation).exists()
    assert limited.post(LOG, CALL, content_type="application/json").status_code == 429
    assert counted(limited) == {"2026-03": 100}


def test_d03_operators_imports_are_neither_counted_nor_refused(limited, tmp_path):
    fill(limited, 100)
    rows = [json.dumps({**CALL, "timestamp": f"2026-01-0{n}T00:00:00Z"}) for n in range(1, 6)]
    file = tmp_path / "logs.ndjson"
    file.write_text("\n".join(rows))
    call_command(
        "importlogs", str(file), project=str(limited.project.id), stdout=StringIO(), stderr=None
    )
    assert (stored(limited), counted(limited)) == (105, {"2026-03": 100})


def test_corrections_and_calls_through_the_gateway_are_not_refused(limited):
    fill(limited, 99)
    log = limited.send("POST", LOG, CALL)["log_id"]
    correction = {"input_tokens": 7, "output_tokens": 1, "reason": "wrong"}
    limited.send("POST", f"/api/v1/logs/{log}/correct", correction)
    assert counted(limited) == {"2026-03": 100}
    _relayed(limited)
    assert counted(limited) == {"2026-03": 101}


def _relayed(client) -> None:
    """A call that the gateway has made already."""
    caller = Caller(project_id=client.project.id, api_key_id=client.api_key_id)
    metering.settle_lost([build_row(LogEntry(**CALL), caller, upstream="openai")])


def _exported(number: int, **members) -> dict:
    """A log as an export of another server has it."""
    return {
        **CALL,
        "id": f"019b8dac-a500-7000-8000-{number:012}",
        "timestamp": "2026-01-05T10:00:00Z",
        "cost": "1",
        "cost_source": "caller",
        **members,
    }


def _chain(first: int, length: int) -> list[dict]:
    """Entries of which each says that it replaces the one before."""
    return [
        _exported(n, entry_type="replacement", corrects_id=_exported(n - 1)["id"])
        for n in range(first, first + length)
    ]


@pytest.mark.parametrize(
    "logs",
    [
        [{**CALL, "event_id": f"e{n}", "upstream": "openai"} for n in range(103)],
        [_exported(n, upstream="openai") for n in range(103)],
        _chain(1, 103),
        [_exported(0), *_chain(1, 102)],
        [*reversed(_chain(1, 102)), _exported(0)],
        [
            _exported(n, entry_type=kind, corrects_id=_exported(n + 500)["id"])
            for n, kind in enumerate(["replacement", "reversal"] * 52)
        ][:103],
    ],
    ids=[
        "upstream",
        "exported_upstream",
        "replacements_of_nothing",
        "replacements_alone",
        "any_order",
        "corrections_of_nothing",
    ],
)
def test_no_member_of_a_log_passes_the_quota(limited, logs):
    """Whatever a log says of itself, it is counted, unless the project has what it corrects."""
    for _ in range(2):
        report = limited.send("POST", BATCH, logs)
        assert (report["created"] + report["duplicates"], report["failed"]) == (100, 3)
        assert (stored(limited), counted(limited)) == (100, {"2026-03": 100})
        limited.send("POST", LOG, _exported(900, upstream="openai"), expect=429)
        limited.send("POST", LOG, _chain(901, 1)[0], expect=429)


@pytest.mark.parametrize("is_full", [False, True])
def test_corrections_of_what_the_project_has_need_no_room(limited, api, is_full):
    """A log, and a correction of a correction, in an export whose order nobody knows."""
    log = api.send("POST", LOG, CALL)["log_id"]
    first = _export(api)
    for cost in ("0.2", "0.3"):
        correction = {"reason": "wrong", "cost": cost}
        reply = api.send("POST", f"/api/v1/logs/{log}/correct", correction)
        log = reply["replacement"]["log_id"]
    lines = [*reversed(_export(api).splitlines())]
    assert len(lines) == 5
    if is_full:
        _copy(limited, first)
        fill(limited, 99)
        limited.send("POST", LOG, CALL, expect=429)
    report = _copy(limited, b"\n".join(lines))
    assert (report["created"], report["failed"]) == (4 if is_full else 5, 0)
    assert counted(limited) == {"2026-03": 100 if is_full else 1}


def test_a_replacement_needs_no_room_after_its_reversal(limited, api):
    log = api.send("POST", LOG, CALL)["log_id"]
    api.send("POST", f"/api/v1/logs/{log}/correct", {"reason": "wrong", "cost": "0.2"})
    entries = {json.loads(line)["entry_type"]: line for line in _export(api).splitlines()}
    _copy(limited, entries["call"])
    fill(limited, 99)
    for kind in ("reversal", "replacement"):
        assert _copy(limited, entries[kind])["created"] == 1
    assert counted(limited) == {"2026-03": 100}


def test_corrections_of_a_refused_log_are_refused_with_it(limited, api):
    log = api.send("POST", LOG, CALL)["log_id"]
    api.send("POST", f"/api/v1/logs/{log}/correct", {"reason": "wrong", "cost": "0.2"})
    fill(limited, 100)
    report = _copy(limited, _export(api))
    assert (report["created"], report["failed"]) == (0, 3)
    assert "100 logs per month" in report["results"][0]["detail"]
    assert stored(limited) == 100


def in_parallel(function, arguments, *, threads: int) -> list:
    """What the function returns for each, called in so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(giving_back(function), arguments))


def items(client) -> list[dict]:
    """250 items: 20 stored before, 5 invalid, 10 of them twice; 215 new ones."""
    new = [{**CALL, "event_id": f"new {n}"} for n in range(215)]
    stored_before = [{**CALL, "event_id": f"old {n}"} for n in range(20)]
    invalid = [{**CALL, "input_tokens": -1}] * 5
    batch = [*new[:50], *stored_before, *new[:10], *invalid, *new[50:]]
    assert len(batch) == 250
    return batch


def bodies(batch: list[dict]):
    lines = "\n".join(json.dumps(item) for item in batch)
    return {
        "object": ({"logs": batch}, {}),
        "list": (batch, {}),
        "ndjson": (lines, {"content_type": "application/x-ndjson"}),
    }


@pytest.mark.parametrize("form", ["object", "list", "ndjson"])
def test_d04_batch_is_taken_up_to_the_quota(limited, tier, form):
    tier.logs_per_month = 120
    tier.save()
    old = [{**CALL, "event_id": f"old {n}"} for n in range(20)]
    assert limited.send("POST", BATCH, {"logs": old})["created"] == 20
    body, extra = bodies(items(limited))[form]
    report = limited.send("POST", BATCH, body, **extra)
    assert (report["created"], report["duplicates"]) == (100, 30)
    assert report["failed"] == 5 + 115
    states = [result["status"] for result in report["results"]]
    assert states[:50] == ["created"] * 50
    assert states[50:80] == ["duplicate"] * 30
    assert states[80:85] == ["error"] * 5
    assert states[85:135] == ["created"] * 50
    assert states[135:] == ["error"] * 115
    detail = report["results"][-1]["detail"]
    assert "120 logs per month" in detail and "2026-04-01T00:00:00Z" in detail
    assert (stored(limited), counted(limited)) == (120, {"2026-03": 120})
    # The whole batch again, with nothing left: what is stored stays a duplicate.
    again = limited.send("POST", BATCH, body, **extra)
    assert (again["created"], again["duplicates"], again["failed"]) == (0, 130, 120)
    assert (stored(limited), counted(limited)) == (120, {"2026-03": 120})


def test_d04_parallel_batches_share_what_is_left(limited):
    def send(part: int) -> dict:
        logs = [{**CALL, "event_id": f"{part} {n}"} for n in range(60)]
        return ApiClient(limited.key).send("POST", BATCH, {"logs": logs})

    reports = in_parallel(send, range(4), threads=4)
    assert sum(report["created"] for report in reports) == 100
    assert (stored(limited), counted(limited)) == (100, {"2026-03": 100})


@pytest.mark.slow
def test_quota_is_exact_under_races_of_all_routes(limited):
    second = ApiKey.issue(limited.project)[1]

    def send(number: int) -> int:
        client = ApiClient(limited.key if number % 2 else second)
        match number % 3:
            case 0:
                body = {"logs": [CALL, CALL]}
                return client.send("POST", BATCH, body)["created"]
            case 1:  # the edge
                reply = client.post(LOG, CALL, content_type="application/json")
            case 2:  # an exported log, stored in a thread
                log = {**CALL, "id": f"export {number}", "logged_at": "2026-03-01T00:00:00Z"}
                reply = client.post(LOG, log, content_type="application/json")
        assert reply.status_code in (200, 429), reply.content
        return int(reply.status_code == 200)

    created = sum(in_parallel(send, range(150), threads=8))
    assert (created, stored(limited), counted(limited)) == (100, 100, {"2026-03": 100})


@pytest.mark.usefixtures("way")
def test_d05_retry_of_a_stored_log_is_never_refused(limited):
    key = {"HTTP_IDEMPOTENCY_KEY": "once"}
    first = limited.send("POST", LOG, CALL, **key)
    assert limited.send("POST", LOG, CALL, **key) == first
    fill(limited, 99)
    assert counted(limited) == {"2026-03": 100}
    for _ in range(2):
        limited.send("POST", LOG, {**CALL, "event_id": "another"}, expect=429)
        assert limited.send("POST", LOG, CALL, **key) == first
        limited.send("POST", LOG, {**CALL, "model": "other"}, expect=409, **key)
    assert (stored(limited), counted(limited)) == (100, {"2026-03": 100})


def _export(client) -> bytes:
    return client.get("/api/v1/logs/export", {"start_date": "2020-01-01"}).getvalue()


def _copy(client, rows: bytes) -> dict:
    return client.send("POST", BATCH, rows, content_type="application/x-ndjson")


@pytest.mark.parametrize("is_known_to_be_full", [False, True])
def test_d05_copies_sent_again_are_never_refused(limited, api, is_known_to_be_full):
    fill(api, 100)
    rows = _export(api)
    assert _copy(limited, rows)["created"] == 100
    if is_known_to_be_full:
        limited.send("POST", LOG, CALL, expect=429)
    again = _copy(limited, rows)
    assert (again["duplicates"], again["failed"]) == (100, 0)
    limited.send("POST", LOG, rows.splitlines()[0])
    fill(api, 1)
    again = _copy(limited, _export(api))
    assert (again["created"], again["duplicates"], again["failed"]) == (0, 100, 1)
    assert (stored(limited), counted(limited)) == (100, {"2026-03": 100})


def test_d05_refused_requests_use_no_quota(limited, tier):
    for body, status in (({**CALL, "input_tokens": -1}, 422), ("[", 422)):
        limited.send("POST", LOG, body, expect=status)
    limited.send("POST", LOG, CALL, expect=401, HTTP_X_API_KEY="llmr_pk_unknown")
    tier.requests_per_minute = 0
    tier.save()
    _until(limited, 429)
    assert sum(counted(limited).values()) == stored(limited)


def test_d07_changed_quota_counts_what_has_arrived(limited, tier):
    fill(limited, 100)
    limited.send("POST", LOG, CALL, expect=429)
    tier.logs_per_month = 101
    tier.save()
    _until(limited, 200)
    limited.send("POST", LOG, CALL, expect=429)
    tier.logs_per_month = 50  # pro to free: what is stored stays
    tier.save()
    reply = _until(limited, 429)
    assert standing(reply)[:2] in ((50, 0), (101, 0))
    assert stored(limited) == 101
    limited.project.tier = None
    limited.project.save()
    reply = _until(limited, 200)
    assert not set(HEADERS) & set(reply.headers)
    assert counted(limited) == {"2026-03": 101}  # without a tier nothing is counted


def _until(client, status: int):
    """The first reply of this status, within a second."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        reply = client.post(LOG, CALL, content_type="application/json")
        if reply.status_code == status:
            return reply
    raise AssertionError(reply.status_code)


def test_projects_in_one_group_do_not_share_their_fate(limited, api, tier):
    other = ApiClient.of(Project.objects.create(name="other", tier=tier))
    fill(limited, 100)

    def send(number: int) -> tuple[int, int]:
        client = (limited, other, api)[number % 3]
        reply = ApiClient(client.key).post(LOG, CALL, content_type="application/json")
        return number % 3, reply.status_code

    outcomes = in_parallel(send, range(90), threads=8)
    assert outcomes.count((0, 429)) == outcomes.count((1, 200)) == outcomes.count((2, 200)) == 30
    assert (counted(other), counted(api)) == ({"2026-03": 30}, {})
