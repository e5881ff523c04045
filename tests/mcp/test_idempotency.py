"""`Idempotency-Key` where another server is called: of one key at most once.

The routes that only store are in tests/site/test_idempotency.py.
"""

import pytest
from django.db import connection

from core.models import IdempotentRequest
from mcp import execution
from mcp.models import ToolExecution
from tests.client import ApiClient
from tests.mcp.conftest import SERVER
from tests.mcp.peers.scripted import error, result, scripted
from tests.threads import giving_back

KEY = {"HTTP_IDEMPOTENCY_KEY": "order-7"}
UNFINISHED = {"detail": "The first request with this Idempotency-Key has no reply yet"}
ADD = {"input": {"a": 1}}


class Peer:
    """A running MCP server; `while_called()` runs during each call of its tool."""

    def __init__(self) -> None:
        self.while_called = lambda: None

    def __call__(self, link, message, headers) -> None:
        self.while_called()
        link.sendall(result(message, {"content": [{"type": "text", "text": "called"}]}))

    @property
    def calls(self) -> int:
        return len(self.script.sent("tools/call"))


@pytest.fixture
def peer():
    peer = Peer()
    with scripted(peer) as peer.script:
        yield peer


@pytest.fixture
def refresh(register, peer):
    return f"/api/v1/mcp/servers/{register(url=peer.script.url)['id']}/refresh"


@pytest.fixture
def execute(api, refresh):
    [tool] = api.send("POST", refresh)["tools"]
    return f"/api/v1/mcp/tools/{tool['id']}/execute"


def test_repeated_execution_calls_the_tool_once(api, other_api, peer, execute):
    first = api.send("POST", execute, ADD, **KEY)
    assert first["output"]["content"][0]["text"] == "called"
    assert api.send("POST", f"{execute}/", ADD, **KEY) == first
    api.send("POST", execute, {"input": {"a": 2}}, expect=409, **KEY)
    api.send("POST", execute, {**ADD, "duration_ms": 5}, expect=409, **KEY)
    other_api.send("POST", execute, ADD, expect=404, **KEY)
    assert (peer.calls, str(ToolExecution.objects.get().id)) == (1, first["id"])
    assert api.send("POST", execute, ADD, HTTP_IDEMPOTENCY_KEY="order-8") != first
    assert peer.calls == ToolExecution.objects.count() == 2


def test_repetition_during_the_call_is_refused(api, peer, execute):
    replies = []

    @giving_back
    def repeat():
        assert not connection.in_atomic_block
        replies.append(ApiClient(api.key).send("POST", execute, ADD, expect=409, **KEY))

    peer.while_called = repeat
    first = api.send("POST", execute, ADD, **KEY)
    assert replies == [UNFINISHED]
    assert api.send("POST", execute, ADD, **KEY) == first
    assert peer.calls == ToolExecution.objects.count() == 1


def test_no_transaction_is_open_during_the_call(api, execute, monkeypatch):
    call, open_during = execution._call, []

    def watched(*arguments, **options):
        open_during.append(connection.in_atomic_block)
        return call(*arguments, **options)

    monkeypatch.setattr(execution, "_call", watched)
    api.send("POST", execute, ADD, **KEY)
    assert open_during == [False]


def test_call_whose_end_is_unknown_is_not_made_again(api, peer, execute, monkeypatch):
    """As after a worker was killed between the call and the row that records it."""

    def die(*arguments, **options):
        raise SystemError

    with monkeypatch.context() as patched, pytest.raises(SystemError):
        patched.setattr(execution, "record", die)
        api.send("POST", execute, ADD, **KEY)
    assert api.send("POST", execute, ADD, expect=409, **KEY) == UNFINISHED
    assert (peer.calls, ToolExecution.objects.count()) == (1, 0)


def test_failed_call_is_stored_and_repeated(api, peer, execute):
    peer.script.methods["tools/call"] = {"isError": True, "content": [], "resultType": "complete"}
    first = api.send("POST", execute, ADD, **KEY)
    assert first["error_kind"] == "tool"
    assert api.send("POST", execute, ADD, **KEY) == first
    assert peer.calls == 1


def test_refused_execution_leaves_the_key_free(api, peer, execute):
    api.send("POST", execute, {"input": []}, expect=422, **KEY)
    unknown = {**ADD, "conversation_id": "59d80ca7-0000-4000-8000-000000000000"}
    api.send("POST", execute, unknown, expect=404, **KEY)
    assert not IdempotentRequest.objects.exists()
    api.send("POST", execute, ADD, **KEY)
    assert peer.calls == 1


@pytest.mark.parametrize("key", ["k" * 256, "a\x00b"], ids=["long", "NUL"])
def test_unusable_key_is_refused_before_the_call(api, peer, execute, key):
    reply = api.send("POST", execute, ADD, expect=422, HTTP_IDEMPOTENCY_KEY=key)
    assert reply["detail"][0]["loc"] == ["header", "Idempotency-Key"]
    assert peer.calls == 0


def test_repeated_refresh_asks_the_server_once(api, peer, refresh):
    first = api.send("POST", refresh, **KEY)
    assert api.send("POST", refresh, **KEY) == first
    assert len(peer.script.sent("tools/list")) == 1


def test_failed_refresh_leaves_the_key_free(api, peer, refresh):
    tools = peer.script.methods["tools/list"]
    peer.script.methods["tools/list"] = lambda link, message, headers: link.sendall(
        error(message, -32603)
    )
    api.send("POST", refresh, expect=502, **KEY)
    peer.script.methods["tools/list"] = tools
    assert len(api.send("POST", refresh, **KEY)["tools"]) == 1


def test_repeated_acceptance_does_not_accept_a_later_change(api, peer, refresh, execute):
    accept = execute.replace("execute", "accept")
    first = api.send("POST", accept, **KEY)
    api.send("POST", refresh, {"tools": [{"name": "t", "description": "new", "input_schema": {}}]})
    assert api.send("POST", accept, **KEY) == first
    assert api.read(execute.removesuffix("/execute"))["changed"] is True


def test_stored_replies_are_deleted_with_their_server(api, refresh, execute):
    api.send("POST", execute, ADD, **KEY)
    api.send("POST", refresh, **KEY)
    api.send("DELETE", refresh.removesuffix("/refresh"))
    assert not IdempotentRequest.objects.exists()


def test_repeated_registration_schedules_one_refresh(api, scheduled):
    first = api.send("POST", "/api/v1/mcp/servers", SERVER, **KEY)
    assert api.send("POST", "/api/v1/mcp/servers", SERVER, **KEY) == first
    assert [str(server.id) for server in scheduled] == [first["id"]]
