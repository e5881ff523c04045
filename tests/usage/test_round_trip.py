"""Exports are read back as the same logs (docs/http-contract/usage.md, "Round trips")."""

import io
import json
import random
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command

from registry_proxy import snapshots
from tests.usage.test_corrections import BATCH, correct, void
from usage.models import UsageLog

WINDOW = {"start_date": "2026-01-01", "end_date": "2026-02-28"}
# Of a copy, what is its own.
OWN = ("id", "received_at", "api_key_id", "corrects_id")
TEXTS = [
    "",
    "=1+1",
    "+1",
    "-1",
    "@a",
    "\ta",
    "'",
    "''x",
    'a "b", c',
    "a\r\nb",
    "ü;ö",
    " x ",
    "none",
]
_take_bundled = snapshots.take_bundled


@pytest.fixture
def priced(api, monkeypatch):
    monkeypatch.setattr(snapshots, "take_bundled", _take_bundled)
    return api


def odd_logs(count):
    """Reports of all kinds: odd texts, numbers of any size, all token classes, no usage."""
    pick = random.Random(7)
    for number in range(count):
        at = f"2026-01-{1 + number % 28:02}T{number % 24:02}:{number % 60:02}:00.{number:06}Z"
        log = {
            "provider": pick.choice(["openai", "anthropic", "google", "", "=p"]),
            "model": pick.choice(["gpt-4o-mini", "claude-haiku-4-5", "unknown", "'m"]),
            "alias": pick.choice([None, *TEXTS]),
            "origin": pick.choice([None, *TEXTS]),
            "id_at_origin": pick.choice([None, *TEXTS]),
            "user": pick.choice([None, *TEXTS]),
            "profile": pick.choice(["p", *TEXTS]),
            "metadata": {pick.choice(TEXTS): pick.choice([1e30, 2**70, 0.1, None, ["x"], {}])},
            "timestamp": at,
            "event_id": pick.choice([None, f"{pick.choice(TEXTS)}{number}"]),
            "latency_ms": pick.choice([None, 0, 5]),
        }
        kind = number % 5
        if kind == 0:
            log["usage_status"] = "unknown"
        else:
            log |= {"input_tokens": 1000, "output_tokens": 200}
        if kind == 2:
            log |= {"cost": pick.choice([0, "0.000000000001", "123456789012.000000000001"])}
        if kind == 3:
            log |= {"cached_input_tokens": 300, "cache_write_5m_tokens": 50, "thinking_tokens": 9}
        if kind == 4:
            log |= {"units": {"audio_seconds": "1.5"}, "service_tier": "flex"}
        yield log


def post(api, logs, content_type="application/x-ndjson"):
    return api.send("POST", BATCH, logs, content_type=content_type)


def ledger_of(api, format="ndjson"):
    response = api.get("/api/v1/logs/export", {**WINDOW, "format": format})
    return response.getvalue()


def without_own(text):
    logs = [json.loads(line) for line in text.splitlines()]
    return sorted(
        json.dumps({name: log[name] for name in log if name not in OWN}, sort_keys=True)
        for log in logs
    )


@pytest.fixture
def exported(priced):
    lines = "\n".join(json.dumps(log) for log in odd_logs(400))
    report = post(priced, lines)
    assert (report["created"], report["failed"]) == (400, 0)
    ids = [result["log_id"] for result in report["results"]]
    correct(priced, ids[1], input_tokens=5, output_tokens=6)
    void(priced, ids[2])
    return priced


@pytest.mark.slow
@pytest.mark.parametrize("format", ["ndjson", "csv"])
def test_an_export_posted_to_a_batch_is_the_same_ledger_once(exported, other_api, format):
    content_type = "text/csv" if format == "csv" else "application/x-ndjson"
    before = ledger_of(exported, format)
    first = post(other_api, before, content_type)
    assert (first["created"], first["failed"], first["duplicates"]) == (403, 0, 0)
    assert without_own(ledger_of(other_api)) == without_own(ledger_of(exported))
    assert post(other_api, before, content_type)["duplicates"] == 403
    assert post(exported, before, content_type)["duplicates"] == 403
    assert UsageLog.objects.count() == 806
    sums = [client.read("/api/v1/stats", WINDOW) for client in (exported, other_api)]
    assert [body.pop("by_api_key") and body for body in sums][0] == sums[1]


@pytest.mark.slow
def test_exported_logs_can_be_posted_one_by_one(exported, other_api):
    lines = ledger_of(exported).splitlines()[:20]
    for _ in range(2):
        for line in lines:
            other_api.send("POST", "/api/v1/log", line)
    copies = UsageLog.objects.filter(project_id=other_api.project.id)
    assert copies.count() == 20
    assert set(without_own(ledger_of(other_api))) <= set(without_own(ledger_of(exported)))


