"""What `POST /api/v1/log` refuses: always 422, the member named, nothing stored.

Source: docs/http-contract.md, section "Logging a call"; the error types are the contract's.
"""

import json

import pytest

from tests.usage.calls import BOTH_WAYS, CALL
from usage.models import UsageLog

BAD = {
    "missing provider": ({"provider": ...}, "missing", "provider"),
    "missing tokens": ({"input_tokens": ...}, "missing", "input_tokens"),
    "number as text": ({"model": 3}, "string_type", "model"),
    "null model": ({"model": None}, "string_type", "model"),
    "list as model": ({"model": ["m"]}, "string_type", "model"),
    "long provider": ({"provider": "p" * 51}, "string_too_long", "provider"),
    "long model": ({"model": "m" * 256}, "string_too_long", "model"),
    "long alias": ({"alias": "a" * 129}, "string_too_long", "alias"),
    "long profile": ({"profile": "p" * 65}, "string_too_long", "profile"),
    "long origin": ({"origin": "o" * 256}, "string_too_long", "origin"),
    "NUL in model": ({"model": "a\x00b"}, "null_character", "model"),
    "NUL in metadata": ({"metadata": {"a": ["\x00"]}}, "null_character", "metadata"),
    "NUL in a name": ({"metadata": {"\x00": 1}}, "null_character", "metadata"),
    "negative tokens": ({"input_tokens": -5}, "greater_than_equal", "input_tokens"),
    "2^63 tokens": ({"output_tokens": 2**63}, "less_than_equal", "output_tokens"),
    "2^70 tokens": ({"output_tokens": 2**70}, "less_than_equal", "output_tokens"),
    "2^53 tokens": ({"output_tokens": 2**53}, "less_than_equal", "output_tokens"),
    "fractional tokens": ({"input_tokens": 12.5}, "int_from_float", "input_tokens"),
    "text tokens": ({"input_tokens": "many"}, "int_parsing", "input_tokens"),
    "null tokens": ({"input_tokens": None}, "missing", "input_tokens"),
    "object as tokens": ({"input_tokens": {}}, "int_type", "input_tokens"),
    "more cached than input, said to be inside": (
        {"cached_input_tokens": 1001, "input_includes_cache": True},
        "less_than_equal",
        "cached_input_tokens",
    ),
    "another currency": ({"cost": 1, "currency": "EUR"}, "literal_error", "currency"),
    "replacing nothing": ({"replace": True}, "missing", "event_id"),
    "NaN cost": ({"cost": "NaN"}, "finite_number", "cost"),
    "infinite cost": ({"cost": "-Infinity"}, "finite_number", "cost"),
    "negative cost": ({"cost": -0.1}, "greater_than_equal", "cost"),
    "huge cost": ({"cost": 1e300}, "less_than_equal", "cost"),
    "text cost": ({"cost": "cheap"}, "float_parsing", "cost"),
    "boolean cost": ({"cost": True}, "float_type", "cost"),
    "list cost": ({"cost": [1]}, "float_type", "cost"),
    "negative latency": ({"latency_ms": -1}, "greater_than_equal", "latency_ms"),
    "null metadata": ({"metadata": None}, "dict_type", "metadata"),
    "list metadata": ({"metadata": []}, "dict_type", "metadata"),
}


@BOTH_WAYS
def test_bad_members_are_named(api):
    api.send("POST", "/api/v1/log", CALL)
    named = {}
    for case, (change, _, _) in BAD.items():
        body = {name: value for name, value in {**CALL, **change}.items() if value is not ...}
        (error,) = api.send("POST", "/api/v1/log", body, expect=422)["detail"]
        named[case] = (error["type"], error["loc"])
    assert named == {case: (type, ["body", member]) for case, (_, type, member) in BAD.items()}
    assert UsageLog.objects.count() == 1
    api.send("POST", "/api/v1/log", CALL)


@BOTH_WAYS
def test_a_bad_member_of_a_usage_object_is_explained(api):
    usage = {"prompt_tokens": -1, "completion_tokens": 1}
    body = {"provider": "openai", "model": "gpt-4o", "usage": usage}
    assert api.send("POST", "/api/v1/log", body, expect=422)["detail"] == [
        {
            "type": "greater_than_equal",
            "loc": ["body", "usage", "prompt_tokens"],
            "msg": "Input should be greater than or equal to 0",
            "input": -1,
        }
    ]


