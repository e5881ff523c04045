"""`GET /api/v1/stats` (docs/http-contract.md, section "Statistics")."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.usage.calls import CALL

STATS = "/api/v1/stats"


def log(api, at, model="m1", cost="0.1", **labels):
    entry = {**CALL, "model": model, "cost": cost, "timestamp": at, **labels}
    assert api.send("POST", "/api/v1/log/batch", {"logs": [entry]})["created"] == 1


def test_empty_window_is_all_zeros(api):
    assert api.read(STATS) == {
        "summary": {
            "total_requests": 0,
            "total_cost": "0",
            "total_tokens": 0,
            "unique_models": 0,
            "unique_origins": 0,
            "unpriced_requests": 0,
            "unknown_requests": 0,
        },
        "by_day": [],
        "by_model": {},
        "by_priced_model": {},
        "by_api_key": {},
        "by_provider": {},
        "by_origin": {},
        "by_alias": {},
        "by_profile": {},
    }


def test_every_breakdown_counts_every_request(api):
    """The older server's days counted only the day's top model."""
    for model, count in (("m1", 3), ("m2", 2), ("m3", 1)):
        for _ in range(count):
            log(api, "2026-01-05T12:00:00Z", model, origin="app", alias="fast")
    log(api, "2026-01-06T12:00:00Z", "m3", cost="0.4", profile="prod")
    body = api.read(STATS, {"start_date": "2026-01-01", "end_date": "2026-01-31"})
    assert body["summary"] == {
        "total_requests": 7,
        "total_cost": "1",
        "total_tokens": 7 * 1200,
        "unique_models": 3,
        "unique_origins": 1,
        "unpriced_requests": 0,
        "unknown_requests": 0,
    }
    assert body["by_day"] == [
        {"date": "2026-01-06", "requests": 1, "cost": "0.4", "top_model": "m3"},
        {"date": "2026-01-05", "requests": 6, "cost": "0.6", "top_model": "m1"},
    ]
    full = {"requests": 2, "cost": "0.5", "input_tokens": 2000, "output_tokens": 400}
    assert body["by_model"]["m3"].items() >= full.items()
    assert body["by_origin"]["app"].items() >= {"requests": 6, "cost": 0.6}.items()
    assert body["by_api_key"][str(api.api_key_id)]["requests"] == 7
    assert body["by_alias"]["fast"]["cost"] == "0.6"
    assert body["by_profile"]["prod"]["requests"] == 1
    assert body["by_provider"]["openai"]["requests"] == 7


@pytest.mark.parametrize(
    ("window", "requests"),
    [
        ({"start_date": "2026-01-05", "end_date": "2026-01-05"}, 3),
        ({"start_date": "2026-01-05T00:00:00Z", "end_date": "2026-01-05T00:00:00Z"}, 1),
        ({"start_date": "2026-01-05T00:00:00.000001Z", "end_date": "2026-01-05"}, 2),
        ({"start_date": "2026-01-05t00:00:00z", "end_date": "2026-01-05t00:00:00z"}, 1),
        ({"start_date": "2026-01-05", "end_date": "2026-01-05T12:00:00Z"}, 2),
        ({"start_date": "2026-01-05T06:00:00", "end_date": "2026-01-05T18:00:00"}, 1),
        ({"start_date": "2026-01-05T13:00:00+01:00", "end_date": "2026-01-06"}, 3),
        ({"start_date": "2026-01-04T23:59:59", "end_date": "2026-01-06T00:00:00"}, 4),
        ({"start_date": "20260105", "end_date": "20260106"}, 4),
        ({"end_date": "2026-01-05"}, 3),
        ({"start_date": "2026-01-06", "end_date": "2026-01-05"}, 0),
        ({"start_date": "", "end_date": ""}, 0),
        ({"start_date": "0001-01-01", "end_date": "9999-12-31"}, 4),
        ({"start_date": "0001-01-01T00:00:00+14:00", "end_date": "2026-01-05"}, 3),
        ({"start_date": "2026-01-06", "end_date": "9999-12-31T23:59:59.9999999-14:00"}, 1),
        ({"start_date": "9999-12-31", "end_date": "9999-12-31"}, 0),
        ({"start_date": "0001-01-01", "end_date": "0001-01-01"}, 0),
        ({"end_date": "0001-01-01"}, 0),
        ({"start_date": "9999-12-31"}, 0),
    ],
)
def test_both_ends_of_the_window_are_inclusive_and_utc(api, window, requests):
    times = [
        "2026-01-05T00:00:00Z",
        "2026-01-05T12:00:00Z",
        "2026-01-05T23:59:59.999999Z",
        "2026-01-06T00:00:00Z",
    ]
    entries = [{**CALL, "cost": "0.1", "timestamp": at} for at in times]
    api.send("POST", "/api/v1/log/batch", {"logs": entries})
    # From the daily sums, the hours, and the logs.
    for read in ({}, {"group_by": "hour"}, {"cost_source": "caller"}, {"usage_status": "settled"}):
        body = api.read(STATS, window | read)
        assert body["summary"]["total_requests"] == requests, read
        assert sum(day["requests"] for day in body["by_day"]) == requests, read
        assert Decimal(body["summary"]["total_cost"]) == Decimal("0.1") * requests, read


def test_without_dates_the_window_is_the_last_30_days(api):
    begins = datetime.now(UTC) - timedelta(days=30)
    for minutes in (-1, 1):
        log(api, (begins + timedelta(minutes=minutes)).isoformat())
    assert api.read(STATS)["summary"]["total_requests"] == 1


@pytest.mark.parametrize(
    ("group_by", "dates"),
    [
        ("day", ["2026-01-07", "2026-01-05", "2025-12-31"]),
        ("week", ["2026-01-05", "2025-12-29"]),
        ("month", ["2026-01-01", "2025-12-01"]),
    ],
)
def test_periods_are_named_by_their_first_day(api, group_by, dates):
    for at in ("2025-12-31", "2026-01-05", "2026-01-07"):
        log(api, f"{at}T01:00:00Z")
    query = {"start_date": "2025-12-01", "end_date": "2026-01-31", "group_by": group_by}
    assert [day["date"] for day in api.read(STATS, query)["by_day"]] == dates


def test_equal_models_are_ranked_by_name(api):
    for model in ("zebra", "ant", "zebra", "ant"):
        log(api, "2026-01-05T12:00:00Z", model)
    assert (
        api.read(STATS, {"start_date": "2026-01-01", "end_date": "2026-01-31"})["by_day"][0][
            "top_model"
        ]
        == "ant"
    )


def test_labels_narrow_whole_days_and_cut_ones_alike(api):
    for hour in ("00", "12"):
        for day in ("2026-01-04", "2026-01-05", "2026-01-06"):
            log(api, f"{day}T{hour}:00:00Z", "m1", origin="a", alias="x", profile="p")
            log(api, f"{day}T{hour}:00:00Z", "m2", origin="b", alias="y")
    window = {"start_date": "2026-01-04T06:00:00Z", "end_date": "2026-01-06T06:00:00Z"}
    for label in (
        {"origin": "a"},
        {"model": "m1"},
        {"alias": "x"},
        {"profile": "p"},
        {"origin": "a", "model": "m1"},
    ):
        body = api.read(STATS, {**window, **label})
        assert (body["summary"]["total_requests"], list(body["by_model"])) == (4, ["m1"])
    assert (
        api.read(STATS, {**window, "origin": "a", "model": "m2"})["summary"]["total_requests"] == 0
    )


def test_only_the_callers_rows_are_counted(api, other_api):
    api.send("POST", "/api/v1/log", CALL)
    assert other_api.read(STATS)["summary"]["total_requests"] == 0


@pytest.mark.parametrize(
    "query",
    [
        {"group_by": "year"},
        {"start_date": "yesterday"},
        {"end_date": "2026-02-30"},
        {"start_date": "2026-01-01T00:00:00 00:00"},
        {"end_date": "99999-01-01"},
        {"start_date": "\x00"},
    ],
)
def test_bad_query_names_its_parameter(api, query):
    (error,) = api.read(STATS, query, expect=422)["detail"]
    assert error["loc"] == ["query", next(iter(query))]
