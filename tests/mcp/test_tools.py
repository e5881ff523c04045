"""Tools, recorded executions and history (contract 9.3, 9.4; B5, B13, B49, B50, B55)."""

import pytest

from mcp.models import Origin, Tool, ToolExecution
from tests.mcp.conftest import SCHEMA, UNKNOWN

PATH = "/api/v1/mcp/tools"


def record(api, tool: dict, expect=200, **members) -> dict:
    body = {"tool_id": tool["id"], "input": {}, "error": None, "duration_ms": None, **members}
    return api.send("POST", f"{PATH}/{tool['id']}/execute", body, expect=expect)


def test_tool_is_added_with_its_server_beside_it(api, server, tool):
    assert tool["input_schema"] == SCHEMA
    assert tool["server"] == {name: server[name] for name in ("id", "name", "url")}
    assert api.read(f"{PATH}/{tool['id']}/") == tool
    assert api.read(PATH, {"server_id": server["id"], "project_id": ""}) == [tool]


def test_empty_schema_is_accepted(api, server):
    entry = {"server_id": server["id"], "name": "a", "input_schema": {}}
    assert api.send("POST", PATH, entry)["input_schema"] == {}


def test_second_tool_of_a_name_is_refused(api, server, tool):
    entry = {"server_id": server["id"], "name": "add", "input_schema": {}}
    assert "add" in api.send("POST", PATH, entry, expect=409)["detail"]
    assert Tool.objects.count() == 1


def test_tool_cannot_be_added_to_a_strangers_or_unknown_server(other_api, server):
    for id in (server["id"], UNKNOWN):
        entry = {"server_id": id, "name": "a", "input_schema": {}}
        reply = other_api.send("POST", PATH, entry, expect=404)
        assert reply == {"detail": "Server not found"}
    other_api.send("POST", PATH, {"server_id": "x", "name": "a", "input_schema": {}}, expect=422)


def test_tools_are_listed_by_name(api, register):
    servers = [register(), register()]
    for name, server in (("b", 0), ("c", 1), ("a", 1)):
        entry = {"server_id": servers[server]["id"], "name": name, "input_schema": {}}
        api.send("POST", PATH, entry)
    assert [tool["name"] for tool in api.read(PATH)] == ["a", "b", "c"]
    own = api.read(PATH, {"server_id": servers[1]["id"]})
    assert [tool["name"] for tool in own] == ["a", "c"]
    assert api.read(PATH, {"is_active": "false"}) == []
    assert api.read(PATH, {"server_id": UNKNOWN}) == []
    api.read(PATH, {"server_id": "x"}, expect=422)


def test_list_takes_as_many_queries_for_many_tools(api, server, django_assert_num_queries):
    def add(count):
        for n in range(count):
            entry = {"server_id": server["id"], "name": f"{count} {n}", "input_schema": {}}
            api.send("POST", PATH, entry)

    add(1)
    api.read(PATH)
    with django_assert_num_queries(1):
        api.read(PATH)
    add(5)
    with django_assert_num_queries(1):
        assert len(api.read(PATH)) == 6


def test_reported_execution_is_recorded_as_it_is(api, tool):
    reported = {"input": {"a": 1}, "output": {"sum": [1, {"b": None}]}, "duration_ms": 12}
    reply = record(api, tool, **reported)
    expected = {"tool_id": tool["id"], "conversation_id": None, "error": None, "error_kind": None}
    made = {name: reply[name] for name in ("id", "executed_at")}
    assert reply == {**expected, **reported, **made}
    assert reply["executed_at"].endswith("Z")
    row = ToolExecution.objects.get()
    assert (row.origin, row.project_id) == (Origin.RECORDED, api.project.id)
    assert api.read(f"{PATH}/{tool['id']}/history") == [reply]


@pytest.mark.parametrize("reported", [{"error": "boom"}, {"error": ""}, {"duration_ms": 0}])
def test_any_part_of_a_result_means_that_the_client_made_the_call(api, tool, reported):
    reply = record(api, tool, input={"b": "against the schema"}, **reported)
    assert reported.items() <= reply.items()
    assert ToolExecution.objects.get().origin == Origin.RECORDED


@pytest.mark.parametrize(
    ("members", "loc"),
    [
        ({"input": None}, ["body", "input"]),
        ({"input": []}, ["body", "input"]),
        ({"input": {"a": "\u0000"}, "error": "x"}, ["body", "input"]),
        ({"output": "text"}, ["body", "output"]),
        ({"error": {}}, ["body", "error"]),
        ({"error": "a\u0000"}, ["body", "error"]),
        ({"duration_ms": "x"}, ["body", "duration_ms"]),
        ({"duration_ms": -1}, ["body", "duration_ms"]),
        ({"duration_ms": 2**63}, ["body", "duration_ms"]),
        ({"conversation_id": "x"}, ["body", "conversation_id"]),
    ],
)
def test_malformed_member_is_named(api, tool, members, loc):
    assert record(api, tool, expect=422, **members)["detail"][0]["loc"] == loc
    assert not ToolExecution.objects.exists()


