"""RFC 8785: its own samples, and that orjson writes what the library writes."""

import json
import random
import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import rfc8785

from receipts.documents import NotCanonical, canonical

# RFC 8785, appendix B.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]
# The test data that RFC 8785 points to (appendix F), input and output.
DOCUMENTS = {
    "arrays": (
        r'[ 56, { "d": true, "10": null, "1": [ ] } ]',
        '[56,{"1":[],"10":null,"d":true}]',
    ),
    "french": (
        r"""{ "peach": "This sorting order", "péché": "is wrong according to French",
              "pêche": "but canonicalization MUST", "sin": "ingnore locale" }""",
        '{"peach":"This sorting order","péché":"is wrong according to French",'
        '"pêche":"but canonicalization MUST","sin":"ingnore locale"}',
    ),
    "structures": (
        r"""{ "1": {"f": {"f": "hi","F": 5} ,"\n": 56.0}, "10": { }, "": "empty",
              "a": { }, "111": [ { } ], "A": { } }""",
        r'{"":"empty","1":{"\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{}],"A":{},"a":{}}',
    ),
    "unicode": (r'{ "Unnormalized Unicode":"A\u030a" }', '{"Unnormalized Unicode":"A\u030a"}'),
    "values": (
        r"""{ "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false] }""",
        '{"literals":[null,true,false],'
        '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}',
    ),
    "weird": (
        r"""{ "\u20ac": "Euro Sign", "\r": "Carriage Return",
              "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
              "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
              "\u00f6": "Latin Small Letter O With Diaeresis" }""",
        '{"\\r":"Carriage Return","1":"One","\u0080":"Control",'
        '"ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign",'
        '"😀":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    ),
}


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_in_appendix_b(bits, text):
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number) == text.encode()
    assert canonical({"in": [number]}) == b'{"in":[%s]}' % text.encode()


@pytest.mark.parametrize(("source", "expected"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_documents_are_written_as_in_the_test_data_of_the_rfc(source, expected):
    assert canonical(json.loads(source)) == expected.encode()


def test_every_character_is_escaped_as_the_library_escapes_it():
    for code in [*range(0x2100), *range(0xD7F0, 0xD800), *range(0xE000, 0xE010), 0xFFFF, 0x1F600]:
        assert canonical({"a": chr(code)}) == rfc8785.dumps({"a": chr(code)})


def test_orjson_and_the_library_write_the_same():
    chance = random.Random(8785)
    for _ in range(3000):
        value = _some_value(chance, 3)
        assert canonical(value) == rfc8785.dumps(value)


def _some_value(chance: random.Random, levels: int):
    kind = chance.randrange(8 if levels else 6)
    if kind == 0:
        return chance.choice([None, True, False, 0, -1, 1.0, -0.0, 2**53 - 1, 1e15, 1e-5, 1e21])
    if kind == 1:
        return chance.randrange(-(10**9), 10**15)
    if kind in (2, 3):
        return chance.choice([1, -1]) * chance.random() * 10.0 ** chance.randrange(-12, 25)
    if kind in (4, 5):
        return "".join(chance.choices('ab"\\/\n\x1f\x7fé€😀 \u2028', k=chance.randrange(6)))
    if kind == 6:
        return [_some_value(chance, levels - 1) for _ in range(chance.randrange(4))]
    names = ["".join(chance.choices("aB1_\n", k=3)) for _ in range(4)] + chance.choices(["é", "x"])
    return {name: _some_value(chance, levels - 1) for name in names}


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**53,
        -(2**53),
        10**400,
        Decimal("0.1"),
        datetime(2026, 1, 2, tzinfo=UTC),
        b"bytes",
        (1, 2),
        {1: "a"},
        "\ud800",
        {"\udfff": 1},
    ],
    ids=repr,
)
def test_values_that_jcs_cannot_carry_are_refused(value):
    with pytest.raises(NotCanonical):
        canonical({"member": value})


def test_nesting_is_bounded():
    def nested(levels, name):
        return {name: nested(levels - 1, name)} if levels else {}

    for name in ("a", "é"):
        canonical(nested(63, name))
        with pytest.raises(NotCanonical, match="64 levels"):
            canonical(nested(64, name))
