"""Export, and `manage.py importlogs` of exports and of the older server's rows."""

import csv
import io
import json
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from tests.client import ApiClient
from tests.usage.calls import CALL
from usage.models import DailyUsage, UsageLog

WINDOW = {"start_date": "2026-01-01", "end_date": "2026-01-31"}
ITEMS = [
    {
        **CALL,
        "cost": "0.1",
        "alias": 'a "quoted", alias',
        "metadata": {"ü": [1]},
        "latency_ms": 5,
        "timestamp": "2026-01-05T10:00:00.123456Z",
        "event_id": "e1",
    },
    {**CALL, "model": "unknown", "timestamp": "2026-01-06T10:00:00Z"},
]


def export(api, format):
    response = api.get("/api/v1/logs/export", {**WINDOW, "format": format})
    assert response.status_code == 200
    return response.getvalue().decode()


def sums(api):
    """The statistics that do not depend on the key."""
    body = api.read("/api/v1/stats", WINDOW)
    del body["by_api_key"]
    return body


def run(path, *options):
    out = io.StringIO()
    call_command("importlogs", str(path), *options, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_exports_hold_every_log_oldest_first(api):
    api.send("POST", "/api/v1/log/batch", {"logs": ITEMS})
    rows = [json.loads(line) for line in export(api, "ndjson").splitlines()]
    assert [row["logged_at"] for row in rows] == [
        "2026-01-05T10:00:00.123456Z",
        "2026-01-06T10:00:00Z",
    ]
    assert (rows[0]["event_id"], rows[0]["api_key_id"]) == ("e1", str(api.api_key_id))
    cells = list(csv.DictReader(io.StringIO(export(api, "csv"))))
    assert [row["alias"] for row in cells] == ['a "quoted", alias', ""]
    assert json.loads(cells[0]["metadata"]) == {"ü": [1]}
    assert (cells[0]["logged_at"], cells[0]["cost"]) == ("2026-01-05T10:00:00.123456Z", "0.1")


@pytest.mark.parametrize("format", ["ndjson", "csv"])
def test_integers_of_any_size_in_metadata_are_exported(api, format):
    body = json.dumps({**CALL, "metadata": {"big": 0}}).replace('"big": 0', '"big": 1e30')
    api.send("POST", "/api/v1/log", body)
    response = api.get("/api/v1/logs/export", {"format": format})
    assert "1" + "0" * 30 in response.getvalue().decode()


@pytest.mark.parametrize("format", ["ndjson", "csv"])
def test_export_imported_elsewhere_is_the_same_ledger(api, other_api, tmp_path, format):
    api.send("POST", "/api/v1/log/batch", {"logs": ITEMS})
    path = tmp_path / f"logs.{format}"
    path.write_text(export(api, format))
    before = sums(api)
    assert run(path) == "0 logs imported, 2 known already, 0 skipped"
    UsageLog.objects.all().delete()
    DailyUsage.objects.all().delete()
    assert run(path, "--project", str(other_api.project.id)).startswith("2 logs imported")
    assert sums(other_api) == before
    assert UsageLog.objects.filter(cost=None).count() == 1


@pytest.mark.parametrize("format", ["ndjson", "csv"])
def test_copy_into_another_project_of_the_server_gets_new_ids(api, other_api, tmp_path, format):
    """Issue 15, section 5: the old id is kept as event id, unless the log has one."""
    api.send("POST", "/api/v1/log/batch", {"logs": ITEMS})
    path = tmp_path / f"logs.{format}"
    path.write_text(export(api, format))
    project = ("--project", str(other_api.project.id))
    assert run(path, *project) == "2 logs imported, 0 known already, 0 skipped"
    assert run(path, *project) == "0 logs imported, 2 known already, 0 skipped"
    originals = UsageLog.objects.filter(project_id=api.project.id)
    copies = UsageLog.objects.filter(project_id=other_api.project.id)
    assert not {log.id for log in originals} & {log.id for log in copies}
    assert {log.event_id for log in copies} == {"e1", str(originals.get(event_id=None).id)}
    assert sums(other_api) == sums(api)
    assert run(path) == "0 logs imported, 2 known already, 0 skipped"


OLD_ROW = {
    "id": "cc747ba8-1111-4222-8333-444455556666",
    "api_key_id": "llmr_pk_old",
    "model": "gpt-4o",
    "provider": "openai",
    "alias": None,
    "profile": "default",
    "input_tokens": 10,
    "output_tokens": 5,
    "cached_input_tokens": 0,
    "cost": 0.00027,
    "latency_ms": None,
    "origin": None,
    "id_at_origin": None,
    "conversation_id": None,
    "metadata": {},
    "created_at": "2026-01-05T12:00:00+00:00",
}


@pytest.mark.parametrize("key", ["llmr_pk_old", "schlÃ¼ssel"])
def test_older_servers_rows_open_again_with_their_old_key(db_all, tmp_path, bridge_mode, key):
    """It stored the bytes of a key, here of schlüssel, as ISO 8859-1."""
    path = tmp_path / "old.ndjson"
    path.write_text(json.dumps({**OLD_ROW, "api_key_id": key}) + "\n")
    assert run(path) == "1 logs imported, 0 known already, 0 skipped"
    assert run(path) == "0 logs imported, 1 known already, 0 skipped"
    (row,) = ApiClient(key).read("/api/v1/logs", WINDOW)
    assert (row["cost"], row["logged_at"]) == (0.00027, "2026-01-05T12:00:00Z")
    assert DailyUsage.objects.get().cost == Decimal("0.00027")


def test_bad_rows_are_skipped_and_reported(db_all, tmp_path, capsys, bridge_mode):
    path = tmp_path / "old.ndjson"
    bad = [
        "{broken",
        "[]",
        json.dumps({**OLD_ROW, "created_at": "never"}),
        json.dumps({**OLD_ROW, "input_tokens": -1}),
        json.dumps({**OLD_ROW, "api_key_id": None}),
    ]
    path.write_text("\n".join([*bad, json.dumps(OLD_ROW)]) + "\n")
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match="5 rows could not be imported"):
        call_command("importlogs", str(path), stdout=out, stderr=err)
    assert out.getvalue().strip() == "1 logs imported, 0 known already, 5 skipped"
    assert (
        "row 4 skipped: input_tokens: Input should be greater than or equal to 0" in err.getvalue()
    )


