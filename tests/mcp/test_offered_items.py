"""Clients refuse a whole list for one odd item: such items are left out or repaired."""

import pytest
from mcp_types import methods

from mcp.models import Server
from tests.mcp.peers.environment import (
    SDK,
    SDK_1,
    TYPESCRIPT_1,
    TYPESCRIPT_2,
    run_client,
    typescript_lists,
)
from tests.mcp.peers.scripted import DISCOVERED, result, scripted
from tests.released_client.server import serving

REVISIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
OBJECT = {"type": "object"}


def tool(**members) -> dict:
    return {"name": "odd", "inputSchema": OBJECT, **members}


def schema(**members) -> dict:
    return tool(inputSchema={**OBJECT, **members})


# One odd thing each, and whether the item is offered all the same.
TOOLS = {
    "required is null": (schema(required=None), True),
    "required is a text": (schema(required="a"), True),
    "required has numbers": (schema(properties={"a": {}}, required=["a", 5, None]), True),
    "required is an object": (schema(required={"a": True}), True),
    "properties are null": (schema(properties=None), True),
    "properties are a list": (schema(properties=[{"name": "a"}]), True),
    "a property is true": (schema(properties={"a": True, "b": False}), True),
    "a property is null": (schema(properties={"a": None, "b": {}}), True),
    "a property is a text": (schema(properties={"a": "string"}), True),
    "dialect is a number": (schema(**{"$schema": 7}), True),
    "no type": (tool(inputSchema={"properties": {}}), True),
    "another type": (tool(inputSchema={"type": "string"}), True),
    "a list of types": (tool(inputSchema={"type": ["object", "null"]}), True),
    "no schema": ({"name": "odd"}, False),
    "schema is null": (tool(inputSchema=None), False),
    "schema is true": (tool(inputSchema=True), False),
    "schema is a text": (tool(inputSchema="{}"), False),
    "output is null": (tool(outputSchema=None), True),
    "output is true": (tool(outputSchema=True), True),
    "output is a list": (tool(outputSchema={"type": "array"}), True),
    "output requires null": (tool(outputSchema={**OBJECT, "required": None}), True),
    "output has odd properties": (tool(outputSchema={**OBJECT, "properties": {"a": 5}}), True),
    "title is a number": (tool(title=5), True),
    "description is a list": (tool(description=["a"]), True),
    "description is null": (tool(description=None), True),
    "hints are texts": (tool(annotations={"readOnlyHint": "yes", "title": 5}), True),
    "annotations are a list": (tool(annotations=[]), True),
    "annotations are null": (tool(annotations=None), True),
    "meta is a list": (tool(_meta=[]), True),
    "meta is a text": (tool(_meta="x"), True),
    "icons are an object": (tool(icons={"src": "x"}), True),
    "an icon without src": (tool(icons=[{"mimeType": "image/png"}, {"src": "x:1"}]), True),
    "an icon is a text": (tool(icons=["x:1"]), True),
    "sizes are a text": (tool(icons=[{"src": "x:1", "sizes": "48x48"}]), True),
    "theme is unknown": (tool(icons=[{"src": "x:1", "theme": "sepia"}]), True),
    "execution is odd": (tool(execution={"taskSupport": "perhaps"}), True),
    "name is a number": (tool(name=5), False),
    "name is empty": (tool(name=""), False),
    "name is null": (tool(name=None), False),
    "name is too long": (tool(name="n" * 256), False),
}
RESOURCES = {
    "uri is no address": ({"uri": "not an address", "name": "odd"}, False),
    "uri has spaces": ({"uri": "file:///a b", "name": "odd"}, True),
    "uri begins with a digit": ({"uri": "3d:model", "name": "odd"}, True),
    "uri has no host": ({"uri": "http://", "name": "odd"}, True),
    "uri is empty": ({"uri": "", "name": "odd"}, False),
    "uri is a number": ({"uri": 5, "name": "odd"}, False),
    "no name": ({"uri": "x:1"}, True),
    "name is null": ({"uri": "x:1", "name": None}, True),
    "name is a number": ({"uri": "x:1", "name": 5}, True),
    "size is a text": ({"uri": "x:1", "name": "odd", "size": "12"}, True),
    "size is a fraction": ({"uri": "x:1", "name": "odd", "size": 1.5}, True),
    "mimeType is null": ({"uri": "x:1", "name": "odd", "mimeType": None}, True),
    "mimeType is a list": ({"uri": "x:1", "name": "odd", "mimeType": []}, True),
    "priority is too high": ({"uri": "x:1", "name": "o", "annotations": {"priority": 7}}, True),
    "priority is true": ({"uri": "x:1", "name": "o", "annotations": {"priority": True}}, True),
    "audience is a text": ({"uri": "x:1", "name": "o", "annotations": {"audience": "user"}}, True),
    "audience is unknown": ({"uri": "x:1", "name": "o", "annotations": {"audience": ["x"]}}, True),
    "a day is no time": (
        {"uri": "x:1", "name": "o", "annotations": {"lastModified": "today"}},
        True,
    ),
}
PROMPTS = {
    "arguments are an object": ({"name": "odd", "arguments": {"a": {"required": True}}}, True),
    "arguments are null": ({"name": "odd", "arguments": None}, True),
    "arguments are a text": ({"name": "odd", "arguments": "a"}, True),
    "an argument is a text": ({"name": "odd", "arguments": ["a", {"name": "b"}]}, True),
    "an argument has no name": ({"name": "odd", "arguments": [{"description": "x"}]}, True),
    "required is a text": ({"name": "odd", "arguments": [{"name": "a", "required": "yes"}]}, True),
    "description is a number": ({"name": "odd", "description": 5}, True),
    "name is null": ({"name": None}, False),
}
TEMPLATES = {
    "no name": ({"uriTemplate": "x:{a}"}, True),
    "template is null": ({"uriTemplate": None, "name": "odd"}, False),
    "annotations are odd": (
        {"uriTemplate": "x:{a}", "name": "o", "annotations": {"priority": -1}},
        True,
    ),
}
KINDS = {
    "tools": ("tools/list", "tools", TOOLS),
    "resources": ("resources/list", "resources", RESOURCES),
    "prompts": ("prompts/list", "prompts", PROMPTS),
    "templates": ("resources/templates/list", "resourceTemplates", TEMPLATES),
}
ODD = [(kind, name) for kind, (_, _, items) in KINDS.items() for name in items]
GOOD = {
    "tools/list": {"tools": [{"name": "add", "inputSchema": OBJECT}]},
    "resources/list": {"resources": [{"uri": "x:good", "name": "good"}]},
    "resources/templates/list": {
        "resourceTemplates": [{"uriTemplate": "x:{good}", "name": "good"}]
    },
    "prompts/list": {"prompts": [{"name": "good"}]},
}
ALL = {**DISCOVERED, "capabilities": {"tools": {}, "resources": {}, "prompts": {}}}


