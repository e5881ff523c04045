"""Our reading of bodies and queries (docs/http-contract.md, "Values" and "Errors")."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import Field
from rest_framework.exceptions import ParseError

from core.errors import InvalidInput
from core.parsing import parse, parse_query
from core.schemas import Amount, Count, FreeObject, JSONValue, Schema, Text255, Timestamp


class Sample(Schema):
    name: Text255 | None = None
    count: Count | None = None
    cost: Amount | None = None
    at: Timestamp | None = None
    id: UUID | None = None
    flag: bool | None = None
    free: FreeObject = Field(default_factory=dict)
    value: JSONValue = None


def refused(body: bytes, **options) -> dict:
    with pytest.raises(InvalidInput) as error:
        parse(Sample, body, **options)
    return error.value.issues[0]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"count": "12"}', 12),
        (b'{"count": 12.0}', 12),
        (b'{"count": true}', 1),
        (b'{"count": 9007199254740991}', 2**53 - 1),
    ],
)
def test_integers_are_read_as_the_contract_reads_them(body, value):
    assert parse(Sample, body).count == value


class Wrapping(Schema):
    inner: Sample
    items: list[Sample] = []


@pytest.mark.parametrize("value", ["5", '"x"', "[]", "true", "1234567890.12345678901", "1e-200"])
def test_only_an_object_is_read_as_one(value):
    """A number with more digits than a double keeps is an object to Python."""
    bodies = {
        ("body",): value,
        ("body", "inner"): f'{{"inner": {value}}}',
        ("body", "items", 0): f'{{"inner": {{}}, "items": [{value}]}}',
    }
    for place, body in bodies.items():
        with pytest.raises(InvalidInput) as error:
            parse(Wrapping, body.encode())
        [issue] = error.value.issues
        assert issue["type"] == "model_attributes_type"
        assert issue["msg"] == (
            "Input should be a valid dictionary or object to extract fields from"
        )
        assert (tuple(issue["loc"]), issue.get("ctx")) == (place, None)


@pytest.mark.parametrize(
    ("body", "type"),
    [
        (b'{"count": 12.5}', "int_from_float"),
        (b'{"count": "x"}', "int_parsing"),
        (b'{"count": []}', "int_type"),
        (b'{"count": -1}', "greater_than_equal"),
        (b'{"count": 9007199254740992}', "less_than_equal"),
        (b'{"count": 18446744073709551616}', "less_than_equal"),
        (b'{"cost": -0.1}', "greater_than_equal"),
        (b'{"cost": 1e19}', "less_than_equal"),
        (b'{"cost": "1_000"}', "float_parsing"),
        ('{"cost": "٣"}'.encode(), "float_parsing"),
        (b'{"cost": "NaN"}', "finite_number"),
        (b'{"cost": "Infinity"}', "finite_number"),
        (b'{"cost": "1e999999999"}', "finite_number"),
        (b'{"cost": []}', "float_type"),
        (b'{"cost": true}', "float_type"),
        (b'{"cost": NaN}', "json_invalid"),
        (b'{"name": 5}', "string_type"),
        (b'{"name": "a\\u0000"}', "null_character"),
        (b'{"name": "\\ud800"}', "json_invalid"),
        (b'{"at": 1700000000}', "datetime_type"),
        (b'{"at": "1700000000"}', "datetime_parsing"),
        (b'{"at": "2026-13-01T00:00:00Z"}', "datetime_from_date_parsing"),
        (b'{"at": "0001-01-01T00:00:00+14:00"}', "datetime_parsing"),
        (b'{"id": "x"}', "uuid_parsing"),
        (b'{"id": 5}', "uuid_type"),
        (b'{"flag": "perhaps"}', "bool_parsing"),
        (b'{"free": []}', "dict_type"),
        (b'{"free": null}', "dict_type"),
        (b'{"free": {"a": ["\\u0000"]}}', "null_character"),
        (b'{"free": {"\\u0000": 1}}', "null_character"),
        (b'{"free": ' + b'{"a":' * 64 + b"1" + b"}" * 65 + b"}", "json_invalid"),
        (b'{"value": ' + b"[" * 65 + b"]" * 65 + b"}", "too_deep"),
        (b"[" * 2000, "json_invalid"),
        (b"[]", "model_attributes_type"),
        (b'"text"', "model_attributes_type"),
        (b"5", "model_attributes_type"),
        (b"null", "model_attributes_type"),
        (b"", "missing"),
        (b"  ", "missing"),
        (b"\xef\xbb\xbf{}", "json_invalid"),
        (b"1" * 5000, "json_invalid"),
        (b'{"value": ' + b"1" * 5000 + b"}", "json_invalid"),
    ],
)
def test_what_cannot_be_taken_is_refused(body, type):
    assert refused(body)["type"] == type


def test_entry_names_place_and_input():
    assert refused(b'{"count": -5}') == {
        "type": "greater_than_equal",
        "loc": ["body", "count"],
        "msg": "Input should be greater than or equal to 0",
        "input": -5,
        "ctx": {"ge": 0},
    }


@pytest.mark.parametrize("inmost", ["{}", '{"a":1}', '{"a":"text"}'])
@pytest.mark.parametrize("member", ["free", "value"])
def test_objects_may_be_64_levels_deep(member, inmost):
    """Whatever the inmost one holds: a text or a number is no level."""

    def body(levels: int) -> bytes:
        outer = levels - 1
        value = '{"a":' * outer + inmost + "}" * outer
        return f'{{"{member}":{value}}}'.encode()

    parse(Sample, body(64))
    assert refused(body(65))["type"] == "too_deep"


def test_text_on_the_last_level_has_no_nul():
    body = '{"free":' + '{"a":' * 64 + '"\\u0000"' + "}" * 65
    assert refused(body.encode())["type"] == "null_character"


@pytest.mark.parametrize("body", [b"\xff", b'{"name": "\xff"}', b'{"name": "\xc3\x28"}'])
def test_bytes_that_are_not_utf_8_are_a_parse_error(body):
    with pytest.raises(ParseError):
        parse(Sample, body)


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("0.1", "0.1"),
        ("123456789.123456789012", "123456789.123456789012"),
        ('"123456789.123456789012"', "123456789.123456789012"),
        ("0.0000000000005", "0"),  # half-even at twelve places
        ("0.0000000000015", "0.000000000002"),
        ("1e3", "1000"),
        ('"0e999999999"', "0"),
    ],
)
def test_amounts_keep_their_digits(text, cost):
    assert parse(Sample, f'{{"cost": {text}}}'.encode()).cost == Decimal(cost)


def test_numbers_in_free_objects_keep_their_digits():
    free = parse(
        Sample, b'{"free": {"i": 123456789012345678901234567890, "f": 0.123456789012345678901}}'
    ).free
    assert free == {"i": 123456789012345678901234567890, "f": Decimal("0.123456789012345678901")}


@pytest.mark.parametrize(
    "number", ["1.000000000000e-99999999", "1e-999", "1e-99999999999999999999", "0." + "1" * 200]
)
def test_numbers_that_nothing_keeps_are_refused(number):
    entry = refused(f'{{"value": {number}}}'.encode())
    assert (entry["type"], "digits" in entry["ctx"]["error"]) == ("json_invalid", True)


@pytest.mark.parametrize(
    "body",
    [
        '{"value": 1e-999}',
        '{"value":-12.5E-4000}',
        '{"list": [1,2.0e-999]}',
        '{"id": "0193b1a2-7c3d-7e4f-8a5e-123456789012", "value": 99999999999999e-999}',
        '{"value": "x", "next":\n1e-400}',
        " 1e-999",
    ],
)
def test_small_numbers_are_found_wherever_they_stand(body):
    entry = refused(body.encode())
    assert (entry["type"], "digits" in entry["ctx"]["error"]) == ("json_invalid", True)


@pytest.mark.parametrize("number", ["0e99999999999999999999", "0." + "0" * 200, "1e-305"])
def test_numbers_that_a_double_keeps_are_doubles(number):
    assert parse(Sample, f'{{"value": {number}}}'.encode()).value == float(number)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-31T23:59:59.9999999Z", datetime(2026, 1, 31, 23, 59, 59, 999999, UTC)),
        ("2026-01-31T23:59:59", datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("2026-02-01T01:30:00+02:00", datetime(2026, 1, 31, 23, 30, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_times_are_utc_and_never_rounded_forward(text, at):
    assert parse(Sample, f'{{"at": "{text}"}}'.encode()).at == at


@pytest.mark.parametrize("place", [*range(256 * 1024 - 20, 256 * 1024 + 2), 600_000])
def test_long_numbers_keep_their_digits_anywhere_in_a_large_body(place):
    start = b'{"value": [12345678, "'
    body = start + b"x" * (place - len(start) - 1) + b'",-0.12345678901234567]}'
    assert parse(Sample, body).value[2] == Decimal("-0.12345678901234567")


def test_repeated_members_are_refused_where_it_matters():
    body = b'{"name": "a", "name": "b"}'
    assert parse(Sample, body).name == "b"
    result = refused(body, unique_members=True)
    assert result["type"] == "json_invalid"
    assert "name" in result["ctx"]["error"]


@pytest.mark.parametrize(
    "value",
    [
        '{"a": 1, "a": ":"}',
        '{"a": ":", "a": 1}',
        '{"a": {"b:": 1}, "a": {"b": 1}}',
        '[{"a": "::"}, {"a" : 1, "a":2}]',
        '{"a": 1, "\\u0061": 1}',
        '{"a": "\\u003a", "b": 1, "b": 1}',
        '{"b": ' + "[" * 20 + '{"a": 1, "a": 1}' + "]" * 20 + "}",
    ],
)
def test_repeated_members_are_found_whatever_hides_them(value):
    result = refused(f'{{"value": {value}}}'.encode(), unique_members=True)
    assert result["ctx"]["error"].endswith("occurs twice")


@pytest.mark.parametrize(
    "value",
    [
        '{"at": "2026-01-31T23:59:59Z", "a:b": ":", ":": {"at": ":", "": [":"]}}',
        '{"a": "\\u003a", "b": "\\":"}',
        "[" * 20 + '{"a": ":"}' + "]" * 20,
    ],
)
def test_colons_within_texts_are_no_members(value):
    body = f'{{"value": {value}}}'.encode()
    assert parse(Sample, body, unique_members=True) == parse(Sample, body)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_other_content_types_are_refused(content_type):
    assert refused(b"{}", content_type=content_type)["type"] == "model_attributes_type"


@pytest.mark.parametrize(
    "content_type", ["", "application/json; charset=utf-8", "application/problem+json"]
)
def test_json_is_read_under_all_its_names(content_type):
    assert parse(Sample, b'{"name": "a"}', content_type=content_type).name == "a"


def test_empty_query_values_are_absent():
    query = parse_query(Sample, "name=&count=5&unknown=1")
    assert (query.name, query.count) == (None, 5)


@pytest.mark.parametrize("query", ["count=x", "name=%00", "at=tomorrow", "flag=perhaps"])
def test_bad_queries_are_refused(query):
    with pytest.raises(InvalidInput) as error:
        parse_query(Sample, query)
    assert error.value.issues[0]["loc"][0] == "query"


class Amounts(Schema):
    amounts: dict[str, Amount]


@pytest.mark.parametrize(("faults", "named"), [(99, 99), (5_000, 100), (5_001, 0)])
def test_faults_of_a_body_are_named_unless_they_are_too_many(faults, named):
    body = json.dumps({"amounts": {f"{n}": "x" for n in range(faults)}}).encode()
    with pytest.raises(InvalidInput) as error:
        parse(Amounts, body)
    issues = error.value.issues
    if named:
        assert [issue["loc"][:2] for issue in issues] == [["body", "amounts"]] * named
    else:
        expected = {"type": "too_many_errors", "loc": ["body"], "msg": "Input has 5001 faults"}
        assert issues == [{**expected, "input": None}]


def test_queries_have_at_most_a_thousand_parameters():
    assert parse_query(Sample, "a&" * 999 + "count=5").count == 5
    with pytest.raises(InvalidInput) as error:
        parse_query(Sample, "a&" * 1_000 + "count=5")
    assert error.value.issues == [
        {
            "type": "too_many_parameters",
            "loc": ["query"],
            "msg": "A query should have at most 1000 parameters",
            "input": None,
            "ctx": {"max_length": 1000},
        }
    ]