def test_event_of_a_batch_with_a_long_key_is_read_back(api, other_api, tmp_path):
    """The event of an item is the key, a slash and the item's index."""
    at = "2026-01-05T10:00:00Z"
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1, "timestamp": at}
    api.send("POST", BATCH, [call] * 12, HTTP_IDEMPOTENCY_KEY="k" * 255)
    events = {json.loads(line)["event_id"] for line in ledger_of(api).splitlines()}
    assert events == {"k" * 255 + f"/{n}" for n in range(12)}
    assert post(other_api, ledger_of(api))["created"] == 12
    assert post(other_api, ledger_of(api))["duplicates"] == 12
    path = tmp_path / "logs.ndjson"
    path.write_bytes(ledger_of(api))
    out = io.StringIO()
    call_command("importlogs", str(path), stdout=out, stderr=io.StringIO())
    assert out.getvalue().strip() == "0 logs imported, 12 known already, 0 skipped"


def test_event_id_has_as_many_characters_as_are_stored(api):
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    first = api.send("POST", "/api/v1/log", {**call, "event_id": "e" * 300})
    assert api.send("POST", "/api/v1/log", {**call, "event_id": "e" * 300}) == first
    api.send("POST", "/api/v1/log", {**call, "event_id": "e" * 301}, expect=422)


@pytest.mark.slow
def test_thousands_of_odd_logs_come_back_as_they_were(priced, other_api):
    """An export reads two thousand at a time."""

    def post_all(client, lines):
        reports = [post(client, b"\n".join(lines[n : n + 1_250])) for n in (0, 1_250)]
        return [(report["created"], report["duplicates"]) for report in reports]

    sent = [json.dumps(log).encode() for log in odd_logs(2_500)]
    assert post_all(priced, sent) == [(1_250, 0)] * 2
    lines = ledger_of(priced).splitlines()
    assert post_all(other_api, lines) == [(1_250, 0)] * 2
    assert post_all(other_api, lines) == [(0, 1_250)] * 2
    assert without_own(ledger_of(other_api)) == without_own(b"\n".join(lines))


def test_copied_corrections_name_the_copies(exported, other_api):
    post(other_api, ledger_of(exported))
    copies = UsageLog.objects.filter(project_id=other_api.project.id)
    ids = set(copies.values_list("id", flat=True))
    corrected = set(copies.exclude(corrects_id=None).values_list("corrects_id", flat=True))
    assert len(corrected) == 2
    assert corrected <= ids


def test_csv_may_come_from_a_spreadsheet(api):
    """With a byte order mark, semicolons and Windows line ends."""
    text = "\ufeffprovider;model;input_tokens;output_tokens;cost;alias;metadata\r\n"
    text += 'openai;gpt-4o-mini;10;5;0.25;\'=x;"{""a"": 1}"\r\n\r\n'
    text += "openai;gpt-4o-mini;ten;5;;;\r\n"
    text += "openai;gpt-4o-mini;10;5;;;{broken\r\n"
    report = post(api, text.encode(), "text/csv; charset=utf-8")
    assert [result["status"] for result in report["results"]] == ["created", "error", "error"]
    assert report["results"][1]["detail"][0]["loc"] == ["body", "input_tokens"]
    assert report["results"][2]["detail"][0]["loc"][:2] == ["body", "metadata"]
    (log,) = api.read("/api/v1/logs")
    assert (log["alias"], log["cost"], log["metadata"]) == ("=x", 0.25, {"a": 1})


@pytest.mark.parametrize("name", ["timestamp", "logged_at", "created_at", "time"])
@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-01-31T23:59:59.9999999Z", "2026-01-31T23:59:59.999999Z"),
        ("2026-01-31T23:59:59-01:00", "2026-02-01T00:59:59Z"),
        ("2026-01-31 10:00", "2026-01-31T10:00:00Z"),
    ],
)
def test_times_are_cut_and_returned_in_utc(api, name, text, stored):
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1, name: text}
    assert api.send("POST", "/api/v1/log", call)["timestamp"] == stored


def test_the_same_instant_is_the_same_event(api):
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1, "event_id": "e"}
    first = api.send("POST", "/api/v1/log", {**call, "timestamp": "2026-01-05T10:00:00Z"})
    again = api.send("POST", "/api/v1/log", {**call, "timestamp": "2026-01-05T12:00:00.0+02:00"})
    assert again == first
    api.send("POST", "/api/v1/log", {**call, "timestamp": "2026-01-05T10:00:01Z"}, expect=409)


def test_late_logs_are_found_by_when_they_were_received(api):
    call = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1}
    api.send("POST", "/api/v1/log", {**call, "timestamp": "2020-01-05T10:00:00Z"})
    assert len(api.read("/api/v1/logs", {"received_start": "2026-01-01"})) == 1
    log = api.get("/api/v1/logs/export", {"received_start": "2026-01-01"}).getvalue()
    log = json.loads(log)
    later = {"received_start": log["received_at"]}
    assert len(api.get("/api/v1/logs/export", later).getvalue().splitlines()) == 1
    assert len(api.read("/api/v1/logs", {"received_end": log["received_at"]})) == 1
    before = datetime.fromisoformat(log["received_at"]) - timedelta(microseconds=1)
    assert api.read("/api/v1/logs", {"received_end": before.isoformat()}) == []
    assert api.read("/api/v1/stats", later)["summary"]["total_requests"] == 1