def lists(**replaced) -> dict:
    return {"server/discover": ALL, **GOOD, **replaced}


def with_item(kind: str, item: dict) -> dict:
    method, member, _ = KINDS[kind]
    return lists(**{method: {member: [*GOOD[method][member], item]}})


def refreshed(api, register, name: str, methods: dict) -> dict:
    with scripted(None, **methods) as server:
        id = register(name=name, url=server.url)["id"]
        return api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")


@pytest.mark.parametrize(("kind", "name"), ODD, ids=[f"{kind}: {name}" for kind, name in ODD])
def test_odd_item_is_repaired_or_left_out(api, register, found, kind, name):
    method, member, items = KINDS[kind]
    item, is_offered = items[name]
    reply = refreshed(api, register, "peer", with_item(kind, item))
    for version in REVISIONS:
        assert len(found(method, version)[member]) == 1 + is_offered
    error = reply["server"]["last_error"]
    assert is_offered or "left out" in error
    assert reply["server"]["reachable"] is True


def test_repaired_item_is_named(api, register):
    reply = refreshed(api, register, "peer", with_item("tools", schema(required=None)))
    assert reply["server"]["last_error"] == (
        "'odd' repaired (inputSchema.required: Input should not be null)"
    )


def test_item_with_very_many_faults_is_left_out(api, register, found):
    """Pydantic lists all faults or none, and lets no other thread run meanwhile."""
    reply = refreshed(api, register, "peer", with_item("tools", schema(required=[1] * 5_001)))
    assert reply["server"]["last_error"] == "'odd' left out (5001 faults)"
    assert len(found("tools/list", REVISIONS[-1])["tools"]) == 1


