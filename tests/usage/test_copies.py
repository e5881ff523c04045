"""Copies of another project's logs (docs/http-contract/usage.md, "Round trips")."""

import io

import pytest
from django.core.management import call_command

from accounts.models import Project
from tests.client import ApiClient
from tests.usage.test_corrections import BATCH, correct, logged, void
from usage.models import UsageLog

JANUARY = {"start_date": "2026-01-01", "end_date": "2026-01-31"}


def totals(api):
    summary = api.read("/api/v1/stats", JANUARY)["summary"]
    return summary["total_requests"], summary["total_cost"]


def export(api):
    return api.get("/api/v1/logs/export", JANUARY).getvalue()


def post(api, rows):
    return api.send("POST", BATCH, rows, content_type="application/x-ndjson")


def forget(api):
    """Delete the logs of a project, as retention and `deleteproject` do."""
    UsageLog.objects.filter(project_id=api.project.id).delete()


def calls(api):
    return [log for log in api.read("/api/v1/logs", JANUARY) if log["entry_type"] == "call"]


@pytest.fixture
def source(db_all):
    """A client of the project whose logs are copied."""
    return ApiClient.of(Project.objects.create(name="source"))


def test_copies_are_known_when_their_originals_are_gone(source, api):
    logged(source)
    logged(source, event_id="e")
    rows = export(source)
    assert post(api, rows)["created"] == 2
    forget(source)
    assert post(api, rows)["duplicates"] == 2
    for row in rows.splitlines():
        api.send("POST", "/api/v1/log", row)
    assert totals(api) == (2, "1")


def test_imported_copies_are_known_when_their_originals_are_gone(source, api, tmp_path):
    logged(source)
    logged(source, event_id="e")
    path = tmp_path / "logs.ndjson"
    path.write_bytes(export(source))

    def run():
        out = io.StringIO()
        project = str(api.project.id)
        call_command("importlogs", str(path), project=project, stdout=out, stderr=io.StringIO())
        return out.getvalue().strip()

    assert run() == "2 logs imported, 0 known already, 0 skipped"
    forget(source)
    assert run() == "0 logs imported, 2 known already, 0 skipped"
    assert totals(api) == (2, "1")


def test_corrections_name_the_copies_when_the_originals_are_gone(source, api):
    """The corrections keep their ids, which are free, and the call does not."""
    id = logged(source)
    post(api, export(source))
    correct(source, id, cost="0.2")
    rows = export(source)
    forget(source)
    assert (post(api, rows)["created"], post(api, rows)["created"]) == (2, 0)
    assert totals(api) == (1, "0.2")
    (call,) = calls(api)
    assert "corrected already" in void(api, call["id"], expect=409)["detail"]


def test_corrections_of_originals_name_them_though_their_own_ids_are_taken(source, api, other_api):
    """An export of another server: the call came to one project first, its correction last."""
    id = logged(source)
    first = export(source)
    correct(source, id, cost="0.2")
    second = export(source)
    forget(source)
    for client in (api, other_api):
        post(client, first)
    for client in (other_api, api):
        post(client, second)
    for client in (api, other_api):
        assert totals(client) == (1, "0.2")
        (call,) = calls(client)
        assert "corrected already" in void(client, call["id"], expect=409)["detail"]
        assert (post(client, first)["created"], post(client, second)["created"]) == (0, 0)


def test_corrections_name_the_log_that_reported_their_event(source, api):
    """The project reported the event itself, so it has no copy of the call."""
    id = logged(source, event_id="e")
    own = logged(api, event_id="e")
    correct(source, id, cost="0.2")
    report = post(api, export(source))
    assert (report["created"], report["duplicates"]) == (2, 1)
    assert totals(api) == (1, "0.2")
    assert "corrected already" in void(api, own, expect=409)["detail"]
