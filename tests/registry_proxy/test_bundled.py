"""A server without internet prices from the copy that ships with the package."""

import pytest
from django.utils import timezone

from registry_proxy import bundled, snapshots
from registry_proxy.current_registry import current, keep_current
from registry_proxy.models import Refresh, Snapshot
from tests.registry_proxy.upstream import restart

CALL = {"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 1000, "output_tokens": 200}
take_bundled = snapshots.take_bundled


@pytest.fixture
def with_bundled(db_all, monkeypatch, upstream):
    monkeypatch.setattr(snapshots, "take_bundled", take_bundled)


def test_the_bundled_copy_is_a_whole_registry():
    registry = bundled.registry()
    assert registry.documents.keys() == {"anthropic", "google", "openai"}
    assert "openai:gpt-4o-mini" in registry.documents["openai"]["models"]


def test_calls_are_priced_without_internet(with_bundled, api):
    """1,000 × 0.15 + 200 × 0.6, per million."""
    reply = api.send("POST", "/api/v1/log", CALL)
    assert (reply["cost"], reply["cost_source"]) == (0.00027, "registry")
    assert api.read("/registry")["snapshot"] == str(Snapshot.objects.get())


def test_the_follower_loads_the_copy_before_any_request(with_bundled):
    keep_current(now=timezone.now())
    assert current.in_memory().document["models"]["openai:gpt-4o-mini"]
    assert Refresh.objects.get().succeeded_at is None


def test_upstream_is_still_asked_and_replaces_the_copy(with_bundled, api, upstream):
    assert current.require().id == Snapshot.objects.get().id
    refresh = Refresh.objects.get()
    assert (refresh.succeeded_at, bool(refresh.error)) == (None, True)
    upstream.publish()
    restart()
    Refresh.objects.update(attempted_at=None)
    keep_current(now=timezone.now())
    assert Snapshot.objects.count() == 2
    assert current.require().id == Snapshot.objects.newest().id


def test_the_copy_is_stored_once(with_bundled, api):
    assert current.require()
    restart()
    assert current.require()
    assert Snapshot.objects.count() == 1


def test_a_server_that_has_reached_upstream_does_not_need_the_copy(with_bundled, upstream):
    upstream.publish()
    assert current.require()
    assert Snapshot.objects.get().model_count == 5