@pytest.mark.parametrize(
    ("name", "reason"), [("old.ndjson", "not UTF-8 text"), ("old.CSV", "model: Input should be")]
)
def test_rows_in_another_encoding_are_skipped_alone(db_all, tmp_path, bridge_mode, name, reason):
    path = tmp_path / name
    rows = [{**OLD_ROW, "id": "1", "model": "café"}, OLD_ROW]
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    if name.endswith("CSV"):
        columns = [name for name in rows[0] if name != "metadata"]
        lines = [",".join(str(row[name] or "") for name in columns).encode() for row in rows]
        lines.insert(0, ",".join(columns).encode())
    path.write_bytes(b"\n".join(lines).replace("é".encode(), b"\xe9"))
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match="1 rows could not be imported"):
        call_command("importlogs", str(path), stdout=out, stderr=err)
    assert out.getvalue().strip() == "1 logs imported, 0 known already, 1 skipped"
    assert f"row 1 skipped: {reason}" in err.getvalue()


def test_metadata_of_older_rows_may_be_null(api, tmp_path):
    row = {**ITEMS[0], "metadata": None, "id": "7", "api_key_id": str(api.api_key_id)}
    (tmp_path / "logs.ndjson").write_text(json.dumps(row))
    run(tmp_path / "logs.ndjson")
    assert UsageLog.objects.get().metadata == {}
