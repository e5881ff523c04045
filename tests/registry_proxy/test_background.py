import pytest
from django.db import OperationalError

from registry_proxy import service
from registry_proxy.background import follower


def test_a_round_takes_up_the_registry(db_all, upstream):
    upstream.publish()
    follower.follow()
    upstream.requests.clear()
    assert len(service.edition().document["models"]) == 5
    assert upstream.requests == []


@pytest.mark.parametrize("error", [OperationalError("gone"), RuntimeError("a bug")])
def test_nothing_ends_the_rounds(db_all, monkeypatch, caplog, error):
    def fail(*, now):
        raise error

    monkeypatch.setattr(service, "keep_current", fail)
    follower.follow()
    assert "registry not refreshed" in caplog.text
