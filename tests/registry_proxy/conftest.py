from datetime import UTC, datetime

import pytest

from registry_proxy import refreshing
from registry_proxy.current_registry import current
from tests.registry_proxy import bundled_copy


@pytest.fixture
def refreshed(db_all, upstream):
    """A function: upstream publishes these provider files, and we refresh on that day of 2026."""

    def refresh(month: int, day: int, **changed: bytes):
        upstream.publish(**changed)
        snapshot = refreshing.refresh(now=datetime(2026, month, day, 12, tzinfo=UTC))
        current.follow()
        upstream.requests.clear()
        return snapshot

    return refresh


@pytest.fixture
def real(db_all, upstream):
    """The registry that ships with the server. For tests with real commits."""
    bundled_copy.hold()
    return current.get()