# Of another type than the route's own members have.
REFUSED = {
    "output is true",
    "title is a number",
    "description is a list",
    "annotations are a list",
}


@pytest.mark.parametrize("name", [name for name, (_, is_offered) in TOOLS.items() if is_offered])
def test_odd_tool_that_a_client_stored_is_offered_as_well(api, register, found, name):
    item, _ = TOOLS[name]
    known = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
    item = {member: item[member] for member in known if member in item}
    server = register()
    path = f"/api/v1/mcp/servers/{server['id']}/refresh"
    api.send("POST", path, {"tools": [item]}, expect=422 if name in REFUSED else 200)
    for version in REVISIONS:
        assert len(found("tools/list", version)["tools"]) == (name not in REFUSED)


def test_odd_item_that_a_client_stored_is_left_out(api, server, found):
    odd = {"type": "string", "x-mcp-header": "no header"}
    lists = {
        "tools": [*GOOD["tools/list"]["tools"], schema(properties={"a": odd})],
        "resources": [*GOOD["resources/list"]["resources"], RESOURCES["uri is no address"][0]],
    }
    api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", lists)
    for version in REVISIONS:
        assert [each["name"] for each in found("tools/list", version)["tools"]] == ["calc__add"]
        assert [each["name"] for each in found("resources/list", version)["resources"]] == ["good"]


@pytest.fixture
def twenty_odd_servers(api, register):
    """Servers with all the odd items, and a good one that can be called."""

    def good(connection, message, head):
        connection.sendall(result(message, {"content": [{"type": "text", "text": "42"}]}))

    odd = list(ODD)
    for number in range(20):
        methods = lists()
        for kind, name in odd[number::20]:
            method, member, items = KINDS[kind]
            item = dict(items[name][0])
            if item.get("name") == "odd":
                item["name"] = f"odd {name}"
            methods[method] = {member: [*methods[method][member], item]}
        refreshed(api, register, f"odd {number}", methods)
    with scripted(good, **lists()) as server:
        id = register(name="good", url=server.url)["id"]
        api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")
        yield


@pytest.mark.slow
def test_all_lists_of_twenty_odd_servers_are_valid(found, twenty_odd_servers):
    for version in REVISIONS:
        for method, member, _ in KINDS.values():
            result = found(method, version)
            methods.validate_server_result(method, version, result)
            assert len(result[member]) > 20


@pytest.mark.usefixtures("transactional_db")
@pytest.mark.peers
@pytest.mark.parametrize(
    ("peer", "mode"),
    [
        *[(SDK_1, "legacy"), (SDK, "legacy"), (SDK, "auto"), (SDK, "2026-07-28")],
        *[(TYPESCRIPT_1, "legacy"), (TYPESCRIPT_2, "legacy"), (TYPESCRIPT_2, "auto")],
        (TYPESCRIPT_2, "2026-07-28"),
    ],
)
def test_every_sdk_reads_the_lists_of_twenty_odd_servers(api, twenty_odd_servers, peer, mode):
    assert Server.objects.count() == 21
    with serving() as address:
        url = f"{address}/mcp"
        if peer.startswith("@"):
            read = typescript_lists(peer, url, api.key, mode)
        else:
            version = "1" if peer == SDK_1 else "2"
            read = run_client("lists_client.py", version, url, api.key, mode, requirement=peer)
    assert read["called"] == "42"
    offered = {kind: sum(ok for _, ok in items.values()) for kind, (_, _, items) in KINDS.items()}
    assert {kind: len(read[kind]) for kind in KINDS} == {
        kind: count + 21 for kind, count in offered.items()
    }
