"""Registering, changing and deleting MCP servers (contract 9.1, 9.2; B4 to B8, B52, B55)."""

import pytest

from mcp.models import Server, Tool, ToolExecution
from tests.mcp.conftest import SERVER, UNKNOWN

PATH = "/api/v1/mcp/servers"


def types(reply: dict) -> list[tuple]:
    return [(each["type"], each["loc"]) for each in reply["detail"]]


def test_registered_server_is_returned_and_stored(api):
    entry = {**SERVER, "auth_config": None, "capabilities": {"tools": True}, "project_id": "p 7"}
    reply = api.send("POST", PATH, entry)
    assert reply == {
        **entry,
        "is_active": True,
        "id": reply["id"],
        "api_key_id": str(api.api_key_id),
        "created_at": reply["created_at"],
        "updated_at": reply["updated_at"],
        "reachable": None,
        "last_error": "",
        "contacted_at": None,
        "refreshed_at": None,
        "protocol_version": "",
        "prefix": "calc",
        "legacy": False,
        "timeout_seconds": None,
    }
    assert reply["created_at"].endswith("Z")
    row = Server.objects.get()
    assert (row.project_id, row.project_label) == (api.project.id, "p 7")
    assert api.read(f"{PATH}/{reply['id']}") == reply
    assert api.read(f"{PATH}/") == [reply]


def test_registered_server_is_asked_for_its_tools(api, scheduled):
    reply = api.send("POST", PATH, SERVER)
    assert [str(server.id) for server in scheduled] == [reply["id"]]


@pytest.mark.parametrize(
    ("transport", "url"),
    [
        *[("http", f"http://{host}/") for host in ("localhost:80", "10.0.0.1", "[::1]:80", "a.b")],
        *[("sse", "https://example.com/sse?x=1"), ("stdio", "uvx mcp-server-git --now")],
        *[("websocket", "ws://localhost:1/"), ("websocket", "wss://example.com")],
    ],
)
def test_address_of_each_transport_is_kept(register, transport, url):
    assert register(transport_type=transport, url=url)["url"] == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost", "/x", "ftp://a.b/", "file:///etc/passwd", "javascript:alert(1)"),
        *("http://", "http:///x", "http://a b/", "http://a.b:port/", "http://a.b:99999/"),
        *("http://[::1/", "http://169.254.169.254/", "http://[fd00:ec2::254]/", "ws://a.b/"),
        *("http://a.b/\n", "http://a\u0000b/", "http://a.b/" + "x" * 1000),
    ],
)
def test_bad_address_is_refused(api, url):
    reply = api.send("POST", PATH, {**SERVER, "url": url}, expect=422)
    assert reply["detail"][0]["loc"] == ["body", "url"]
    assert not Server.objects.exists()


def test_password_in_an_address_is_refused_and_not_repeated(api):
    url = "http://me:secret-pw@localhost/"
    reply = api.send("POST", PATH, {**SERVER, "url": url}, expect=422)
    assert "secret-pw" not in str(reply)


def test_private_addresses_are_refused_under_the_public_policy(api, settings):
    settings.EGRESS = "public"
    for url in ("http://localhost/", "http://127.0.0.1/", "http://192.168.1.1/"):
        api.send("POST", PATH, {**SERVER, "url": url}, expect=422)


@pytest.mark.parametrize(
    ("entry", "type", "loc"),
    [
        ({"name": None}, "string_type", ["body", "name"]),
        ({"name": ""}, "string_too_short", ["body", "name"]),
        ({"name": "n" * 256}, "string_too_long", ["body", "name"]),
        ({"name": "a\u0000"}, "null_character", ["body", "name"]),
        ({"transport_type": "carrier pigeon"}, "literal_error", ["body", "transport_type"]),
        ({"auth_config": []}, "dict_type", ["body", "auth_config"]),
        ({"capabilities": "all"}, "dict_type", ["body", "capabilities"]),
        ({"capabilities": {"a": "\u0000"}}, "null_character", ["body", "capabilities"]),
        ({"is_active": "perhaps"}, "bool_parsing", ["body", "is_active"]),
        ({"project_id": "p" * 256}, "string_too_long", ["body", "project_id"]),
    ],
)
def test_malformed_member_is_named(api, entry, type, loc):
    reply = api.send("POST", PATH, {**SERVER, **entry}, expect=422)
    assert (type, loc) in types(reply)


