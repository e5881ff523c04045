"""Copies of another project's logs (docs/http-contract/usage.md, "Round trips")."""

import io
from functools import partial

import pytest
from django.core.management import call_command

from accounts.models import Project
from tests.client import ApiClient
from tests.threads import at_once
from tests.usage.calls import CALL
from tests.usage.test_corrections import AT, BATCH, correct, logged, void
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


@pytest.fixture
def copied(source, api):
    """The ids of a log of half a dollar and of its copy."""
    id = logged(source)
    post(api, export(source))
    (copy,) = calls(api)
    return id, copy["id"]


def test_own_correction_of_a_copy_outlasts_those_of_an_import(source, api, copied):
    """The original was corrected and then taken back: nothing of that is stored here."""
    id, copy = copied
    own = correct(api, copy, cost="0.3")
    replacement = correct(source, id, cost="0.4")["replacement"]["log_id"]
    void(source, replacement)
    report = post(api, export(source))
    assert (report["created"], report["duplicates"], report["failed"]) == (0, 4, 0)
    assert totals(api) == (1, "0.3")
    # The original, its correction twice, and what took its replacement back.
    assert {result["log_id"] for result in report["results"]} == {
        copy,
        own["reversal_id"],
        own["replacement"]["log_id"],
    }


def test_voided_copy_stays_voided(source, api, copied):
    id, copy = copied
    void(api, copy)
    replacement = correct(source, id, cost="0.4")["replacement"]["log_id"]
    correct(source, replacement, cost="0.6")
    assert post(api, export(source))["created"] == 0
    assert totals(api) == (0, "0")


def test_copied_correction_is_corrected_like_its_original(source, api, copied):
    """A project without corrections of its own follows each of the original's."""
    replacement = correct(source, copied[0], cost="0.4")["replacement"]["log_id"]
    assert post(api, export(source))["created"] == 2
    later = correct(source, replacement, cost="0.6")["replacement"]["log_id"]
    assert post(api, export(source))["created"] == 2
    assert totals(api) == (1, "0.6")
    void(source, later)
    assert post(api, export(source))["created"] == 1
    assert totals(api) == (0, "0")


def test_own_correction_of_a_copied_replacement_outlasts_the_next(source, api, copied):
    replacement = correct(source, copied[0], cost="0.4")["replacement"]["log_id"]
    post(api, export(source))
    (copy,) = [
        log["id"] for log in api.read("/api/v1/logs", JANUARY) if log["entry_type"] == "replacement"
    ]
    correct(api, copy, cost="0.3")
    correct(source, replacement, cost="0.6")
    assert post(api, export(source))["created"] == 0
    assert totals(api) == (1, "0.3")


def test_replacement_without_its_reversal_comes_later(source, api, copied):
    """A filter by model: the reversal has the old one, the replacement the new."""
    correct(source, copied[0], cost="0.4", model="gpt-4o")
    for query, sums in (({"model": "gpt-4o-mini"}, (0, "0")), ({"model": "gpt-4o"}, (1, "0.4"))):
        rows = source.get("/api/v1/logs/export", JANUARY | query).getvalue()
        post(api, rows)
        assert totals(api) == sums


@pytest.mark.parametrize("length", [1, 2])
def test_corrections_in_a_circle_end(api, length):
    """No export has these."""
    ids = [f"019b8dac-a500-7000-8000-00000000000{n}" for n in range(length)]
    circle = [
        {
            **CALL,
            "id": id,
            "timestamp": AT,
            "cost": "1",
            "cost_source": "caller",
            "entry_type": "replacement",
            "corrects_id": ids[n - 1],
        }
        for n, id in enumerate(ids)
    ]
    for _ in range(2):
        report = api.send("POST", BATCH, circle)
        assert (report["failed"], len(report["results"])) == (0, length)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_projects_that_copy_the_same_logs_at_once_have_one_of_each(source, api, other_api):
    """An export of another server: both find the ids free, and only one of them gets each."""
    for _ in range(15):
        correct(source, logged(source), cost="0.2")
    rows = export(source).splitlines()
    assert len(rows) == 45
    forget(source)

    def send(client):
        for row in rows:
            ApiClient(client.key).send("POST", "/api/v1/log", row)

    at_once(*(partial(send, client) for client in (api, other_api, api, other_api)))
    for client in (api, other_api):
        assert totals(client) == (15, "3")
        assert UsageLog.objects.filter(project_id=client.project.id).count() == 45
