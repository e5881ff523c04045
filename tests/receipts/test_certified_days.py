"""Days without uncertified calls are not read again, and no call is ever missed for it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from receipts.models import CertifiedDay
from tests.receipts.ledger import log
from usage import day_ranges

GENERATE = "/api/v1/receipts/generate"
UNCERTIFIED = "/api/v1/receipts/uncertified"
SINCE = {"since_last_receipt": True}
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("signing")


def at(moment: datetime) -> dict:
    return {"timestamp": moment.isoformat()}


def certified(api) -> list[str]:
    return api.send("POST", GENERATE, SINCE)["receipt"]["batch_summary"]["log_ids"]


def test_a_certified_day_is_not_read_again(api):
    log(api, **at(NOON))
    certified(api)
    assert CertifiedDay.objects.get().day == NOON.date()
    with CaptureQueriesContext(connection) as queries:
        assert api.read(UNCERTIFIED)["logs"] == []
    assert not any(query["sql"].startswith('SELECT "usage_logs"') for query in queries)


@pytest.mark.parametrize("days", [0, -1, 1, -400])
def test_a_late_call_is_found_whatever_its_day(api, days):
    log(api, **at(NOON))
    certified(api)
    late = log(api, **at(NOON + timedelta(days=days)))
    assert [entry["id"] for entry in api.read(UNCERTIFIED)["logs"]] == [late]
    assert certified(api) == [late]
    api.send("POST", GENERATE, SINCE, expect=400)


def test_a_correction_opens_the_day_of_its_call(api):
    id = log(api, **at(NOON))
    certified(api)
    reversal = api.send("POST", f"/api/v1/logs/{id}/void", {"reason": "typo"})["reversal_id"]
    assert certified(api) == [reversal]


def test_calls_certified_otherwise_do_not_hide_the_rest_of_their_day(api):
    first, second = log(api, **at(NOON)), log(api, **at(NOON))
    api.send("POST", GENERATE, {"log_ids": [first]})
    assert certified(api) == [second]
    assert CertifiedDay.objects.get().entries == 2


def test_a_refused_generation_leaves_its_days_open(api, monkeypatch):
    id = log(api, **at(NOON), input_tokens=2**53 - 1, output_tokens=1)
    api.send("POST", GENERATE, SINCE, expect=400)
    assert not CertifiedDay.objects.exists()
    assert [entry["id"] for entry in api.read(UNCERTIFIED)["logs"]] == [id]


def test_pages_go_on_from_one_range_of_days_to_the_next(api, monkeypatch):
    moments = [NOON - timedelta(days=days) for days in (0, 1, 5, 6, 30)]
    ids = [log(api, **at(moment)) for moment in moments]
    pages = [api.read(UNCERTIFIED, {"limit": 2, "offset": n}) for n in (0, 2, 4)]
    assert [entry["id"] for page in pages for entry in page["logs"]] == ids
    assert {page["total"] for page in pages} == {5}
    monkeypatch.setattr(day_ranges, "MAX_RANGES", 2)
    assert [entry["id"] for entry in api.read(UNCERTIFIED)["logs"]] == ids
    assert sorted(certified(api)) == sorted(ids)


def test_other_projects_days_are_their_own(api, other_api):
    log(api, **at(NOON))
    certified(api)
    theirs = log(other_api, **at(NOON))
    assert certified(other_api) == [theirs]


@pytest.mark.slow
def test_an_update_finds_what_earlier_versions_left_out(api):
    """They took a correction as certified with its call, and marked the day."""
    id = log(api, **at(NOON))
    certified(api)
    reversal = api.send("POST", f"/api/v1/logs/{id}/void", {"reason": "typo"})["reversal_id"]
    CertifiedDay.objects.update(entries=2)
    api.send("POST", GENERATE, SINCE, expect=400)
    call_command("migrate", "receipts", "0001_schema", verbosity=0)
    call_command("migrate", "receipts", verbosity=0)
    assert certified(api) == [reversal]
