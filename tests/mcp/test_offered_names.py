"""Names on `/mcp`: what models take, unique, stable, and never of another server."""

import re

import pytest

from mcp.models import Server, Tool

TAKEN_BY_MODELS = re.compile(r"[A-Za-z0-9_-]{1,64}")
ODD = [
    *("x" * 59, "x" * 58, "x" * 255, "a.b", "a b", "a/b", "ü", "日本語", "a__b", "-", "_", "A-Z_0"),
    *("x" * 254 + "a", "x" * 254 + "b", "a:b", "a;b", "emoji 😀"),
]


@pytest.fixture
def offer(api, register):
    """A function: a server of this name that offers tools and prompts."""

    def offer(name: str, tools=("t",), **members) -> dict:
        server = register(name=name, **members)
        items = [{"name": each} for each in tools]
        lists = {"tools": items, "prompts": items, "resources": [{"uri": "x:1"}]}
        api.send("POST", f"/api/v1/mcp/servers/{server['id']}/refresh", lists)
        return server

    return offer


def names(found, kind: str) -> list[str]:
    return [item["name"] for item in found(f"{kind}/list")[kind]]


@pytest.mark.parametrize("kind", ["tools", "prompts"])
def test_names_are_such_as_models_take(found, offer, kind):
    offer("A server with a name of more than forty characters, and ümläuts", ODD)
    offered = names(found, kind)
    assert len(set(offered)) == len(ODD)
    assert all(TAKEN_BY_MODELS.fullmatch(name) for name in offered)


def test_good_names_stay_as_they_are(found, offer):
    offer("calc", ["add", "x" * 58, "A-Z_0", "a__b"])
    assert set(names(found, "tools")) == {
        *("calc__add", f"calc__{'x' * 58}", "calc__A-Z_0", "calc__a__b")
    }


@pytest.mark.parametrize("own", ["x" * 255, "a.b", "日本語", "a b"])
def test_cut_name_is_looked_up(found, offer, own):
    offer("calc", [own, "a_b"])
    offered = Tool.objects.get(name=own).offered_name
    reply = found("tools/call", name=offered, arguments={})
    assert "Connection refused" in reply["content"][0]["text"]
    assert Tool.objects.get(name=own).executions.count() == 1


def test_name_that_looks_like_a_cut_one_is_another(api, found, offer):
    server = offer("calc", ["a.b"])
    cut = Tool.objects.get().offered_name
    offer("other")

    own = cut.removeprefix("calc__")
    entry = {"server_id": server["id"], "name": own, "input_schema": {}}
    api.send("POST", "/api/v1/mcp/tools", entry)
    assert len(set(names(found, "tools"))) == 3


def test_names_stay_through_refreshes_renamings_and_pauses(api, found, offer):
    first, second = offer("calc", ["a.b", "t"]), offer("calc", ["a.b", "t"])
    before = [found(f"{kind}/list") for kind in ("tools", "prompts", "resources")]
    path = "/api/v1/mcp/servers"
    lists = {"tools": [{"name": "t"}, {"name": "a.b"}], "prompts": [{"name": "t"}, {"name": "a.b"}]}
    api.send("POST", f"{path}/{first['id']}/refresh", {**lists, "resources": [{"uri": "x:1"}]})
    api.send("PUT", f"{path}/{second['id']}", {"name": "renamed"})
    for is_active in (False, True):
        api.send("PUT", f"{path}/{first['id']}", {"is_active": is_active})
    after = [found(f"{kind}/list") for kind in ("tools", "prompts", "resources")]
    assert before == after


@pytest.mark.parametrize("way", ["switched off", "deleted", "renamed"])
def test_name_never_points_to_another_server(api, ask, offer, way):
    first = offer("calc", url="http://localhost:9/first")
    offer("calc", url="http://localhost:9/second")
    path = f"/api/v1/mcp/servers/{first['id']}"
    match way:
        case "switched off":
            api.send("PUT", path, {"is_active": False})
        case "deleted":
            api.send("DELETE", path)
        case "renamed":
            api.send("PUT", path, {"name": "another"})
    offer("calc", url="http://localhost:9/third")
    prefixes = {server.url: server.prefix for server in Server.objects.all()}
    assert prefixes["http://localhost:9/second"] == "calc-2"
    assert prefixes["http://localhost:9/third"] == "calc-3"
    if way != "renamed":
        for method, member in (("tools/call", "name"), ("prompts/get", "name")):
            reply = ask(method, expect=400, **{member: "calc__t"})
            assert reply["error"]["code"] == -32602
        reply = ask("resources/read", expect=400, uri="calc+x:1")
        assert reply["error"]["code"] == -32602


def test_server_that_is_registered_again_has_its_names_back(api, found, offer):
    first = offer("calc")
    before = names(found, "tools")
    api.send("DELETE", f"/api/v1/mcp/servers/{first['id']}")
    offer("calc")
    assert names(found, "tools") == before


def test_projects_do_not_share_prefixes(api, other_api, register):
    assert register(name="calc")["prefix"] == "calc"
    assert register(other_api, name="calc")["prefix"] == "calc"
    assert register(name="calc")["prefix"] == "calc-2"
