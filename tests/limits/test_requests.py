"""Requests per minute: D01, D02, D05, D07 of a project's requests (docs/limits.md)."""

import time

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from accounts.limits import log_quotas, request_limits
from accounts.models import ApiKey, MonthlyLogs, RequestWindow
from tests.client import ApiClient
from tests.usage.calls import CALL

pytestmark = pytest.mark.usefixtures("store", "clock")

LOG, LOGS = "/api/v1/log", "/api/v1/logs"
_real_time = time.time
RESET = 1773144060  # 2026-03-10T12:01:00Z
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def standing(response) -> tuple[int, int, int]:
    return tuple(int(response.headers[name]) for name in HEADERS)


def use(client, count: int) -> list[int]:
    """The statuses of so many requests."""
    return [client.get(LOGS).status_code for _ in range(count)]


def test_d01_exactly_the_limit_of_one_worker_is_granted(limited):
    assert use(limited, 70) == [200] * 60 + [429] * 10
    assert RequestWindow.objects.get(holder=limited.project.id).granted == 60


def test_requests_are_leased_in_blocks(limited, tier, store):
    tier.requests_per_minute = 300
    tier.save()
    use(limited, 5)
    granted = RequestWindow.objects.get(holder=limited.project.id).granted
    assert granted == {"redis": 30, "database": 10}[store]  # a tenth by all, a thirtieth by one


def test_d01_every_announced_window_has_the_limit_and_no_more(limited, clock):
    clock.set("2026-03-10T12:00:59Z")
    before = use(limited, 61)
    clock.set("2026-03-10T12:01:00Z")
    _forget_pool(limited)
    after = use(limited, 61)
    assert before == after == [200] * 60 + [429]


def test_minute_goes_on_when_the_clock_is_set_back_a_little(limited, clock):
    clock.set("2026-03-10T12:01:00Z")
    assert use(limited, 61) == [200] * 60 + [429]
    clock.set("2026-03-10T12:00:30Z")
    _forget_pool(limited)
    refused = limited.get(LOGS)
    assert (refused.status_code, standing(refused)) == (429, (60, 0, RESET + 60))


@pytest.mark.parametrize("wrong", ["2026-03-10T15:00:00Z", "2026-06-10T12:00:00Z"])
def test_nobody_waits_for_a_clock_that_was_far_ahead(limited, clock, wrong):
    clock.set(wrong)
    assert use(limited, 61) == [200] * 60 + [429]
    clock.set("2026-03-10T12:00:10Z")
    _forget_pool(limited)
    assert standing(limited.get(LOGS)) == (60, 59, RESET)
    assert use(limited, 60) == [200] * 59 + [429]


def _forget_pool(client) -> None:
    """Let the lease in Redis end, as it would at the end of the minute."""
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL) as store:
            store.hset(f"llmring:requests:{client.project.id}", "ends", 0)


def test_d01_keys_lanes_and_methods_of_a_project_share_its_limit(limited):
    second = ApiClient(ApiKey.issue(limited.project)[1])
    for _ in range(12):
        limited.send("POST", LOG, CALL)  # the edge
        second.read("/api/v1/templates/")  # a view
        second.send("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"})
        limited.send("POST", "/api/v1/log/batch", {"logs": []})
        limited.head(LOGS)
    assert second.get("/api/v1/templates/").status_code == 429
    assert limited.post(LOG, CALL, content_type="application/json").status_code == 429
    assert RequestWindow.objects.get(holder=limited.project.id).granted == 60


def test_d02_headers_are_whole_numbers_on_every_lane_and_status(limited):
    body = {"content_type": "application/json"}
    replies = [
        limited.post(LOG, CALL, **body),
        limited.get("/api/v1/templates/"),
        limited.get("/api/v1/templates/00000000-0000-7000-8000-000000000000"),
        limited.post(LOG, {"provider": 1}, **body),
        limited.post("/api/v1/log/batch", {"logs": [CALL]}, **body),
        limited.head(LOGS),
        limited.get("/api/v1/logs/export?format=ndjson"),
        limited.get(LOGS, HTTP_ORIGIN="https://page.example"),
    ]
    assert [reply.status_code for reply in replies] == [200, 200, 404, 422, 200, 200, 200, 200]
    assert [standing(reply) for reply in replies] == [(60, 59 - n, RESET) for n in range(8)]
    assert not any("Retry-After" in reply.headers for reply in replies)
    exposed = replies[-1].headers["Access-Control-Expose-Headers"]
    assert set(HEADERS) < {name.strip() for name in exposed.split(",")}


@pytest.mark.parametrize("path", [LOGS, "/api/v1/templates/"])
def test_d02_refusal_says_when_to_come_back(limited, clock, path):
    use(limited, 60)
    reply = limited.get(path)
    assert reply.status_code == 429
    assert standing(reply) == (60, 0, RESET)
    # From 12:00:10 until 12:01:00, less what the test took.
    assert 45 <= int(reply.headers["Retry-After"]) <= 50
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.json() == {
        "detail": "The limit of 60 requests per minute is reached; "
        "it is reset at 2026-03-10T12:01:00Z"
    }
    clock.set("2026-03-10T12:01:00Z")
    _forget_pool(limited)
    assert standing(limited.get(path)) == (60, 59, RESET + 60)


