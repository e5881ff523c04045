"""Bodies of very many values are read by another reader, which takes the same texts."""

import json
from decimal import Decimal

import pytest

from core import exact_json, yielding_decoder
from core.errors import InvalidInput


@pytest.fixture(params=["orjson", "yielding"], autouse=True)
def reader(request, monkeypatch):
    if request.param == "yielding":
        monkeypatch.setattr(exact_json, "_MAX_WORK", -1)
    return request.param


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b' {"a": [1, -2, true, null, "x"], "b": {}} ', {"a": [1, -2, True, None, "x"], "b": {}}),
        (b'"\\ud83d\\ude00 \\u00e9 \\" \\/"', '\U0001f600 \xe9 " /'),
        ('{"\xe9": "\u4e2d"}'.encode(), {"\xe9": "\u4e2d"}),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"[0.12345678901234567890]", [Decimal("0.12345678901234567890")]),
        (b"[0.1, 1e2]", [0.1, 100]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[[[]]]", [[[]]]),
    ],
)
def test_values_are_read(text, value):
    read = exact_json.loads(text)
    assert read == value or json.loads(json.dumps(read, default=float)) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1,]",
        b"[NaN]",
        b"[-Infinity]",
        b'"\\ud83d"',
        b'{"\\ud83d": 1}',
        b'"a\nb"',
        b"[01]",
        "[1\u0661]".encode(),
        "[1.\u0661]".encode(),
        b"\xef\xbb\xbf[]",
        b"[1e400]",
        b"[" * 20_000,
    ],
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(InvalidInput) as error:
        exact_json.loads(text)
    assert [entry["type"] for entry in error.value.issues] in (["json_invalid"], ["missing"])


def test_repeated_members_are_refused_where_names_must_be_unique():
    exact_json.loads(b'{"a": {"b": 1}, "b": 1}', unique_members=True)
    with pytest.raises(InvalidInput) as error:
        exact_json.loads(b'{"a": {"b": 1, "b": 1}}', unique_members=True)
    assert error.value.issues[0]["ctx"] == {"error": 'The member "b" occurs twice'}


@pytest.mark.slow
def test_more_containers_than_the_collector_should_look_at_are_refused(reader):
    most = yielding_decoder.MAX_CONTAINERS
    assert len(exact_json.loads(b"[" + b"{}," * (most - 2) + b"[]]")) == most - 1
    with pytest.raises(InvalidInput) as error:
        exact_json.loads(b"[" + b"{}," * (most - 1) + b"[]]")
    assert error.value.issues[0]["ctx"] == {"error": "JSON has more than 200000 lists and objects"}
