"""Text that cannot be stored is repaired in every form, on every transport."""

import shlex
import sys

import pytest

from mcp.client.mcp_errors import ProtocolViolation
from mcp.client.protocol import parse, request_id
from tests.mcp.peers.scripted import DISCOVERED, STREAM, TOOL, scripted
from tests.site.loopback import answer

R = "\ufffd"
# What stands between the quotation marks of a text, as bytes, and the text that is kept.
TEXTS = {
    "escaped surrogate": (rb"a\ud800b", f"a{R}b"),
    "escaped low surrogate": (rb"a\udc00", f"a{R}"),
    "surrogates in the wrong order": (rb"\udc00\ud800", R + R),
    "surrogate as bytes": (b"a\xed\xa0\x80b", f"a{R}b"),
    "pair as bytes": (b"\xed\xa0\xbd\xed\xb8\x80", "\U0001f600"),
    "escaped pair": (rb"\ud83d\ude00", "\U0001f600"),
    "bytes that are no UTF-8": (b"a\xffb", f"a{R}b"),
    "cut character": (b"a\xc3", f"a{R}"),
    "escaped NUL": (rb"a\u0000b", f"a{R}b"),
    "NUL as a byte": (b"a\x00b", f"a{R}b"),
    "control character": (b"a\tb", "a\tb"),
}


def message(text: bytes, id: bytes = b"1") -> bytes:
    return (
        b'{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}],"%s":1}}'
        % (id, text, text)
    )


@pytest.mark.parametrize("form", TEXTS)
def test_text_is_repaired(form):
    sent, kept = TEXTS[form]
    result = parse(message(sent))["result"]
    assert result == {"content": [{"type": "text", "text": kept}], kept: 1}


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\xef\xbb\xbf  ", b"  "])
def test_byte_order_mark_and_spaces_are_passed_over(before):
    assert parse(before + message(b"a") + b"\r\n")["id"] == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_of_unicode_are_read(encoding):
    assert parse(message(b"a").decode().encode(encoding))["id"] == 1


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_number_that_is_none_is_null(number):
    assert parse(b'{"jsonrpc":"2.0","id":1,"result":{"a":%s}}' % number)["result"] == {"a": None}


@pytest.mark.parametrize(
    "text",
    [
        b'{"jsonrpc":"2.0","id":7,"result":{"a":',
        b'{"id":7,"jsonrpc":"2.0","result":[}',
        b'{"result":{nope},"jsonrpc":"2.0","id":"7"}',
        b'{"jsonrpc": "2.0", "id": 7, "result": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"jsonrpc":"2.0","id":7,"result":[' + b"[]," * 600_000 + b"0]}",
    ],
    ids=["cut", "id first", "id last", "deep", "many"],
)
def test_unreadable_answer_says_whose_it_is(text):
    with pytest.raises(ProtocolViolation) as caught:
        parse(text)
    assert caught.value.request_id == 7


@pytest.mark.parametrize("text", [b"Starting up!", b'{"id": 7, "level": half', b"{", b"", b"7"])
def test_text_that_is_no_answer_is_nobodys(text):
    with pytest.raises(ProtocolViolation) as caught:
        parse(text)
    assert caught.value.request_id is None


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        *[(1, 1), ("1", 1), (" 1 ", 1), (1.0, 1), (0, 0), ("0", 0)],
        *[(True, None), (None, None), ("x", None), (1.5, None), ([], None), ({}, None)],
        *[("", None), ("1.5", None), ("٣", None), ("9" * 40, None), (float("inf"), None)],
    ],
)
def test_ids_are_matched_as_the_sdks_match_them(id, expected):
    assert request_id(id) == expected


SCRIPT = r"""
import json, sys
def answer(id, result):
    print(json.dumps({"jsonrpc": "2.0", "id": id, "result": result}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    match message["method"]:
        case "server/discover": answer(message["id"], DISCOVERED)
        case "tools/list": answer(message["id"], {"tools": [TOOL], "resultType": "complete"})
        case "tools/call":
            sys.stdout.buffer.write(BODY.replace(b"%ID", str(message["id"]).encode()) + b"\n")
            sys.stdout.buffer.flush()
"""


@pytest.fixture(params=["json", "event stream", "stdio"])
def execute(request, api, register, settings, tmp_path):
    """A function: the execution whose answer is `body`, with `%ID` for the id of the call."""

    def run(url: str, transport: str) -> dict:
        id = register(url=url, transport_type=transport)["id"]
        tools = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh")["tools"]
        return api.send("POST", f"/api/v1/mcp/tools/{tools[0]['id']}/execute", {"input": {}})

    def over_http(body: bytes) -> dict:
        def send(connection, message, headers):
            own = body.replace(b"%ID", str(message["id"]).encode())
            if request.param == "json":
                connection.sendall(answer(own, Content_Type="application/json"))
            else:
                noise = b": ping\n\nStarting up!\n\ndata: half {\n\n"
                connection.sendall(STREAM + b"\r\n" + noise + b"data: " + own + b"\n\n")
                connection.close()

        with scripted(send) as server:
            return run(server.url, "http")

    def over_stdio(body: bytes) -> dict:
        script = tmp_path / "server.py"
        constants = {"DISCOVERED": DISCOVERED, "TOOL": TOOL, "BODY": body}
        head = "".join(f"{name} = {value!r}\n" for name, value in constants.items())
        script.write_text(head + SCRIPT)
        settings.MCP_STDIO_COMMANDS = [shlex.join([sys.executable, str(script)])]
        return run(settings.MCP_STDIO_COMMANDS[0], "stdio")

    return over_stdio if request.param == "stdio" else over_http


@pytest.mark.parametrize("form", [form for form in TEXTS if form != "NUL as a byte"])
def test_repaired_answer_is_kept(execute, form):
    sent, kept = TEXTS[form]
    assert execute(message(sent, b"%ID"))["output"]["content"][0]["text"] == kept


def test_answer_behind_a_byte_order_mark_is_found(execute):
    reply = execute(b"\xef\xbb\xbf" + message(b"a", b"%ID"))
    assert reply["output"]["content"][0]["text"] == "a"


@pytest.mark.parametrize("id", [b'"%ID"', b"%ID.0", b'" %ID"'])
def test_answer_with_its_id_in_another_form_is_found(execute, id):
    assert execute(message(b"a", id))["output"]["content"][0]["text"] == "a"


def test_answer_in_a_batch_is_found(execute):
    """Source: MCP 2025-03-26, "Batching"."""
    batch = b'[{"jsonrpc":"2.0","method":"notifications/message"},%s]' % message(b"a", b"%ID")
    assert execute(batch)["output"]["content"][0]["text"] == "a"


def test_unreadable_answer_ends_the_wait_at_once(execute, settings):
    settings.MCP_TIMEOUT = 20
    reply = execute(b'{"jsonrpc":"2.0","id":%ID,"result":{"content":[')
    assert (reply["error_kind"], reply["output"]) == ("protocol", None)
    assert "not JSON" in reply["error"]
    assert reply["duration_ms"] < 10_000


def test_answers_may_be_64_levels_deep():
    def nested(levels: int) -> bytes:
        inner = levels - 1  # the message itself is one
        return b'{"jsonrpc":"2.0","id":1,"result":' + b'{"a":' * inner + b"1" + b"}" * levels

    parse(nested(64))
    with pytest.raises(ProtocolViolation, match="deeper than 64 levels"):
        parse(nested(65))
