"""Servers that are deleted while a request still uses them."""

import pytest

from mcp import execution, item_store, registration
from mcp.models import Server
from tests.mcp.conftest import SCHEMA
from tests.mcp.peers.scripted import scripted

pytestmark = pytest.mark.usefixtures("transactional_db")  # other threads take part

CALL = {"name": "calc__add", "arguments": {"a": 1}}


@pytest.fixture
def deleting(monkeypatch):
    """A function: have all servers deleted before a function of a module runs."""

    def deleting(module, name: str) -> None:
        run = getattr(module, name)

        def delete_and_run(*args, **options):
            for server in Server.objects.all():
                registration.delete(server)
            return run(*args, **options)

        monkeypatch.setattr(module, name, delete_and_run)

    return deleting


@pytest.mark.parametrize("reported", [{}, {"error": "x"}])
def test_execution_of_a_tool_that_is_gone_is_not_found(api, tool, deleting, reported):
    deleting(execution, "record")
    path = f"/api/v1/mcp/tools/{tool['id']}/execute"
    reply = api.send("POST", path, {"input": {"a": 1}, **reported}, expect=404)
    assert reply == {"detail": "Tool not found"}


def test_call_of_a_tool_that_is_gone_is_one_of_an_unknown_tool(api, tool, deleting):
    deleting(execution, "record")
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL}
    error = api.send("POST", "/mcp", body)["error"]
    assert error == {"code": -32602, "message": "Unknown tool: calc__add"}


def test_unknown_tool_of_a_server_that_is_gone_is_unknown(api, register, deleting):
    deleting(item_store, "store")
    with scripted(None) as peer:
        register(url=peer.url)
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL}
        assert api.send("POST", "/mcp", body)["error"]["message"] == "Unknown tool: calc__add"


def test_change_of_a_server_that_is_gone_is_not_found(api, server, deleting):
    deleting(registration, "change")
    reply = api.send("PUT", f"/api/v1/mcp/servers/{server['id']}", {"name": "n"}, expect=404)
    assert reply == {"detail": "Server not found"}
    assert not Server.objects.exists()


def test_tool_of_a_server_that_is_gone_is_not_added(api, server, deleting):
    deleting(registration, "Tool")
    entry = {"server_id": server["id"], "name": "a", "input_schema": SCHEMA}
    reply = api.send("POST", "/api/v1/mcp/tools", entry, expect=404)
    assert reply == {"detail": "Server not found"}
