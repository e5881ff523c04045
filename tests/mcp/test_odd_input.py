"""Odd input on every route with a body: a clear 4xx, or kept exactly; never 500, never half."""

import json

import pytest

from mcp.models import Prompt, Server, Tool, ToolExecution
from tests.mcp.conftest import SERVER

PATH = "/api/v1/mcp"
# What stands where a value of any kind may stand, and whether it can be kept.
VALUES = {
    "NUL": (rb'"a\u0000b"', False),
    "lone surrogate": (rb'"\ud800"', False),
    "NaN": (b"NaN", False),
    "infinity": (b"-Infinity", False),
    "too deep": (b"[" * 100 + b"]" * 100, False),
    "far too deep": (b"[" * 100_000 + b"]" * 100_000, False),
    "no UTF-8": (b'"\xff"', False),
    "control character": (b'"a\nb"', False),
    "beyond a double": (b"9007199254740993", True),
    "beyond 64 bits": (b"36893488147419103233", True),
    "negative beyond 64 bits": (b"-36893488147419103233", True),
    "21 digits": (b"123456789.123456789012", True),
    "many digits": (b"0.1234567890123456789012345678", True),
    "emoji": ('"😀"'.encode(), True),
    "escaped pair": (rb'"\ud83d\ude00"', True),
}


@pytest.fixture
def routes(api, server, tool):
    """Paths by name, with the body in which `%V` stands for a value of any kind."""
    refresh = f"{PATH}/servers/{server['id']}/refresh"
    lists = {"tools": [{"name": tool["name"]}], "prompts": [{"name": "p"}]}
    prompt = api.send("POST", refresh, lists)["prompts"][0]
    Tool.objects.update(input_schema={})
    entry = json.dumps(SERVER)[:-1].encode()
    schema = b'{"server_id":"%s","name":"n","input_schema":{"default":%%V}}' % (
        server["id"].encode()
    )
    return {
        "register": ("POST", f"{PATH}/servers", entry + b',"capabilities":{"a":%V}}'),
        "change": ("PUT", f"{PATH}/servers/{server['id']}", b'{"capabilities":{"a":%V}}'),
        "patch": ("PATCH", f"{PATH}/servers/{server['id']}", b'{"capabilities":{"a":%V}}'),
        "refresh": (
            "POST",
            refresh,
            b'{"tools":[{"name":"add","inputSchema":{"default":%V}}]}',
        ),
        "add tool": ("POST", f"{PATH}/tools", schema),
        "execute": (
            "POST",
            f"{PATH}/tools/{tool['id']}/execute",
            b'{"input":{"a":%V},"output":{"b":%V}}',
        ),
        "accept": ("POST", f"{PATH}/tools/{tool['id']}/accept", b'{"fingerprint":%V}'),
        "render": ("POST", f"{PATH}/prompts/{prompt['id']}/render", b'{"a":%V}'),
        "endpoint": (
            "POST",
            "/mcp",
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call",'
            b'"params":{"name":"calc__add","arguments":{"a":%V}}}',
        ),
    }


ROUTES = [
    *("register", "change", "patch", "refresh", "add tool", "execute", "accept", "render"),
    "endpoint",
]
STORING = ["register", "change", "patch", "refresh", "add tool", "execute"]


def counts() -> list[int]:
    return [model.objects.count() for model in (Server, Tool, Prompt, ToolExecution)]


def send(api, routes: dict, route: str, body) -> tuple[int, bytes]:
    method, path, _ = routes[route]
    response = api.generic(method, path, body, content_type="application/json")
    return response.status_code, response.content


@pytest.mark.parametrize("route", ROUTES)
def test_value_that_cannot_be_kept_is_refused(api, routes, route):
    before = counts()
    for name in [name for name, (_, is_kept) in VALUES.items() if not is_kept]:
        body = routes[route][2].replace(b"%V", VALUES[name][0])
        status, content = send(api, routes, route, body)
        if route == "endpoint":
            assert json.loads(content)["error"]["code"] in (-32700, -32602), name
        else:
            assert 400 <= status < 500, name
    assert counts() == before


@pytest.mark.parametrize("route", STORING)
def test_value_is_kept_with_all_its_digits(api, routes, route):
    for name in [name for name, (_, is_kept) in VALUES.items() if is_kept]:
        text = VALUES[name][0]
        Tool.objects.filter(name="n").delete()
        status, content = send(api, routes, route, routes[route][2].replace(b"%V", text))
        assert status == 200, name
        if text.startswith(b'"'):  # written in one of the forms that a text may have
            text, content = (json.dumps(json.loads(each)).encode() for each in (text, content))
        assert text in content, name


FORMS = [
    *(b"", b" ", b"null", b"5", b'"x"', b"[]", b"{", b"{}x", b"\xef\xbb\xbf{}", b"\x00"),
    *(b"\xff\xfe{\x00}\x00", b"a=b", b"[[]]", b'{"a":}', b"{'a': 1}", b"true"),
]


@pytest.mark.parametrize("route", ROUTES)
def test_body_of_another_form_is_refused(api, routes, route):
    before = counts()
    optional = route in ("accept", "render", "refresh")
    for body in FORMS:
        status, _ = send(api, routes, route, body)
        if body or not optional:  # without a body the server itself is asked
            assert 400 <= status < 500, body
    assert counts() == before


@pytest.mark.parametrize("route", STORING)
def test_last_of_two_members_of_one_name_counts(api, routes, route):
    body = routes[route][2].replace(b"%V", b'{"x":1,"x":2}')
    status, content = send(api, routes, route, body)
    assert (status, b'"x":2' in content) == (200, True)
