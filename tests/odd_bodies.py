"""Bodies at the edges of JSON, for every route that takes one.

`refused(valid)` are 4xx everywhere; `accepted(valid, place)` put numbers into a free
object, from which they must come back with all their digits.
"""

import json

DEEP = 70


def _with(valid: dict, name: str, raw: str) -> bytes:
    """Return the valid body with one more member, whose value is raw JSON."""
    text = json.dumps(valid)
    separator = ", " if valid else ""
    return f'{text[:-1]}{separator}"{name}": {raw}}}'.encode()


def refused(valid: dict, text_member: str, object_member: str) -> dict[str, tuple[bytes, int]]:
    """Return bodies and the status of their refusal, by name."""
    rest = {
        name: value for name, value in valid.items() if name not in (text_member, object_member)
    }

    def text(raw: str) -> bytes:
        return _with(rest | _kept(valid, object_member), text_member, raw)

    def free(raw: str) -> bytes:
        return _with(rest | _kept(valid, text_member), object_member, raw)

    body = json.dumps(valid).encode()
    return {
        "NUL in a text": (text('"a\\u0000b"'), 422),
        "NUL in an object": (free('{"a": "\\u0000"}'), 422),
        "NUL in a name": (free('{"a\\u0000": 1}'), 422),
        "lone surrogate": (text('"\\ud800"'), 422),
        "lone surrogate in an object": (free('{"a": "\\udc00"}'), 422),
        "NaN": (free('{"a": NaN}'), 422),
        "Infinity": (free('{"a": -Infinity}'), 422),
        "depth": (free('{"a":' * DEEP + "1" + "}" * DEEP), 422),
        "great depth": (free('{"a":' * 100_000 + "1" + "}" * 100_000), 422),
        "integer of 5,000 digits": (free('{"a": 1' + "0" * 5_000 + "}"), 422),
        "byte order mark": (b"\xef\xbb\xbf" + body, 422),
        "not UTF-8": (text('"ä"').decode().encode("latin-1"), 400),
        "UTF-16": (body.decode().encode("utf-16"), 400),
        "no object": (b"[1]", 422),
        "cut off": (body[:-1], 422),
        "empty": (b"", 422),
        "blank": (b"  \n", 422),
    }


def _kept(valid: dict, name: str) -> dict:
    return {name: valid[name]} if name in valid else {}


# Numbers that a double or 64 bits would change.
EXACT = {
    "2^53 + 1": "9007199254740993",
    "2^63": "9223372036854775808",
    "2^64": "18446744073709551616",
    "31 digits": "1234567890123456789012345678901",
    "negative": "-18446744073709551617",
    "21-digit decimal": "0.123456789012345678901",
}


def exact(valid: dict, object_member: str, digits: str) -> bytes:
    """Return the valid body with a number in its free object, under the name `n`."""
    rest = {name: value for name, value in valid.items() if name != object_member}
    return _with(rest, object_member, f'{{"n": {digits}}}')


def repeated(valid: dict, name: str) -> bytes:
    """Return the valid body with one member twice; the valid value comes last."""
    return f'{{"{name}": "first", {json.dumps(valid)[1:]}'.encode()
