from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from registry_proxy import current_registry, refreshing
from registry_proxy.client import UpstreamUnavailable
from registry_proxy.current_registry import are_old, current, follower, keep_current
from registry_proxy.models import Snapshot
from tests.registry_proxy import samples
from tests.registry_proxy.upstream import restart
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 8, 19, 12, tzinfo=UTC)
CHEAPER = samples.changed("openai", samples.MINI, dollars_per_million_tokens_input=0.1)


def test_reading_the_current_snapshot_asks_neither_database_nor_upstream(refreshed, upstream):
    refreshed(8, 19)
    with CaptureQueriesContext(connection) as queries:
        current.require()
    assert len(queries) == 0
    assert upstream.requests == []


def test_an_old_copy_is_served_while_it_is_replaced(anonymous, refreshed, upstream):
    refreshed(8, 19)
    upstream.publish(openai=CHEAPER)
    before = anonymous.get("/registry")
    assert upstream.requests == []
    keep_current(now=NOON + timedelta(seconds=3600))
    assert upstream.paths == [
        "anthropic/models.json",
        "google/models.json",
        "manifest.json",
        "openai/models.json",
    ]
    after = anonymous.get("/registry")
    assert before.json()["snapshot"] == "2026.08.19"
    assert after.json()["snapshot"] == "2026.08.19.2"


def test_a_fresh_copy_is_left_alone(refreshed, upstream):
    refreshed(8, 19)
    keep_current(now=NOON + timedelta(seconds=3599))
    assert upstream.requests == []


def test_a_copy_that_another_process_stored_is_taken_up_without_asking_upstream(
    refreshed, upstream
):
    refreshed(8, 19)
    upstream.publish(openai=CHEAPER)
    refreshing.refresh(now=NOON + timedelta(seconds=5))  # as the other process does it
    upstream.requests.clear()
    keep_current(now=NOON + timedelta(seconds=6))
    assert current.require().id == Snapshot.objects.newest().id
    assert upstream.requests == []


@pytest.mark.parametrize("restarted", [False, True])
def test_when_upstream_goes_away_the_last_good_copy_stays(
    anonymous, refreshed, upstream, restarted
):
    refreshed(8, 19)
    before = anonymous.get("/registry").content
    upstream.down = True
    keep_current(now=NOON + timedelta(days=30))
    if restarted:
        restart()
    assert anonymous.get("/registry").content == before


def test_a_failed_refresh_is_not_repeated_at_once(refreshed, upstream):
    refreshed(8, 19)
    upstream.down = True
    day = NOON + timedelta(days=1)
    for seconds in (0, 3, 6, 12):
        keep_current(now=day + timedelta(seconds=seconds))
    first = {request.url for request in upstream.requests}
    assert len(upstream.requests) == len(first)
    upstream.publish(openai=CHEAPER)
    keep_current(now=day + timedelta(seconds=15))
    assert Snapshot.objects.count() == 2


def test_validators_are_not_sent_to_another_upstream(refreshed, upstream, settings):
    refreshed(8, 19)
    refreshing.refresh(now=NOON)
    assert upstream.requests
    assert all("If-None-Match" in request.headers for request in upstream.requests)
    upstream.requests.clear()
    settings.REGISTRY_BASE_URL += "mirror/"
    with pytest.raises(UpstreamUnavailable, match="not found"):
        refreshing.refresh(now=NOON)
    assert not any("If-None-Match" in request.headers for request in upstream.requests)


def test_with_a_follower_readers_do_not_try_again(anonymous, upstream, monkeypatch):
    anonymous.read("/registry", expect=503)
    upstream.requests.clear()
    now = current.clock()
    for seconds in (10, 20, 30):
        monkeypatch.setattr(current, "clock", lambda at=now + seconds: at)
        current.follow()
        assert current.get() is None
    assert upstream.requests == []


def test_without_a_follower_readers_try_again_after_a_while(anonymous, upstream, monkeypatch):
    anonymous.read("/registry", expect=503)
    upstream.publish()
    later = current.clock() + 15
    monkeypatch.setattr(current, "clock", lambda: later)
    anonymous.read("/registry")


def test_a_process_without_a_copy_asks_once_and_then_answers_at_once(anonymous, upstream):
    anonymous.read("/registry", expect=503)
    assert upstream.requests
    upstream.requests.clear()
    upstream.publish()
    with CaptureQueriesContext(connection) as queries:
        assert current.get() is None
    assert (upstream.requests, len(queries)) == ([], 0)


def test_a_process_without_a_copy_gets_it_from_the_thread_that_refreshes(anonymous, upstream):
    anonymous.read("/registry", expect=503)
    upstream.publish()
    keep_current(now=datetime.now(UTC) + timedelta(seconds=15))
    anonymous.read("/registry")


def test_first_readers_wait_together_for_one_fetch(db_all, upstream):
    upstream.publish()
    assert len({id(snapshot) for snapshot in at_once(*[current.get] * 4)}) == 1
    assert len(upstream.requests) == 4


def test_the_first_reader_has_a_shorter_timeout_than_a_refresh(db_all, upstream):
    upstream.publish()
    current.get()
    refreshing.refresh(now=NOON)
    assert upstream.timeouts == [(2.5, 2.5)] * 4 + [(3.05, 10)] * 4


def test_one_round_of_the_follower_loads_the_registry(db_all, upstream):
    upstream.publish()
    follower.poll()
    upstream.requests.clear()
    assert len(current.require().document["models"]) == 5
    assert upstream.requests == []


@pytest.mark.parametrize("error", [OperationalError("gone"), RuntimeError("a bug")])
def test_no_error_ends_the_follower(db_all, monkeypatch, caplog, error):
    def fail(*, now):
        raise error

    monkeypatch.setattr(current_registry, "keep_current", fail)
    follower.poll()
    assert "registry not refreshed" in caplog.text


MADE = datetime(2026, 8, 18, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    "made, now, old",
    [
        (MADE, MADE + timedelta(days=30), False),
        (MADE, MADE + timedelta(days=30, seconds=1), True),
        (None, MADE, True),
    ],
)
def test_prices_are_old_after_thirty_days(made, now, old):
    assert are_old(made, now=now) is old


def test_health_reports_the_age_of_prices(anonymous, refreshed, monkeypatch):
    assert "registry" not in anonymous.read("/health")
    refreshed(8, 19)
    monkeypatch.setattr(current_registry, "MAX_PRICE_AGE_DAYS", 100_000)
    state = {
        "snapshot": "2026.08.19",
        "prices_made_at": "2026-08-18T21:05:03.715411Z",
        "prices_are_old": False,
    }
    assert anonymous.read("/health")["registry"] == state
    monkeypatch.setattr(current_registry, "MAX_PRICE_AGE_DAYS", 0)
    assert anonymous.read("/health")["registry"] == {**state, "prices_are_old": True}
