from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from registry_proxy import refreshing, snapshots
from registry_proxy.client import UpstreamUnavailable
from registry_proxy.current_registry import current
from registry_proxy.models import Refresh, RegistryFile, Snapshot
from tests.registry_proxy import samples
from tests.registry_proxy.upstream import reply
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 8, 19, 12, tzinfo=UTC)
CHEAPER = samples.changed("openai", samples.MINI, dollars_per_million_tokens_input=0.1)


def test_a_snapshot_keeps_the_files_as_they_came(refreshed):
    snapshot = refreshed(8, 19)
    assert (str(snapshot), snapshot.version, snapshot.model_count) == (
        "2026.08.19",
        "2025-08-20",
        5,
    )
    assert {file.path: bytes(file.body) for file in snapshot.files.all()} == {
        path: samples.body(path)
        for path in (
            "manifest.json",
            "anthropic/models.json",
            "google/models.json",
            "openai/models.json",
        )
    }


def test_the_same_content_is_not_a_new_snapshot(refreshed):
    refreshed(8, 19)
    assert refreshed(8, 20) is None
    assert Snapshot.objects.count() == 1
    assert Refresh.objects.get().succeeded_at.day == 20


def test_the_same_content_in_other_bytes_is_not_a_new_snapshot(refreshed):
    refreshed(8, 19)
    respelled = samples.body("openai/models.json").replace(b"\n", b"")
    assert refreshed(8, 20, openai=respelled) is None
    assert bytes(Snapshot.objects.get().files.get(path="openai/models.json").body) == respelled


def test_changed_content_is_a_new_snapshot_that_shares_unchanged_files(refreshed):
    refreshed(8, 19)
    assert str(refreshed(8, 19, openai=CHEAPER)) == "2026.08.19.2"
    assert RegistryFile.objects.count() == 5


def test_content_that_comes_back_is_a_new_snapshot_again(refreshed):
    first = refreshed(8, 19)
    refreshed(8, 20, openai=CHEAPER)
    third = refreshed(8, 21, openai=samples.body("openai/models.json"))
    assert third.digest == first.digest
    assert [str(result) for result in Snapshot.objects.all()] == [
        "2026.08.21",
        "2026.08.20",
        "2026.08.19",
    ]


def test_a_new_manifest_version_is_a_new_snapshot_without_changes(refreshed, upstream):
    refreshed(8, 19)
    upstream.files["manifest.json"] = b'{"version": "2026-08-20"}'
    snapshot = refreshed(8, 20)
    assert (snapshot.version, snapshot.changes) == ("2026-08-20", [])


def test_a_provider_that_fails_keeps_its_prices_and_is_reported(refreshed, upstream, caplog):
    first = refreshed(8, 19)
    upstream.broken["google/models.json"] = lambda: reply(500)
    second = refreshed(8, 20, openai=CHEAPER)
    assert (second.model_count, second.change_count) == (first.model_count, 1)
    refresh = Refresh.objects.get()
    assert refresh.succeeded_at.day == 20
    assert refresh.problems == ["google/models.json: status 500; its last copy is kept"]
    assert caplog.text.count("refreshed in part") == 1
    refreshed(8, 21)
    assert caplog.text.count("refreshed in part") == 1, "the same problem is logged once"
    del upstream.broken["google/models.json"]
    refreshed(8, 22)
    assert Refresh.objects.get().problems == []


def test_a_provider_that_fails_at_first_has_the_bundled_prices(refreshed, upstream):
    upstream.broken["google/models.json"] = lambda: reply(404)
    refreshed(8, 19)
    models = current.require().document["models"]
    assert "google:gemini-3.7-flash" in models, "of the bundled copy"
    assert Refresh.objects.get().problems == [
        "google/models.json: not found; its last copy is kept"
    ]


def test_a_fetch_without_any_provider_is_not_stored(refreshed, upstream):
    refreshed(8, 19)
    for provider in samples.PROVIDERS:
        upstream.broken[f"{provider}/models.json"] = lambda: reply(500)
    with pytest.raises(UpstreamUnavailable):
        refreshed(8, 20)
    assert Snapshot.objects.count() == 1
    refresh = Refresh.objects.get()
    assert (refresh.attempted_at.day, refresh.succeeded_at.day) == (20, 19)
    assert "openai/models.json: status 500" in refresh.error


def test_members_that_upstream_adds_are_passed_on_exactly(anonymous, refreshed):
    refreshed(8, 19, openai=samples.changed("openai", samples.MINI, limit=2**60, huge=10**30))
    body = anonymous.get("/registry").content.decode()
    assert f'"limit":{2**60}' in body
    assert f'"huge":{10**30}' in body


def test_two_refreshes_at_once_store_one_snapshot(db_all, upstream):
    upstream.publish()
    with refreshing.upstream_client() as source:
        fetched = [source.registry({}) for _ in range(4)]
    take = partial(snapshots.take, source="", now=NOON)
    taken = at_once(*(partial(take, registry) for registry in fetched))
    assert [result for result in taken if result is not None] == [Snapshot.objects.get()]


def test_one_claim_is_granted_at_a_time(db_all):
    hour, seconds = timedelta(hours=1), lambda number: NOON + timedelta(seconds=number)
    claims = [
        Refresh.objects.claim(now=seconds(number), max_age=hour) for number in (0, 1, 14, 15, 16)
    ]
    assert claims == [True, False, False, True, False]


def test_a_clock_that_was_wrong_once_does_not_stop_refreshes(refreshed):
    year, hour = timedelta(days=365), timedelta(hours=1)
    refreshed(8, 19)
    Refresh.objects.update(attempted_at=NOON + year, succeeded_at=NOON + year)
    assert Refresh.objects.claim(now=NOON, max_age=hour)


def test_only_a_new_kind_of_failure_is_news(db_all):
    reasons = ["away", "away", "slow", "away"]
    news = [Refresh.objects.note_failure(reason, now=NOON) for reason in reasons]
    assert news == [True, False, True, True]


def test_after_a_success_upstream_is_not_asked_until_the_copy_is_old(refreshed):
    refreshed(8, 19)
    hour = timedelta(hours=1)
    assert not Refresh.objects.claim(now=NOON + timedelta(minutes=59), max_age=hour)
    assert Refresh.objects.claim(now=NOON + hour, max_age=hour)