def test_missing_members_are_named(api):
    reply = api.send("POST", PATH, {}, expect=422)
    assert types(reply) == [("missing", ["body", name]) for name in SERVER]


def test_server_can_be_registered_switched_off(api, register):
    server = register(is_active=False)
    assert server["is_active"] is False
    assert api.read(PATH) == api.read(PATH, {"is_active": ""}) == []
    assert api.read(PATH, {"is_active": "false", "project_id": ""}) == [server]


def test_servers_are_listed_newest_first(api, register):
    ids = [register(name=name)["id"] for name in "abc"]
    assert [row["id"] for row in api.read(PATH, {"is_active": "true"})] == ids[::-1]
    api.read(PATH, {"is_active": "perhaps"}, expect=422)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_given_members_change_and_null_leaves_them(api, register, method):
    server = register(capabilities={"tools": True})
    changes = {"name": "new", "url": "http://localhost:10/", "is_active": None, "x": 1}
    reply = api.send(method, f"{PATH}/{server['id']}", changes)
    assert reply["updated_at"] > server["updated_at"]
    expected = {**server, "name": "new", "url": "http://localhost:10/"}
    assert reply == {**expected, "updated_at": reply["updated_at"]}
    assert api.send(method, f"{PATH}/{server['id']}/", {}) == reply
    assert api.send(method, f"{PATH}/{server['id']}", {"capabilities": {}})["capabilities"] is None
    assert api.send(method, f"{PATH}/{server['id']}", {"is_active": False})["is_active"] is False


@pytest.mark.parametrize("url", ["ftp://a.b/", "http://169.254.169.254/", "http://a:b@c.d/"])
def test_changed_address_is_checked_like_a_new_one(api, server, url):
    api.send("PUT", f"{PATH}/{server['id']}", {"url": url}, expect=422)
    api.send("PUT", f"{PATH}/{server['id']}", {"transport_type": "websocket"}, expect=200)
    assert Server.objects.get().url == SERVER["url"]


def test_deleted_server_takes_all_that_belongs_to_it(api, server, tool):
    api.send("POST", f"/api/v1/mcp/tools/{tool['id']}/execute", {"input": {}, "error": "x"})
    reply = api.send("DELETE", f"{PATH}/{server['id']}")
    assert reply == {"message": "Server deleted successfully"}
    assert not any(model.objects.exists() for model in (Server, Tool, ToolExecution))
    missing = {"detail": "Server not found"}
    assert api.send("DELETE", f"{PATH}/{server['id']}", expect=404) == missing


def calls(id: str):
    for method, path, body in [
        ("GET", "", None),
        ("PUT", "", {"name": "stolen"}),
        ("PATCH", "", {"name": "stolen"}),
        ("POST", "/refresh", {"tools": []}),
        ("DELETE", "", None),
    ]:
        yield method, f"{PATH}/{id}{path}", body


def test_strangers_server_is_not_found(other_api, server):
    for method, path, body in calls(server["id"]):
        reply = other_api.send(method, path, body, expect=404)
        assert reply == {"detail": "Server not found"}
    assert other_api.read(PATH) == []
    assert Server.objects.get().name == SERVER["name"]


def test_unknown_id_is_not_found_and_a_bad_one_is_refused(api):
    for method, path, body in calls(UNKNOWN):
        api.send(method, path, body, expect=404)
    for method, path, body in calls("no-id"):
        reply = api.send(method, path, body, expect=422)
        assert types(reply) == [("uuid_parsing", ["path", "server_id"])]


def test_other_methods_are_refused(api, server):
    assert api.post(f"{PATH}/{server['id']}").status_code == 405
    assert api.delete(PATH).status_code == 405
