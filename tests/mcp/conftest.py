import pytest
from mcp_types import methods

from mcp import background_refresh
from mcp.client.session_pool import pool

SERVER = {"name": "calc", "url": "http://localhost:9/mcp", "transport_type": "http"}
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
UNKNOWN = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a"],
}


@pytest.fixture(autouse=True)
def scheduled(monkeypatch):
    """The servers whose refresh in the background was scheduled."""
    servers = []
    monkeypatch.setattr(background_refresh, "schedule", servers.append)
    return servers


@pytest.fixture(autouse=True)
def no_sessions_left():
    """Ends the sessions that the pool of this process still has."""
    yield
    for id in list(pool._slots):
        pool.forget(id)


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


@pytest.fixture
def ask(api):
    """A function: the whole reply to a request in a revision."""

    def ask(method: str, version: str = MODERN, expect=200, client=api, **params) -> dict:
        headers = {"HTTP_MCP_PROTOCOL_VERSION": version} if version else {}
        if version == MODERN:
            params = {**params, "_meta": META}
            headers["HTTP_MCP_METHOD"] = method
            if method in NAMED:
                headers["HTTP_MCP_NAME"] = params[NAMED[method]]
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        return client.send("POST", "/mcp", body, expect=expect, **headers)

    return ask


@pytest.fixture
def found(ask):
    """A function: the result of a request, which must be a valid one of its revision."""

    def found(method: str, version: str = MODERN, **params) -> dict:
        reply = ask(method, version, **params)
        assert (reply["jsonrpc"], reply["id"]) == ("2.0", 7)
        methods.validate_server_result(method, version, reply["result"])
        return reply["result"]

    return found
