"""Odd requests: the document's examples with one member or parameter replaced."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests import openapi
from tests.client import ApiClient


def _nested(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


UNKNOWN_ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
VALUES = [
    *(None, True, -1, 0, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**40, 1e308, -0.0),
    *("", " ", "\x00", "\ud800", "a\u202e", "😀" * 300, "x" * 100_000, "a:b", ":", "../x", "%00"),
    *("NaN", "1e999", "2026-13-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *(UNKNOWN_ID, "00000000-0000-0000-0000-000000000000", "http://127.0.0.1:1/"),
    *([], {}, [None], [[]], {"": None}, {"a": {"b": [1, None, {"c": "\x00"}]}}),
    *(["x"] * 500, {f"k{number}": number for number in range(300)}, _nested(70), _nested(400)),
]
BODIES = ["", "{", "[]", "x", '{"a": "\\u0000"}', '{"name": 1e999}']
QUERY = "?limit=x&page=x&project_id=%00&start_time=%FF&search=%00%"
PARAMETERS = [
    *("", "x", "-1", "0", "1e9", str(2**31 - 1), str(2**63 - 1), str(2**63), str(10**40)),
    *("\x00", "%", '"', "[]", "null", "😀"),
    *("0001-01-01", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-13-01"),
    *(UNKNOWN_ID, "a" * 20_000),
]


UNREACHABLE = "The MCP server was not reached"  # the only failure: the tests' server is none


def operations(is_meant: Callable[[str, dict], bool]) -> list:
    """Method, path and documentation of the operations that are meant, as parameters of a test."""
    return [
        pytest.param(method.upper(), path, operation, id=f"{method} {path}")
        for path, methods in openapi.document()["paths"].items()
        for method, operation in methods.items()
        if is_meant(path, operation)
    ]


def check(client: ApiClient, method: str, path: str, operation: dict, ids: dict) -> None:
    """Fails when one of the operation's odd requests does, or when none gets in.

    `ids` are those of rows that the client may change, by their parameter in the path.
    """
    client.raise_request_exception = False
    path = re.sub(r"{(\w+)}", lambda parameter: str(ids[parameter[1]]), path)
    statuses = set()
    for query, body in _of(operation):
        reply = client.generic(method, path + query, body, content_type="application/json")
        content = b"".join(reply.streaming_content) if reply.streaming else reply.content
        is_excused = reply.status_code == 502 and UNREACHABLE in reply.json()["detail"]
        assert reply.status_code < 500 or is_excused, (query[:200], body[:200], content[:500])
        statuses.add(reply.status_code)
    assert statuses != {401}


def _of(operation: dict) -> Iterator[tuple[str, str]]:
    """Query strings and bodies of odd requests for an operation of the document."""
    for body in BODIES:
        yield "", body
        yield QUERY, body
    for example in openapi.examples(operation):
        for place in _places(example):
            for value in VALUES:
                yield "", json.dumps(_replaced(example, place, value))
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query":
            for value in PARAMETERS:
                yield f"?{parameter['name']}={quote(value)}", ""
            yield f"?{parameter['name']}=%FF&{parameter['name']}=x", ""


def _places(value: Any) -> Iterator[tuple]:
    """Where something stands in a JSON value: of a list, the first items."""
    yield ()
    if isinstance(value, list):
        value = dict(enumerate(value[:2]))
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ((name, *place) for place in _places(inner))


def _replaced(value: Any, place: tuple, new: Any) -> Any:
    if not place:
        return new
    value = value.copy()
    value[place[0]] = _replaced(value[place[0]], place[1:], new)
    return value
