"""A receipt of too many logs is refused by what the daily sums say, before any is counted."""

from receipts import batch
from tests.receipts.ledger import log

DAYS = [f"2026-10-{day:02d}" for day in (1, 2, 5, 9, 20)]


def test_too_many_logs_are_refused_without_counting_them(api, signing, monkeypatch):
    for day in DAYS:
        for hour in range(5):
            log(api, timestamp=f"{day}T{hour:02d}:00:00Z")
    counted, count = [], batch._count
    monkeypatch.setattr(batch, "MAX_LOGS", 14)
    monkeypatch.setattr(batch, "_count", lambda chosen: counted.append(1) or count(chosen))
    since_last = {"since_last_receipt": True}
    between = {"start_date": f"{DAYS[0]}T00:00:00Z", "end_date": f"{DAYS[3]}T01:00:00Z"}
    for chosen in (since_last, between):
        api.send("POST", "/api/v1/receipts/generate", chosen, expect=400)
        api.send("POST", "/api/v1/receipts/preview", chosen, expect=400)
    assert counted == []
    # Two whole days, and two logs of a third: only counting tells.
    between["start_date"] = f"{DAYS[1]}T00:00:00Z"
    reply = api.send("POST", "/api/v1/receipts/generate", between)
    assert (reply["certified_count"], counted) == (12, [1])
    # Nor are the daily sums enough for days that a receipt has logs of.
    reply = api.send("POST", "/api/v1/receipts/generate", since_last)
    assert (reply["certified_count"], counted) == (13, [1, 1])