def test_huge_numbers_and_deep_values_come_back_or_are_refused(api, tool):
    path = f"{PATH}/{tool['id']}"
    text = '{"input": {"a": 123456789012345678901234567890, "b": 1e300}, "error": "x"}'
    reply = api.send("POST", f"{path}/execute", text)
    assert reply["input"] == {"a": 123456789012345678901234567890, "b": 10**300}
    assert api.read(f"{path}/history")[0]["input"] == reply["input"]
    deep = "[" * 200 + "]" * 200
    api.send("POST", f"{path}/execute", f'{{"input": {{"a": {deep}}}, "error": "x"}}', expect=422)
    api.send("POST", f"{path}/execute", '{"input": {"a": NaN}, "error": "x"}', expect=422)


def test_unknown_conversation_is_not_found(api, tool):
    reply = record(api, tool, expect=404, error="x", conversation_id=UNKNOWN)
    assert reply == {"detail": "Conversation not found"}
    assert not ToolExecution.objects.exists()


def test_execution_is_found_by_its_conversation(api, other_api, tool):
    ours = api.send("POST", "/conversations", {"title": "ours"})["id"]
    theirs = other_api.send("POST", "/conversations", {"title": "theirs"})["id"]
    record(api, tool, duration_ms=1)
    reply = record(api, tool, duration_ms=2, conversation_id=ours)
    record(api, tool, expect=404, duration_ms=3, conversation_id=theirs)
    assert reply["conversation_id"] == ours
    assert api.read("/api/v1/mcp/executions", {"conversation_id": ours}) == [reply]
    row = ToolExecution.objects.get(conversation_id=ours)
    assert (str(row.id), row.duration_ms) == (reply["id"], 2)


def test_history_is_newest_first_in_pages(api, tool):
    path = f"{PATH}/{tool['id']}/history"
    ids = [record(api, tool, duration_ms=n)["id"] for n in range(5)][::-1]
    assert [row["id"] for row in api.read(path)] == ids
    assert [row["id"] for row in api.read(path, {"limit": ""})] == ids
    assert api.read(path, {"limit": 0}) == []
    assert len(api.read(path, {"limit": 100_000})) == 5
    for limit in (-1, "x"):
        api.read(path, {"limit": limit}, expect=422)
    first = api.get(path, {"limit": 3})
    assert [row["id"] for row in first.json()] == ids[:3]
    second = api.get(path, {"limit": 3, "cursor": first["X-Next-Cursor"]})
    assert [row["id"] for row in second.json()] == ids[3:]
    assert "X-Next-Cursor" not in second


@pytest.mark.slow
def test_page_of_large_results_ends_early(api, tool):
    path = f"{PATH}/{tool['id']}/history"
    for _ in range(5):
        record(api, tool, output={"image": "x" * 6_000_000})
    first = api.get(path)
    assert len(first.json()) == 2  # 16 MB
    rest = api.get(path, {"cursor": first["X-Next-Cursor"]})
    assert len(rest.json()) == 2
    last = api.get(path, {"cursor": rest["X-Next-Cursor"]})
    assert len(last.json()) == 1
    assert "X-Next-Cursor" not in last


def test_strangers_tool_is_not_found(other_api, tool):
    for method, path in [
        ("GET", ""),
        ("GET", "/history"),
        ("POST", "/execute"),
        ("POST", "/accept"),
    ]:
        body = {"input": {}, "error": "x"} if path == "/execute" else None
        reply = other_api.send(method, f"{PATH}/{tool['id']}{path}", body, expect=404)
        assert reply == {"detail": "Tool not found"}
        other_api.send(method, f"{PATH}/{UNKNOWN}{path}", body, expect=404)
        other_api.send(method, f"{PATH}/no-id{path}", body, expect=422)
    assert other_api.read(PATH) == []
    assert not ToolExecution.objects.exists()


@pytest.mark.parametrize(
    ("kind", "action"), [("resources", "GET content"), ("prompts", "POST render")]
)
def test_strangers_resource_or_prompt_is_not_found(api, other_api, server, kind, action):
    lists = {"resources": [{"uri": "x:1"}], "prompts": [{"name": "p"}]}
    reply = api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", lists)
    path = f"/api/v1/mcp/{kind}/{reply[kind][0]['id']}"
    missing = {"detail": f"{kind.capitalize()[:-1]} not found"}
    method, last = action.split()
    assert other_api.read(path, expect=404) == missing
    body = {} if method == "POST" else None
    assert other_api.send(method, f"{path}/{last}", body, expect=404) == missing
    assert other_api.read(f"/api/v1/mcp/{kind}") == []
