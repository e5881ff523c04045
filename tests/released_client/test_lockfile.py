"""The released client reads exported aliases as its lockfile."""

import pytest

from tests.aliases.test_aliases import bind
from tests.released_client.client import run_client

pytestmark = pytest.mark.peers


def test_client_reads_both_formats(api, tmp_path):
    bind(api, "fast", "openai:a,google:b")
    bind(api, "deep", "openai:c", profile="dev", metadata={"constraints": {"max_cost": 1}})
    paths = {"json": tmp_path / "llmring.lock.json", "toml": tmp_path / "llmring.lock"}
    for format, path in paths.items():
        path.write_bytes(api.get("/api/v1/aliases/export", {"format": format}).content)
    expected = {
        "default_profile": "default",
        "aliases": {"default/fast": ["openai:a", "google:b"], "dev/deep": ["openai:c"]},
    }
    assert run_client("lockfile.py", *paths.values(), cwd=tmp_path) == [expected, expected]
