"""The released client keeps its conversations on a live server."""

import json

import pytest

from tests.released_client.client import run_client
from tests.released_client.server import serving
from usage.models import UsageLog

pytestmark = pytest.mark.peers
MODEL = {
    "provider": "openai",
    "model_name": "gpt-4o-mini",
    "display_name": "GPT-4o mini",
    "max_input_tokens": 128_000,
    "max_output_tokens": 16_384,
    "dollars_per_million_tokens_input": 0.15,
    "dollars_per_million_tokens_output": 0.6,
    "is_active": True,
}


@pytest.fixture
def registry(tmp_path) -> str:
    models = {"version": 1, "models": {"openai:gpt-4o-mini": MODEL}}
    (tmp_path / "openai").mkdir()
    (tmp_path / "openai" / "models.json").write_text(json.dumps(models))
    return f"file://{tmp_path}"


def test_client_keeps_and_reads_conversations_without_a_warning(api, registry, tmp_path):
    with serving() as address:
        result = run_client("conversations.py", address, api.key, registry, cwd=tmp_path)
    assert result["warnings"] == []
    history = result["history"]
    assert (history["id"], history["title"]) == (result["created"], "A session")
    assert history["message_count"] == 5
    assert [(row["role"], row["content"]) for row in history["messages"]] == [
        ("user", "two"),
        ("user", "three"),
        ("assistant", "answer to three"),
    ]
    assert history["total_input_tokens"] == 2000
    assert {row["id"] for row in result["listed"]} >= {result["created"], result["manager"]}
    assert len(result["listed"]) == 4
    assert result["added"]["id"] == result["messages"][0]["id"]
    assert api.read("/conversations", {"q": "look"})[0]["total_cost"] == 0.00027
    logged = list(UsageLog.objects.values_list("conversation_id", flat=True))
    assert len(logged) == 4
    assert [str(id) for id in logged].count(result["created"]) == 2
    assert None not in logged
