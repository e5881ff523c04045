import pytest


@pytest.fixture
def data_dir(tmp_path):
    """For a server of its own."""
    return tmp_path / "data"
