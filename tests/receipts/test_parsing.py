"""Texts that two readers could take for different values are refused."""

import pytest

from receipts.documents import AmbiguousJSON, parse


def test_values_are_read_as_they_stand():
    text = '{"a":[1,-0,2.5,1e-7,"\\u20ac\\ud83d\\ude00"],"b":{"c":null,"d":true}}'
    assert parse(text.encode()) == {
        "a": [1, 0, 2.5, 1e-7, "€😀"],
        "b": {"c": None, "d": True},
    }
    assert parse(b"9007199254740991") == 2**53 - 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"cost":1,"cost":2}', '"cost" occurs twice'),
        (b'{"a":{"b":1,"c":1,"\\u0062":1}}', '"b" occurs twice'),
        (b'{"a":9007199254740992}', "beyond"),
        (b"1" * 100_000, "beyond"),
        (b'{"a":1e17}', "beyond"),
        (b'{"a":1e999}', "more digits"),
        (b'{"a":1e-999}', "too small"),
        (b'{"a":0.1234567890123456789}', "more digits"),
        (b'{"a":0.' + b"1" * 200 + b"}", "more digits"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"\\uDFFF":1}', "surrogate"),
        (b'{"a":', "Expecting value"),
        (b'{"a":1} {', "Extra data"),
        (b"", "Expecting value"),
        (b'"\xff"', "UTF-8"),
        (b"\xef\xbb\xbf{}", "Expecting value"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"a":' * 500_000, "nested too deeply"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_texts_with_more_than_one_meaning_are_refused(text, reason):
    with pytest.raises(AmbiguousJSON, match=reason):
        parse(text)
