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
        found = run_client("mcp_calls.py", address, api.key, url, manifest, cwd=tmp_path)
    id = found["server"]["id"]
    assert found["listed"] == found["inactive"] == [id]
    assert (found["got"]["url"], found["updated"]["name"]) == (url, "renamed")
    assert (found["switched off"]["is_active"], found["deleted"]) == (False, True)
    assert found["tool"]["server"] == {"id": id, "name": "helped", "url": url}
    assert found["same tool"] is found["resource"] is found["prompt"] is True
    assert found["by name"] == found["tool"]["id"]
    recorded, executed = found["recorded"], found["executed"]
    assert (recorded["output"], recorded["duration_ms"]) == ({"sum": 1}, 5)
    assert recorded["conversation_id"] == found["conversation"]
    assert executed["output"]["structuredContent"] == {"result": 42}
    assert found["history"] == [executed, recorded]
    assert found["content"]["content"] == "Water the plants."
    assert found["rendered"]["rendered"] == "Please review this Python: x = 1"
    assert found["message"]["id"] == found["messages"][0]["id"]
    assert not ToolExecution.objects.exists()  # they went with their server
    commands = found["commands"]
    assert {printed[:2] for printed in commands.values()} == {"0:"}
    assert "Registered MCP server" in commands["register"]
    assert "sub" in commands["tools"]
    assert "again" in commands["prompts"]
    assert "notes://more" in commands["resources"]