def test_every_bad_member_is_listed(api):
    errors = api.send("POST", "/api/v1/log", {}, expect=422)["detail"]
    missing = ["provider", "model", "input_tokens", "output_tokens"]
    assert [(e["type"], e["loc"], e["msg"], e["input"]) for e in errors] == [
        ("missing", ["body", name], "Field required", {}) for name in missing
    ]


@pytest.mark.parametrize(
    ("members", "missing"),
    [
        ({}, ["input_tokens", "output_tokens"]),
        ({"input_tokens": 1, "output_tokens": None}, ["output_tokens"]),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 1}, "model": ...}, ["model"]),
        ({"usage_status": "unknown", "model": ...}, ["model"]),
        ({"usage": None, "usage_status": []}, ["input_tokens", "output_tokens"]),
    ],
    ids=["no counts", "one count", "usage", "unknown", "neither"],
)
def test_counts_are_missing_where_nothing_replaces_them(api, members, missing):
    body = {"provider": "openai", "model": "gpt-4o-mini", **members}
    body = {name: value for name, value in body.items() if value is not ...}
    errors = api.send("POST", "/api/v1/log", body, expect=422)["detail"]
    named = [error["loc"] for error in errors if error["type"] == "missing"]
    assert named == [["body", name] for name in missing]


def test_limits_are_in_the_context(api):
    (error,) = api.send("POST", "/api/v1/log", {**CALL, "input_tokens": -5}, expect=422)["detail"]
    assert error == {
        "type": "greater_than_equal",
        "loc": ["body", "input_tokens"],
        "msg": "Input should be greater than or equal to 0",
        "input": -5,
        "ctx": {"ge": 0},
    }


def test_token_class_in_metadata_must_be_a_count(api):
    body = {**CALL, "metadata": {"cache_write_5m_tokens": "many"}}
    (error,) = api.send("POST", "/api/v1/log", body, expect=422)["detail"]
    assert error["loc"] == ["body", "metadata", "cache_write_5m_tokens"]


@BOTH_WAYS
def test_body_that_is_no_object(api):
    api.send("POST", "/api/v1/log", CALL)
    for body, type in [
        ("{", "json_invalid"),
        ('{"cost": NaN}', "json_invalid"),
        ('{"model": "\\ud800"}', "json_invalid"),
        ("[" * 100_000, "json_invalid"),
        ("", "missing"),
        ("[]", "model_attributes_type"),
        ("null", "model_attributes_type"),
        ('"text"', "model_attributes_type"),
        ("7", "model_attributes_type"),
    ]:
        (error,) = api.send("POST", "/api/v1/log", body, expect=422)["detail"]
        assert (error["type"], error["loc"][0]) == (type, "body"), body[:20]


@BOTH_WAYS
def test_metadata_deeper_than_64_levels_is_refused(api):
    api.send("POST", "/api/v1/log", CALL)
    for levels, status in [(60, 200), (66, 422), (900, 422)]:
        deep = '{"a":' * levels + "1" + "}" * levels
        body = json.dumps({**CALL, "metadata": 0}).replace('"metadata": 0', f'"metadata": {deep}')
        api.send("POST", "/api/v1/log", body, expect=status)


def test_other_content_types_are_refused(api):
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        body = json.dumps(CALL)
        reply = api.send("POST", "/api/v1/log", body, expect=422, content_type=content_type)
        assert reply["detail"][0]["type"] == "model_attributes_type"


def test_bytes_that_are_no_text_are_a_bad_request(api):
    reply = api.send("POST", "/api/v1/log", b'{"model": "\xff\xfe"}', expect=400)
    assert reply == {"detail": "There was an error parsing the body"}


def test_ten_megabyte_string_is_refused(api):
    body = json.dumps({**CALL, "model": "m" * 10_000_000})
    assert (
        api.send("POST", "/api/v1/log", body, expect=422)["detail"][0]["type"] == "string_too_long"
    )
    body = json.dumps({**CALL, "metadata": {"m": "m" * 11_000_000}})
    assert "10485760 bytes" in api.send("POST", "/api/v1/log", body, expect=413)["detail"]


def test_other_methods_are_not_allowed(api):
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert api.send(method, "/api/v1/log", expect=405) == {"detail": "Method Not Allowed"}


def test_integers_of_any_size_in_metadata_are_taken(api):
    for number in (2**64, -(2**70), 10**40):
        api.send("POST", "/api/v1/log", {**CALL, "metadata": {"n": number}})
