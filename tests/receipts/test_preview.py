"""`preview` and `uncertified`: the same logs, and nothing changes."""

import pytest

from receipts import log_pages
from receipts.models import ReceiptLog
from tests.receipts.ledger import log

SINCE = {"since_last_receipt": True}
pytestmark = pytest.mark.usefixtures("signing")


def test_preview_states_what_the_receipt_will_state(api):
    log(api, alias="deep")
    log(api, cost="0.5")
    preview = api.send("POST", "/api/v1/receipts/preview", SINCE)
    assert not ReceiptLog.objects.exists()
    reply = api.send("POST", "/api/v1/receipts/generate", SINCE)
    summary = reply["receipt"]["batch_summary"]
    assert preview["total_logs"] == reply["certified_count"] == 2
    assert preview["receipt_type"] == "batch"
    assert (preview["total_cost"], preview["total_tokens"]) == (0.501, 30)
    common = preview.keys() & summary.keys()
    assert {"total_conversations", "start_date", "end_date", "by_model", "by_alias"} <= common
    assert {name: preview[name] for name in common} == {name: summary[name] for name in common}


def test_preview_of_nothing(api):
    assert api.send("POST", "/api/v1/receipts/preview", SINCE) == {
        "total_logs": 0,
        "total_cost": 0,
        "total_tokens": 0,
        "message": "No logs found matching the criteria",
    }


def test_uncertified_logs_are_listed_newest_first_until_certified(api, other_api):
    log(other_api)
    first, second = log(api, cost=None), log(api, alias="deep", provider="p", model="m")
    page = api.read("/api/v1/receipts/uncertified")
    assert [page[name] for name in ("total", "limit", "offset")] == [2, 100, 0]
    newest, oldest = page["logs"]
    times = {entry["id"]: entry["logged_at"] for entry in api.read("/api/v1/logs")}
    assert newest == {
        "id": second,
        "type": "usage",
        "provider": "p",
        "model": "m",
        "alias": "deep",
        "input_tokens": 10,
        "output_tokens": 5,
        "cached_input_tokens": 0,
        "cost": 0.001,
        "timestamp": times[second].replace("Z", "+00:00"),
    }
    assert (oldest["id"], oldest["alias"], oldest["cost"]) == (first, "default", 0)
    second_page = api.read("/api/v1/receipts/uncertified", {"limit": 1, "offset": 1})
    assert [entry["id"] for entry in second_page["logs"]] == [first]
    assert second_page["total"] == 2
    api.send("POST", "/api/v1/receipts/generate", {"log_ids": [second]})
    assert [entry["id"] for entry in api.read("/api/v1/receipts/uncertified")["logs"]] == [first]
    api.read("/api/v1/receipts/uncertified", {"limit": "0"}, expect=422)


def test_totals_count_up_to_a_bound_and_never_stop_a_reader(api, monkeypatch):
    monkeypatch.setattr(log_pages, "MAX_COUNTED", 2)
    ids = [log(api) for _ in range(5)][::-1]
    read, offset, page = [], 0, {"total": 1}
    while offset < page["total"]:
        page = api.read("/api/v1/receipts/uncertified", {"limit": 2, "offset": offset})
        read += [entry["id"] for entry in page["logs"]]
        offset += 2
    assert (read, page["total"]) == (ids, 5)
    assert api.read("/api/v1/receipts/uncertified", {"limit": 1})["total"] == 3


def test_logs_that_were_deleted_are_still_named(api):
    from usage.models import UsageLog

    id = log(api)
    receipt = api.send("POST", "/api/v1/receipts/generate", SINCE)["receipt"]
    UsageLog.objects.all().delete()
    page = api.read(f"/api/v1/receipts/{receipt['receipt_id']}/logs", {"limit": "10000"})
    assert page == {
        "receipt_id": receipt["receipt_id"],
        "logs": [{"id": id, "type": "usage"}],
        "total": 1,
        "limit": 1000,
        "offset": 0,
    }
