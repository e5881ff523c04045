"""Arguments against a tool's JSON Schema, which a foreign server wrote."""

import time

import pytest

from core.errors import InvalidInput
from mcp.argument_validation import check

DOUBLING = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(60)}
EVIL = "x" * 50 + "!"  # takes some centuries to compare with (x+)+$
MANY = {"enum": [[[0] * 900 + [n]] for n in range(28)]}


def issues(schema: dict, arguments: dict) -> list[tuple]:
    try:
        check(schema, arguments, loc=["body", "input"])
    except InvalidInput as refusal:
        return [(found["type"], *found["loc"][2:]) for found in refusal.issues]
    return []


@pytest.mark.parametrize(
    ("properties", "value", "expected"),
    [
        ({"type": "integer"}, 1, []),
        ({"type": "integer"}, 1.0, []),
        ({"type": "integer"}, True, [("int_type", "a")]),
        ({"type": "string"}, 1, [("string_type", "a")]),
        ({"type": ["string", "null"]}, 1, [("json_schema", "a")]),
        ({"enum": ["x", "y"]}, "z", [("json_schema", "a")]),
        ({"minimum": 3}, 2, [("json_schema", "a")]),
        ({"items": {"type": "number"}}, [1, "x"], [("float_type", "a", 1)]),
        ({"required": ["b"], "type": "object"}, {}, [("missing", "a", "b")]),
        ({"additionalProperties": False}, {"x": 1}, [("extra_forbidden", "a")]),
        ({"uniqueItems": True}, [{"x": 1}, {"x": 1}], [("json_schema", "a")]),
        ({"uniqueItems": True}, [1, True], []),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x", [("json_schema", "a")]),
        ({"$ref": "#/$defs/n"}, "x", [("int_type", "a")]),
    ],
)
def test_what_does_not_fit_is_named(properties, value, expected):
    schema = {"properties": {"a": properties}, "$defs": {"n": {"type": "integer"}}}
    assert issues(schema, {"a": value}) == expected


@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07"])
def test_older_drafts_are_understood(draft):
    schema = {"$schema": f"http://json-schema.org/{draft}/schema#", "required": ["a"]}
    assert issues(schema, {}) == [("missing", "a")]


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "no such type"},
        {"properties": 5},
        {"required": "a"},
        {"$schema": ["x"]},
        {"$schema": "https://example.com/unknown", "type": "object"},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"properties": {"a": {"pattern": "[", "type": "string"}}},
        {"properties": {"a": {"pattern": "x{99999999999999999999}"}}},
        {"$id": "http://[", "properties": {"a": {"$ref": "x"}}},
        *[
            {"properties": {"a": {"$ref": f"#/{path}"}}, **beside}
            for path, beside in [
                ("allOf/x", {"allOf": [{}]}),
                ("title", {"title": "abc"}),
                ("minimum/x", {"minimum": 3}),
                ("x", {"x": {"type": {"a": 1}}}),
                ("x", {"x": {"multipleOf": 0, "minimum": "low", "properties": 5}}),
            ]
        ],
    ],
)
def test_schema_that_cannot_be_followed_admits_everything(schema):
    assert issues(schema, {"a": "x"}) == []


SLOW = {"pattern": "(x+)+$"}
DIALECT = {"$schema": "http://json-schema.org/draft-07/schema#"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"properties": {"a": SLOW}}, {"a": EVIL}),
        ({"properties": {"a": {**SLOW, **DIALECT}}}, {"a": EVIL}),
        ({"patternProperties": {"(x+)+$": {}}, "additionalProperties": False}, {EVIL: 1}),
        ({"patternProperties": {"(x+)+$": {}}, "unevaluatedProperties": False}, {EVIL: 1}),
        ({"$ref": "#/$defs/a0", "$defs": {**DOUBLING, "a60": {}}}, {}),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [{"n": n} for n in range(50_000)]}),
        ({"properties": {"a": {"items": {"type": "integer"}}}}, {"a": list(range(300_000))}),
        ({"properties": {"a": {"items": {"enum": list(range(9_000))}}}}, {"a": ["x"] * 300_000}),
        ({"properties": {"a": {"unevaluatedItems": False}}}, {"a": list(range(300_000))}),
        ({"properties": {"a": {"allOf": [{"items": {}}] * 2000}}}, {"a": [0] * 20_000}),
        ({"properties": {"a": {"items": {"anyOf": [MANY, {}]}}}}, {"a": [MANY["enum"][0]] * 1500}),
        ({"properties": {"a": {"anyOf": [{"type": "integer"}] * 2000}}}, {"a": "x" * 5_000_000}),
        ({"properties": {"a": {"anyOf": [False] * 8000}}}, {"a": ["x" * 5_000_000]}),
        ({"allOf": [{}] * 20_000}, {}),
        ({"description": "x" * 100_000, "required": ["b"]}, {}),
    ],
    ids=str.split(
        "pattern dialect names unevaluated references unique items enum rest passes "
        "comparisons messages never schema large"
    ),
)
def test_schema_cannot_hold_up_the_server(schema, arguments):
    begun = time.thread_time()
    issues(schema, arguments)
    assert time.thread_time() - begun < 2
