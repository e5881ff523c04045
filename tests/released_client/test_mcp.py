"""The released client's MCP calls (contract 14.2, 9 to 24), with a real MCP server behind us."""

import json

import pytest

from mcp.models import ToolExecution
from tests.mcp.conftest import scheduled  # noqa: F401 - nothing is asked in the background
from tests.mcp.peers.environment import sdk_server
from tests.released_client.client import run_client
from tests.released_client.server import serving

pytestmark = pytest.mark.peers

MANIFEST = {
    "servers": [
        {
            "name": "applied",
            "url": "http://calculator-mcp:8080",
            "tools": [{"name": "sub", "description": "Subtracts.", "input_schema": {}}],
            "prompts": [{"name": "p"}],
        }
    ]
}


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(MANIFEST))
    return path


def test_every_call_of_the_client_succeeds(api, manifest, tmp_path):
    with sdk_server("http") as url, serving() as address:
        result = run_client("mcp_calls.py", address, api.key, url, manifest, cwd=tmp_path)
    id = result["server"]["id"]
    assert result["listed"] == result["inactive"] == [id]
    assert (result["got"]["url"], result["updated"]["name"]) == (url, "renamed")
    assert (result["switched off"]["is_active"], result["deleted"]) == (False, True)
    assert result["tool"]["server"] == {"id": id, "name": "helped", "url": url}
    assert result["same tool"] is result["resource"] is result["prompt"] is True
    assert result["by name"] == result["tool"]["id"]
    recorded, executed = result["recorded"], result["executed"]
    assert (recorded["output"], recorded["duration_ms"]) == ({"sum": 1}, 5)
    assert recorded["conversation_id"] == result["conversation"]
    assert executed["output"]["structuredContent"] == {"result": 42}
    assert result["history"] == [executed, recorded]
    assert result["content"]["content"] == "Water the plants."
    assert result["rendered"]["rendered"] == "Please review this Python: x = 1"
    assert result["message"]["id"] == result["messages"][0]["id"]
    assert not ToolExecution.objects.exists()  # they went with their server
    commands = result["commands"]
    assert {printed[:2] for printed in commands.values()} == {"0:"}
    assert "Registered MCP server" in commands["register"]
    assert "sub" in commands["tools"]
    assert "again" in commands["prompts"]
    assert "notes://more" in commands["resources"]
