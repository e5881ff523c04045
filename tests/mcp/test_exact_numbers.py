"""Numbers keep their digits on the way to a server and back.

Source: docs/http-contract/mcp.md, "Objects" and "Calling out".
"""

import json

import pytest

from mcp.client.protocol import parse
from mcp.models import ToolExecution
from tests.mcp.conftest import META, MODERN
from tests.mcp.peers.scripted import scripted
from tests.site.loopback import answer

pytestmark = pytest.mark.django_db

# As they are written: of the first three a double loses digits.
NUMBERS = b"[1180591620717411303424,-18446744073709551616,0.123456789012345678901,1.5,7,1e-7]"


def return_numbers(connection, message, headers) -> None:
    own = b'{"jsonrpc":"2.0","id":%d,"result":{"content":[],"structuredContent":{"n":%s}}}'
    body = own % (message["id"], NUMBERS)
    connection.sendall(answer(body, Content_Type="application/json"))


@pytest.fixture
def upstream():
    with scripted(return_numbers) as server:
        yield server


@pytest.fixture
def tool(api, register, upstream):
    id = register(url=upstream.url)["id"]
    return api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"][0]


def test_executed_result_is_returned_and_kept_with_its_digits(api, tool):
    path = f"/api/v1/mcp/tools/{tool['id']}"
    reply = api.post(f"{path}/execute", {"input": {}}, "application/json")
    history = api.get(f"{path}/history")
    for body in (reply.content, history.content):
        assert b"1180591620717411303424,-18446744073709551616,0.123456789012345678901," in body
    (stored,) = ToolExecution.objects.all()
    assert stored.output["structuredContent"]["n"][:2] == [2**70, -(2**64)]


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
def test_endpoint_passes_arguments_and_result_with_their_digits(api, tool, upstream, version):
    meta = json.dumps(META).encode() if version == MODERN else b"{}"
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":'
        b'{"name":"calc__t","arguments":{"n":%s},"_meta":%s}}' % (NUMBERS, meta)
    )
    headers = {
        "HTTP_MCP_PROTOCOL_VERSION": version,
        "HTTP_MCP_METHOD": "tools/call",
        "HTTP_MCP_NAME": "calc__t",
    }
    reply = api.post("/mcp", body, "application/json", **headers)
    assert b'"n":[1180591620717411303424,-18446744073709551616,' in reply.content
    assert b",0.123456789012345678901," in reply.content
    (call,) = upstream.sent("tools/call")
    assert call["params"]["arguments"]["n"][:2] == [2**70, -(2**64)]
    (stored,) = ToolExecution.objects.all()
    assert stored.input["n"][:2] == [2**70, -(2**64)]
    assert str(stored.input["n"][2]) == "0.123456789012345678901"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b"18446744073709551616", 2**64),
        (b"3.4028234663852886e+38", 3.4028234663852886e38),
        (b"1.0", 1.0),
        (b"1" + b"0" * 200, 10**200),
    ],
    ids=["beyond 64 bits", "exact as a double", "short", "long"],
)
def test_number_is_read_as_it_is_written(text, kept):
    answer = b'{"jsonrpc":"2.0","id":1.0,"result":{"a":%s,"b":18446744073709551616}}' % text
    message = parse(answer)
    assert message == {"jsonrpc": "2.0", "id": 1.0, "result": {"a": kept, "b": 2**64}}
    assert type(message["result"]["a"]) is type(kept)


@pytest.mark.parametrize("text", [b"1e400", b"-1e400", b"1e99999999999999999999"])
def test_number_beyond_doubles_is_infinity(text):
    """Which is stored and returned as null."""
    message = parse(b'{"jsonrpc":"2.0","id":1,"result":{"a":%s,"b":18446744073709551616}}' % text)
    assert abs(message["result"]["a"]) == float("inf")


def test_integer_of_thousands_of_digits_does_not_end_the_call():
    message = parse(b'{"jsonrpc":"2.0","id":1,"result":{"a":%s}}' % (b"9" * 5_000))
    assert message["id"] == 1