@pytest.mark.usefixtures("way")
def test_d02_of_two_limits_the_longer_one_is_named(limited, tier):
    tier.logs_per_month = 3
    tier.save()
    month = log_quotas.month_of(timezone.now())
    MonthlyLogs.objects.create(project=limited.project, month=month, logs=3)
    use(limited, 60)
    assert standing(limited.get(LOGS)) == (60, 0, RESET)  # reading has one limit
    refused = limited.post(LOG, CALL, content_type="application/json")
    assert (refused.status_code, standing(refused)[:2]) == (429, (3, 0))
    assert "3 logs per month" in refused.json()["detail"]


def test_d02_project_without_tier_has_no_such_headers(api, tier):
    for path in (LOGS, "/api/v1/templates/"):
        assert not set(HEADERS) & set(api.get(path).headers)
    tier.requests_per_minute = None
    tier.save()
    api.project.tier = tier
    api.project.save()
    assert not set(HEADERS) & set(api.get(LOGS).headers)


def test_d05_replayed_refused_and_failed_requests_count_once(limited):
    keyed = {"HTTP_IDEMPOTENCY_KEY": "once", "content_type": "application/json"}
    statuses = [
        limited.post(LOG, CALL, **keyed).status_code,
        limited.post(LOG, CALL, **keyed).status_code,
        limited.post(LOG, {**CALL, "model": "other"}, **keyed).status_code,
        limited.post(LOG, "[", content_type="application/json").status_code,
        limited.get("/api/v1/templates/no-uuid").status_code,
        limited.post(
            "/api/v1/log/batch", "x" * 11_000_000, content_type="application/json"
        ).status_code,
    ]
    assert statuses == [200, 200, 409, 422, 422, 413]
    # A body that is too large is refused before anybody asks whose it is.
    assert standing(limited.get(LOGS))[1] == 60 - 6


def test_d05_refused_requests_do_not_lengthen_the_wait(limited):
    use(limited, 60)
    replies = [limited.get(LOGS) for _ in range(100)]
    assert {reply.status_code for reply in replies} == {429}
    assert {standing(reply) for reply in replies} == {(60, 0, RESET)}
    assert RequestWindow.objects.get(holder=limited.project.id).granted == 60


def test_d05_health_and_preflight_are_neither_counted_nor_refused(limited):
    use(limited, 60)
    preflight = {"HTTP_ORIGIN": "https://page.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"}
    for path in ("/health", "/live", "/ready", "/api/v1/log"):
        method = limited.options if path == "/api/v1/log" else limited.get
        extra = preflight if path == "/api/v1/log" else {}
        assert method(path, **extra).status_code == 200, path


def test_d07_raised_limit_lets_the_next_call_pass(limited, tier):
    assert use(limited, 61)[-1] == 429
    tier.requests_per_minute = 300
    tier.save()
    assert _soon(lambda: standing(limited.get(LOGS))[:2] == (300, 239))


@pytest.mark.slow
def test_d07_lowered_limit_refuses_and_never_shows_less_than_nothing(limited, tier):
    tier.requests_per_minute = 300
    tier.save()
    assert _soon(lambda: standing(limited.get(LOGS))[0] == 300)
    used = 300 - standing(limited.get(LOGS))[1]
    use(limited, 200 - used)
    tier.requests_per_minute = 60
    tier.save()
    assert _soon(lambda: limited.get(LOGS).status_code == 429)
    assert standing(limited.get(LOGS)) == (60, 0, RESET)
    tier.requests_per_minute = 300  # the count was not reset
    tier.save()
    assert _soon(lambda: limited.get(LOGS).status_code == 200)
    assert standing(limited.get(LOGS))[1] <= 98


def test_d07_removed_tier_ends_the_limit(limited):
    use(limited, 61)
    limited.project.tier = None
    limited.project.save()
    assert _soon(lambda: limited.get(LOGS).status_code == 200)
    assert not set(HEADERS) & set(limited.get(LOGS).headers)


def test_d06_lease_that_lost_its_expiry_heals_itself(limited, store):
    if store == "database":
        pytest.skip("leases in Redis")
    assert use(limited, 60) == [200] * 60
    key = f"llmring:requests:{limited.project.id}"
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        assert 0 < client.pttl(key) <= 51_000
        client.persist(key)
        client.hset(key, "ends", 0)  # the minute is over, and the lease still there
        RequestWindow.objects.update(minute="2026-03-10T11:59:00Z")
        request_limits.forget()
        assert use(limited, 61) == [200] * 60 + [429]
        assert 0 < client.pttl(key) <= 51_000


def test_d01_workers_clocks_do_not_matter(limited, monkeypatch):
    """Workers whose clocks are 40 seconds apart agree on the window and its end."""
    shown = []
    for skew in (40, -40, 0):
        monkeypatch.setattr(time, "time", lambda skew=skew: _real_time() + skew)
        request_limits.forget()  # another worker
        shown += [standing(limited.get(LOGS)) for _ in range(20)]
        monkeypatch.undo()
    assert {reset for _, _, reset in shown} == {RESET}
    assert limited.get(LOGS).status_code == 429


def _soon(holds) -> bool:
    """Whether it holds within a second."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if holds():
            return True
    return False
