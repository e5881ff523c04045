"""Batches of `POST /mcp`. Source: MCP 2025-03-26, "Batching"."""

import pytest

from accounts.models import ApiKey
from mcp.models import ToolExecution
from tests.client import ApiClient
from tests.mcp.peers.scripted import result, scripted

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
NOTIFICATION = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@pytest.fixture
def send(api):
    """A function: the reply to a batch in a revision."""

    def send(batch: list, version: str = "2025-03-26", expect: int = 200, client=api):
        headers = {"HTTP_MCP_PROTOCOL_VERSION": version} if version else {}
        return client.send("POST", "/mcp", batch, expect=expect, **headers)

    return send


def call(*, id: int, **arguments) -> dict:
    params = {"name": "calc__t", "arguments": arguments}
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


@pytest.mark.parametrize("version", ["", "2025-03-26"])
def test_requests_of_a_batch_are_answered_in_one_list(send, version):
    unknown = {"jsonrpc": "2.0", "id": "b", "method": "no/such"}
    replies = send([PING, NOTIFICATION, unknown, 5], version)
    assert replies[0] == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert [(each["id"], each["error"]["code"]) for each in replies[1:]] == [
        ("b", -32601),
        (None, -32600),
    ]


@pytest.mark.django_db(transaction=True)
def test_tools_are_called_in_their_order_and_recorded(send, api, register):
    def called(connection, message, headers):
        text = str(message["params"]["arguments"]["a"])
        connection.sendall(result(message, {"content": [{"type": "text", "text": text}]}))

    with scripted(called) as server:
        id = register(url=server.url)["id"]
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        nameless = {**PING, "id": 2, "method": "tools/call"}
        first, refused, last = send([call(id=1, a=1), nameless, call(id=3, a=3)])
    assert [each["result"]["content"][0]["text"] for each in (first, last)] == ["1", "3"]
    assert (refused["id"], refused["error"]["code"]) == (2, -32602)
    rows = ToolExecution.objects.order_by("id")
    assert [row.input for row in rows] == [{"a": 1}, {"a": 3}]


def test_key_that_may_only_read_calls_nothing_of_a_batch(send, api, tool):
    _, key = ApiKey.issue(api.project, scopes=["read"])
    send([PING, call(id=2, a=1)], expect=403, client=ApiClient(headers={"X-API-Key": key}))
    assert not ToolExecution.objects.exists()


def test_batch_without_requests_is_accepted(api):
    body = [NOTIFICATION, {"jsonrpc": "2.0", "id": 1, "result": {}}]
    response = api.post("/mcp", body, "application/json")
    assert (response.status_code, response.content) == (202, b"")


def test_initialize_is_no_part_of_a_batch(send):
    initialize = {**PING, "id": 2, "method": "initialize", "params": {}}
    ping, refused = send([PING, initialize])
    assert "result" in ping
    assert (refused["id"], refused["error"]["code"]) == (2, -32600)


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28"])
def test_other_revisions_have_no_batches(send, version):
    assert send([PING], version, expect=400)["error"]["code"] == -32600


@pytest.mark.parametrize("batch", [[], [PING] * 101])
def test_batch_has_1_to_100_messages(send, batch):
    assert send(batch, expect=400)["error"]["code"] == -32600
    assert len(send([PING] * 100)) == 100


def test_batch_without_any_message_is_refused(send):
    replies = send([[], "x", {"jsonrpc": "2.0", "id": 1}], expect=400)
    assert [each["error"]["code"] for each in replies] == [-32600] * 3
