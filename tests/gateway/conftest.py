"""The manager: a client with the management token."""

import pytest

from tests.client import ApiClient

MANAGEMENT_TOKEN = "correct-horse-battery-staple"


def bearer(token: str) -> ApiClient:
    return ApiClient(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def manager(db_all, settings):
    settings.MANAGEMENT_TOKEN = MANAGEMENT_TOKEN
    return bearer(MANAGEMENT_TOKEN)


@pytest.fixture
def managed(manager):
    """A project as the management API shows it."""
    return manager.send(
        "POST", "/manage/projects", {"name": "My Project", "api_key": KEY}, expect=201
    )


KEY = "sk-proj-abcdefghijklmnopWXYZ"
MASKED = "sk-proj-...WXYZ"
