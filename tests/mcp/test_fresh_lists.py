"""Lists stay fresh: by the clock, by the servers' notices, by calls of what is unknown."""

import shlex
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from mcp import background_refresh
from mcp.models import Server, Tool
from tests.mcp.peers.scripted import DISCOVERED, STREAM, event, result, scripted

SOON = timedelta(seconds=11)  # after the shortest interval between refreshes
OLD = {"tools": [{"name": "old", "inputSchema": {"type": "object"}}], "resultType": "complete"}
NEW = {"tools": [{"name": "new", "inputSchema": {"type": "object"}}], "resultType": "complete"}


@pytest.fixture
def peer():
    def call(connection, message, head):
        connection.sendall(result(message, {"content": [{"type": "text", "text": "called"}]}))

    with scripted(call, **{"tools/list": OLD}) as server:
        yield server


def active() -> list[str]:
    return list(Tool.objects.filter(is_active=True).values_list("name", flat=True))


def test_new_server_is_due_at_once_and_then_after_the_interval(peer, register):
    register(url=peer.url)
    now = timezone.now()
    assert background_refresh.refresh_due(now) is True
    assert active() == ["old"]
    row = Server.objects.get()
    assert timedelta(minutes=13) < row.next_refresh_at - now < timedelta(minutes=17)
    assert background_refresh.refresh_due(now) is False
    peer.methods["tools/list"] = NEW
    assert background_refresh.refresh_due(now + timedelta(minutes=17)) is True
    assert active() == ["new"]


def test_each_refresh_is_a_contact_and_not_each_call(api, peer, register):
    path = f"/api/v1/mcp/servers/{register(url=peer.url)['id']}"
    first = api.send("POST", f"{path}/refresh")
    second = api.send("POST", f"{path}/refresh")["server"]["contacted_at"]
    assert first["server"]["contacted_at"] < second
    api.send("POST", f"/api/v1/mcp/tools/{first['tools'][0]['id']}/execute", {"input": {}})
    assert api.read(path)["contacted_at"] == second


def test_server_that_offers_prompts_since_is_asked_for_them(peer, register):
    register(url=peer.url)
    now = timezone.now()
    background_refresh.refresh_due(now)
    peer.methods["server/discover"] = {**DISCOVERED, "capabilities": {"tools": {}, "prompts": {}}}
    peer.methods["prompts/list"] = {"prompts": [{"name": "p"}]}
    background_refresh.refresh_due(now + timedelta(minutes=17))
    row = Server.objects.get()
    assert [prompt.name for prompt in row.prompts.all()] == ["p"]
    assert "prompts" in row.capabilities


def test_intervals_differ_so_that_servers_are_not_all_due_together(peer, register):
    for _ in range(5):
        register(url=peer.url)
    now = timezone.now()
    while background_refresh.refresh_due(now):
        pass
    assert len(set(Server.objects.values_list("next_refresh_at", flat=True))) == 5


def test_interval_can_be_set_and_switched_off(peer, register, settings):
    settings.MCP_REFRESH_MINUTES = 60
    register(url=peer.url)
    now = timezone.now()
    background_refresh.refresh_due(now)
    assert Server.objects.get().next_refresh_at > now + timedelta(minutes=53)
    settings.MCP_REFRESH_MINUTES = 0
    background_refresh.refresh_due(now + timedelta(minutes=67))
    assert Server.objects.get().next_refresh_at is None
    assert background_refresh.refresh_due(now + timedelta(days=9)) is False


def test_server_that_fails_is_tried_again_later(register):
    register()
    now = timezone.now()
    assert background_refresh.refresh_due(now) is True
    assert Server.objects.get().reachable is False
    assert background_refresh.refresh_due(now) is False
    assert background_refresh.refresh_due(now + timedelta(minutes=17)) is True


def test_lists_that_the_client_sent_are_left_alone(api, peer, register):
    path = f"/api/v1/mcp/servers/{register(url=peer.url)['id']}/refresh"
    api.send("POST", path, {"tools": [{"name": "given"}]})
    assert background_refresh.refresh_due(timezone.now() + timedelta(days=1)) is False
    assert active() == ["given"]
    api.send("PUT", path.removesuffix("/refresh"), {"url": f"{peer.url}?moved"})
    assert background_refresh.refresh_due(timezone.now() + timedelta(days=1)) is False
    api.send("POST", path)
    assert active() == ["old"]
    assert background_refresh.refresh_due(timezone.now() + timedelta(days=1)) is True


@pytest.mark.parametrize(
    "members", [{"is_active": False}, {"transport_type": "websocket", "url": "ws://localhost:1/"}]
)
def test_server_that_is_not_called_is_not_refreshed(register, members):
    register(**members)
    assert background_refresh.refresh_due(timezone.now()) is False


def test_server_that_moved_or_came_back_is_due_at_once(api, peer, register):
    server = register(url=peer.url, is_active=False)
    path = f"/api/v1/mcp/servers/{server['id']}"
    api.send("PUT", path, {"is_active": True})
    assert background_refresh.refresh_due(timezone.now()) is True
    api.send("PUT", path, {"url": f"{peer.url}?moved"})
    assert background_refresh.refresh_due(timezone.now()) is True
    api.send("PUT", path, {"name": "renamed"})
    assert background_refresh.refresh_due(timezone.now()) is False


