"""What a report used, in lists and statistics (docs/http-contract/usage.md)."""

import pytest

LOG, LOGS, STATS = "/api/v1/log", "/api/v1/logs", "/api/v1/stats"


def test_calls_of_unknown_usage_are_counted_apart(api):
    api.send("POST", LOG, {"provider": "p", "model": "m", "usage_status": "unknown"})
    (log,) = api.read(LOGS)
    assert (log["input_tokens"], log["usage_status"], log["cost"]) == (None, "unknown", 0)
    assert (log["cost_source"], log["unpriced_reason"]) == ("unpriced", "unknown usage")
    sums = api.read(STATS)["by_model"]["m"]
    assert (sums["requests"], sums["unknown_requests"], sums["unpriced_requests"]) == (1, 1, 0)


def test_statistics_have_the_classes_beside_the_totals(api, refreshed):
    refreshed(11, 20)
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 150},
    }
    for _ in range(2):
        api.send("POST", LOG, {"provider": "openai", "model": "gpt-4o-mini", "usage": usage})
    sums = api.read(STATS)["by_priced_model"]["openai:gpt-4o-mini"]
    assert (sums["input_tokens"], sums["cached_input_tokens"]) == (2000, 800)
    assert (sums["output_tokens"], sums["thinking_tokens"]) == (400, 300)


CALL = {"provider": "p", "model": "m", "input_tokens": 10, "output_tokens": 5, "cost": 1}


@pytest.fixture
def labelled(api):
    for members in (
        {"user": "ann", "metadata": {"tags": ["a", "b"]}},
        {"metadata": {"user_id": "ann", "tags": ["b"]}, "alias": "fast"},
        {"metadata": {"user_id": 7}, "alias": "slow"},
        {"usage_status": "unknown", "input_tokens": None, "output_tokens": None, "cost": None},
    ):
        api.send("POST", LOG, {**CALL, **members})
    return api


def test_users_and_tags_are_groups_that_are_asked_for(labelled):
    body = labelled.read(f"{STATS}?groups=user&groups=tag")
    assert {name: sums["requests"] for name, sums in body["by_user"].items()} == {"ann": 2, "7": 1}
    assert {name: sums["cost"] for name, sums in body["by_tag"].items()} == {"b": "2", "a": "1"}
    assert "by_user" not in labelled.read(STATS)


def test_of_many_names_those_with_most_requests_are_shown(labelled, monkeypatch):
    monkeypatch.setattr("usage.statistics.MAX_NAMES", 1)
    body = labelled.read(f"{STATS}?groups=user&groups=tag")
    assert ([*body["by_user"]], [*body["by_tag"]]) == (["ann"], ["b"])


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        (["a", "a"], ["a"]),
        (["b", "a"], ["a", "b"]),
        ([1, None, ""], ["1"]),
        ([], []),
        (["", None], []),
        (None, []),
        ("a", []),
        ({"a": 1}, []),
    ],
    ids=repr,
)
def test_a_log_counts_once_for_each_of_its_tags(api, tags, names):
    """In the group and by the filter alike: a list's texts are tags, and nothing else is."""
    api.send("POST", LOG, {**CALL, "metadata": {"tags": tags}})
    by_tag = api.read(STATS, {"groups": "tag"})["by_tag"]
    assert {name: sums["requests"] for name, sums in by_tag.items()} == dict.fromkeys(names, 1)
    for name in ("a", "b", "1"):
        found = api.read(STATS, {"tag": name})["summary"]["total_requests"]
        assert found == (name in names), name
    assert api.read(STATS, {"tag": "none"})["summary"]["total_requests"] == (not names)


TIMES = ("latency_ms", "first_byte_ms")


@pytest.fixture
def relayed(api):
    """Calls as the gateway stores them, from an export, which keeps these columns."""
    at = {"timestamp": "2026-03-10T12:00:00Z", "cost_source": "caller"}
    for upstream, status, latency, first in (
        ("openai", 200, 100, 10),
        ("openai", 200, 300, None),
        ("openai", 429, 20, None),
        ("groq", 200, 40, 4),
    ):
        call = {**CALL, **at, "id": f"{upstream} {latency}", "upstream": upstream}
        times = {"http_status": status, "latency_ms": latency, "first_byte_ms": first}
        api.send("POST", LOG, call | times | {"requested_model": "fast"})
    api.send("POST", LOG, {**CALL, **at, "latency_ms": 5000})  # reported, not relayed
    return api


