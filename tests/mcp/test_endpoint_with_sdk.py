"""The SDK's own client against our `/mcp`, which in turn calls servers of the SDK."""

import json
import subprocess

import pytest

from mcp.models import Server, ToolExecution
from tests.mcp.peers.environment import command, sdk_server
from tests.released_client.server import serving

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("transactional_db")]


@pytest.fixture(scope="module", params=["any", "handshake"])
def upstream_url(request):
    with sdk_server("http", request.param) as url:
        yield url


@pytest.mark.parametrize(
    ("mode", "version"),
    [("auto", "2026-07-28"), ("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")],
)
def test_client_does_through_us_what_it_does_directly(api, register, upstream_url, mode, version):
    server = register(url=upstream_url)
    register(name="switched off", url=upstream_url, is_active=False)
    tools = api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh")["tools"]
    with serving() as address:
        done = subprocess.run(
            command("sdk_client.py", f"{address}/mcp", api.key, mode),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    unknown_resource = "-32602" if version == "2026-07-28" else "-32002"
    assert found == {
        "version": version,
        "server": None if mode == version else "llmring-server",  # who pins does not ask
        "tools": sorted(f"calc__{tool['name']}" for tool in tools),
        "resources": ["calc+notes://icon", "calc+notes://today"],
        "templates": ["calc+notes://day/{day}"],
        "prompts": ["calc__review"],
        "arguments": ["code", "language"],
        "added": {"result": 42},
        "failed": [True, "Error executing tool fail: no luck"],
        "misfit": [
            True,
            "The arguments do not fit the tool's schema.\na: 'two' is not of type 'integer'",
        ],
        "linked": ["calc+notes://today", {"found": 1, "where": {"deep": [True, None]}}],
        "followed": "Water the plants.",
        "templated": "Notes of 1.",
        "rendered": "Please review this Python: x = 1",
        "unknown tool": "-32602 Unknown tool: calc__nope",
        "unknown resource": f"{unknown_resource} Resource not found",
        "unknown prompt": "-32602 Unknown prompt: nope",
    }
    executions = ToolExecution.objects.order_by("id").values_list("tool__name", "origin")
    assert list(executions) == [(name, "endpoint") for name in ("add", "fail", "link")]
    assert Server.objects.get(id=server["id"]).reachable is True
