from datetime import UTC, datetime

import pytest

from registry_proxy import service


@pytest.fixture
def refreshed(db_all, upstream):
    """A function: upstream publishes these provider files, and we refresh on this day of 2026."""

    def refresh(month: int, day: int, **changed: bytes):
        upstream.publish(**changed)
        snapshot = service.refresh(now=datetime(2026, month, day, 12, tzinfo=UTC))
        service.current.follow()
        upstream.requests.clear()
        return snapshot

    return refresh