WINDOW = {"start_date": "2026-03-10", "end_date": "2026-03-10"}


def test_upstreams_and_statuses_are_groups_with_their_times(relayed):
    names = ["upstream", "requested_model", "http_status"]
    body = relayed.read(STATS, WINDOW | {"groups": names})
    # By nearest rank: the p50 of three is the second, the p95 the third.
    openai, groq = body["by_upstream"]["openai"], body["by_upstream"]["groq"]
    assert [openai[name] for name in TIMES] == [{"p50": 100, "p95": 300}, {"p50": 10, "p95": 10}]
    assert (openai["requests"], openai["cost"], groq["latency_ms"]["p95"]) == (3, "3", 40)
    assert body["by_requested_model"]["fast"]["requests"] == 4
    assert {name: sums["requests"] for name, sums in body["by_http_status"].items()} == {
        "200": 3,
        "429": 1,
    }
    assert body["by_http_status"]["429"]["first_byte_ms"] == {"p50": None, "p95": None}


@pytest.mark.parametrize(
    ("query", "requests"),
    [
        ({"upstream": "openai"}, 3),
        ({"upstream": ["openai", "none"]}, 4),
        ({"requested_model": "fast", "http_status": "429"}, 1),
        ({"http_status": "none"}, 1),
        ({"http_status": "teapot"}, 0),
    ],
)
def test_calls_of_an_upstream_are_found(relayed, query, requests):
    assert relayed.read(STATS, WINDOW | query)["summary"]["total_requests"] == requests
    assert len(relayed.read(LOGS, WINDOW | query)) == requests


def test_times_are_by_nearest_rank(api):
    calls = [{**CALL, "user": "ann", "latency_ms": n} for n in range(1, 21)]
    api.send("POST", f"{LOG}/batch", calls)
    sums = api.read(STATS, {"groups": "user"})["by_user"]["ann"]
    assert sums["latency_ms"] == {"p50": 10, "p95": 19}


def test_corrections_have_no_times(relayed):
    (row,) = relayed.read(LOGS, WINDOW | {"upstream": "groq"})
    relayed.send("POST", f"{LOGS}/{row['id']}/void", {"reason": "a test"})
    groq = relayed.read(STATS, WINDOW | {"groups": "upstream"})["by_upstream"]["groq"]
    assert (groq["requests"], groq["latency_ms"]) == (0, {"p50": 40, "p95": 40})


def test_hours_are_periods(labelled):
    (hour,) = labelled.read(STATS, {"group_by": "hour"})["by_day"]
    assert (hour["requests"], hour["cost"]) == (4, "3")
    assert hour["date"].endswith(":00:00Z")


@pytest.mark.parametrize(
    ("query", "requests"),
    [
        ("alias=fast&alias=slow", 2),
        ("alias=none", 2),
        ("alias=none&alias=fast", 3),
        ("user=ann", 2),
        ("user=none", 1),
        ("tag=a&tag=b", 2),
        ("tag=none", 2),
        ("tag=a&alias=fast", 0),
        ("cost_source=caller", 3),
        ("usage_status=unknown&usage_status=failed", 1),
        ("priced_as=none", 4),
        ("api_key_id=none", 0),
        ("timezone=UTC", 4),
    ],
)
def test_filters_mean_any_of_their_values(labelled, query, requests):
    assert labelled.read(f"{STATS}?{query}")["summary"]["total_requests"] == requests
    assert len(labelled.read(f"{LOGS}?{query}")) == requests
    assert len(labelled.get(f"{LOGS}/export?{query}").getvalue().splitlines()) == requests


@pytest.mark.parametrize(
    "query",
    [
        {"timezone": "Europe/Berlin"},
        {"cost_source": "me"},
        {"usage_status": "odd"},
        {"groups": "model"},
        {"received_start": "soon"},
        {"tag": "\x00"},
    ],
)
def test_what_is_not_served_is_refused_and_not_ignored(api, query):
    (error,) = api.read(STATS, query, expect=422)["detail"]
    assert error["loc"] == ["query", next(iter(query))]
