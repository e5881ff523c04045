import pytest

from mcp import background_refresh

SERVER = {"name": "calc", "url": "http://localhost:9/mcp", "transport_type": "http"}
UNKNOWN = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a"],
}


@pytest.fixture(autouse=True)
def arranged(monkeypatch):
    """The servers that a registration would have asked in the background."""
    servers = []
    monkeypatch.setattr(background_refresh, "schedule", servers.append)
    return servers


@pytest.fixture
def register(api):
    """A function: the registered server, `SERVER` but for the members given."""

    def register(client=api, **members) -> dict:
        return client.send("POST", "/api/v1/mcp/servers", {**SERVER, **members})

    return register


@pytest.fixture
def server(register):
    return register()


@pytest.fixture
def tool(api, server):
    return api.send(
        "POST",
        "/api/v1/mcp/tools",
        {"server_id": server["id"], "name": "add", "input_schema": SCHEMA},
    )


@pytest.fixture
def db_all(_own_connections, db):
    """A transaction that is rolled back. Tests with other threads use `transactional_db`."""
