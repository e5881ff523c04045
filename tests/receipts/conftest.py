"""What the tests of receipts share: a server that signs with the contract's key."""

import pytest

from receipts import server_keys
from tests.receipts import vectors


@pytest.fixture(autouse=True)
def empty_key_cache():
    """Tests empty the table of keys behind the process's back."""
    server_keys.clear_cache()
    yield
    server_keys.clear_cache()


@pytest.fixture
def signing(db_all, settings):
    """The settings with the key of the contract's vectors."""
    vectors.configure(settings)
    return settings