SCRIPT = """
import json, sys
def answer(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
tools = OLD
for line in sys.stdin:
    message = json.loads(line)
    match message["method"]:
        case "server/discover": answer(id=message["id"], result=DISCOVERED)
        case "tools/list": answer(id=message["id"], result=tools)
        case "tools/call":
            tools = NEW
            answer(method="notifications/KIND/list_changed")
            answer(id=message["id"], result={"content": []})
"""


@pytest.mark.parametrize("kind", ["tools", "resources", "prompts"])
def test_notice_of_a_command_is_followed_in_its_own_process(
    api, register, settings, tmp_path, kind
):
    constants = {"OLD": OLD, "NEW": NEW, "DISCOVERED": DISCOVERED}
    head = "".join(f"{name} = {value!r}\n" for name, value in constants.items())
    script = tmp_path / "server.py"
    script.write_text(head + SCRIPT.replace("KIND", kind))
    settings.MCP_STDIO_COMMANDS = [url] = [shlex.join([sys.executable, str(script)])]
    id = register(transport_type="stdio", url=url)["id"]
    tool = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"][0]["id"]
    api.send("POST", f"/api/v1/mcp/tools/{tool}/execute", {"input": {}})
    background_refresh.mark_changed()
    assert background_refresh.refresh_due(timezone.now() + SOON) is True
    assert active() == ["new"]


def test_notice_in_the_stream_of_an_answer_is_followed(api, register):
    def call(connection, message, head):
        notice = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
        connection.sendall(STREAM + b"\r\n" + event(notice) + event(answer))
        connection.close()

    with scripted(call, **{"tools/list": OLD}) as server:
        id = register(url=server.url)["id"]
        tool = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"][0]["id"]
        api.send("POST", f"/api/v1/mcp/tools/{tool}/execute", {"input": {}})
        server.methods["tools/list"] = NEW
        background_refresh.mark_changed()
        assert background_refresh.refresh_due(timezone.now()) is False  # not so soon again
        assert background_refresh.refresh_due(timezone.now() + SOON) is True
    assert active() == ["new"]


def test_other_notices_refresh_nothing(api, register):
    def call(connection, message, head):
        methods = ("notifications/message", "list_changed", 5)
        notices = [event({"jsonrpc": "2.0", "method": each}) for each in methods]
        notices.append(event({"jsonrpc": "2.0", "id": 999}))
        answer = event({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}})
        connection.sendall(STREAM + b"\r\n" + b"".join(notices) + answer)
        connection.close()

    with scripted(call, **{"tools/list": OLD}) as server:
        id = register(url=server.url)["id"]
        tool = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"][0]["id"]
        reply = api.send("POST", f"/api/v1/mcp/tools/{tool}/execute", {"input": {}})
        assert reply["output"] == {"content": []}
        background_refresh.mark_changed()
        assert background_refresh.refresh_due(timezone.now() + SOON) is False


def test_notice_before_the_session_is_agreed_is_no_harm(api, register):
    def discover(connection, message, head):
        notice = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": DISCOVERED}
        connection.sendall(STREAM + b"\r\n" + event(notice) + event(answer))
        connection.close()

    with scripted(None, **{"server/discover": discover, "tools/list": OLD}) as server:
        id = register(url=server.url)["id"]
        tools = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"]
    assert [tool["name"] for tool in tools] == ["old"]


def test_unknown_tool_is_looked_for_once(api, peer, register, found, ask):
    id = register(url=peer.url)["id"]
    api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
    peer.methods["tools/list"] = NEW
    Server.objects.update(refreshed_at=timezone.now() - SOON)
    assert found("tools/call", name="calc__new")["content"][0]["text"] == "called"
    count = len(peer.sent("tools/list"))
    for _ in range(3):
        assert ask("tools/call", expect=400, name="calc__other")["error"]["code"] == -32602
    assert len(peer.sent("tools/list")) == count


@pytest.mark.parametrize("name", ["other__t", "calc", "t", "__t", "calc_t"])
def test_name_of_no_server_refreshes_none(api, peer, register, ask, name):
    register(url=peer.url)
    ask("tools/call", expect=400, name=name)
    assert peer.requests == []


def test_unknown_prompt_is_looked_for_too(api, register, found):
    others = {
        "server/discover": {**DISCOVERED, "capabilities": {"prompts": {}}},
        "prompts/list": {"prompts": [{"name": "p"}]},
        "prompts/get": {"messages": []},
    }
    with scripted(None, **others) as server:
        register(url=server.url)
        assert found("prompts/get", name="calc__p")["messages"] == []


def test_client_that_sent_the_lists_is_not_overruled_by_a_call(api, peer, register, ask):
    id = register(url=peer.url)["id"]
    api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", {"tools": [{"name": "given"}]})
    Server.objects.update(refreshed_at=timezone.now() - SOON)
    ask("tools/call", expect=400, name="calc__old")
    assert peer.requests == []
