import pytest

from mcp.models import Prompt, Resource
from tests.mcp.conftest import SERVER
from tests.receipts import vectors

CALL = {"provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1, "cost": 1}


@pytest.fixture
def ours(api, settings):
    """A row of ours for each parameter that stands in a path, and its id."""
    return one_of_each(api, settings)


@pytest.fixture
def theirs(other_api, settings):
    """The same of the other project."""
    return one_of_each(other_api, settings)


def one_of_each(api, settings) -> dict:
    vectors.configure(settings)
    server = api.send("POST", "/api/v1/mcp/servers", SERVER)
    tool = api.send(
        "POST", "/api/v1/mcp/tools", {"server_id": server["id"], "name": "add", "input_schema": {}}
    )
    execution = api.send(
        "POST", f"/api/v1/mcp/tools/{tool['id']}/execute", {"input": {}, "result": {"sum": 3}}
    )
    api.send("POST", "/api/v1/aliases/bind", {"alias": "fast", "model": "p:m"})
    log = api.send("POST", "/api/v1/log", CALL)
    receipt = api.send("POST", "/api/v1/receipts/generate", {"log_ids": [log["log_id"]]})
    owner = {"server_id": server["id"], "project_id": api.project.id}
    return {
        "alias": "fast",
        "conversation_id": api.send("POST", "/api/v1/conversations", {"title": "t"})["id"],
        "execution_id": execution["id"],
        "key_id": str(api.api_key_id),
        "log_id": log["log_id"],
        "price_id": api.send(
            "POST", "/api/v1/prices", {"provider": "p", "model": "m", "prices": {"input": "1"}}
        )["id"],
        "prompt_id": Prompt.objects.create(name="p", **owner).id,
        "receipt_id": receipt["receipt"]["receipt_id"],
        "resource_id": Resource.objects.create(uri="r:", name="r", **owner).id,
        "server_id": server["id"],
        "template_id": api.send("POST", "/api/v1/templates", {"name": "t"})["id"],
        "tool_id": tool["id"],
    }
