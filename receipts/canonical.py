"""The canonical text of a JSON value: RFC 8785, the JSON Canonicalization Scheme (JCS).

No Django here, nor in the modules that this one serves: `llmring-verify` runs
without it.
"""

import math

import orjson
import rfc8785

# Integers up to here are the same number to every reader (RFC 8785, section 3.2.2.3).
LARGEST_INTEGER = 2**53 - 1
DEEPEST = 64  # levels of nesting
# Between these orjson and ECMAScript write a fraction alike: the shortest digits, no exponent.
_PLAIN_FROM, _PLAIN_BELOW = 1e-5, 1e15


class NotCanonical(ValueError):
    """The value has no canonical form; the text says why."""


def canonical(value: object) -> bytes:
    """RFC 8785's one text of a JSON value, in UTF-8.

    orjson writes it, nine times faster, wherever its text is known to be the
    same: ASCII names, integers, fractions between 1e-5 and 1e15. The library
    `rfc8785` writes everything else.
    Raises NotCanonical for what JCS cannot carry: NaN and infinities, integers
    beyond 2^53-1, half of a surrogate pair, Decimal and other Python types;
    and for values nested deeper than 64 levels.
    """
    doubts: list[str] = []
    plain = _plain(value, DEEPEST, doubts)
    try:
        if doubts:
            return rfc8785.dumps(value)
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    except (rfc8785.CanonicalizationError, TypeError, UnicodeError) as error:
        raise NotCanonical(str(error)) from None


def _plain(value: object, levels: int, doubts: list[str]) -> object:
    """The value as orjson shall see it: the same, but that 1.0 and -0.0 become 1 and 0.

    Where orjson may write it differently from RFC 8785, `doubts` gets the reason.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            return value
        raise NotCanonical("an integer is beyond 2^53-1")
    if kind is float:
        return _plain_number(value, doubts)
    if kind is not dict and kind is not list:
        raise NotCanonical(f"{kind.__name__} is no JSON type")
    if not levels:
        raise NotCanonical(f"nested deeper than {DEEPEST} levels")
    if kind is list:
        return [_plain(item, levels - 1, doubts) for item in value]
    for name in value:
        if type(name) is not str:
            raise NotCanonical("a member's name is no text")
        if not name.isascii():
            doubts.append("orjson orders names by UTF-8, JCS by UTF-16")
    return {name: _plain(inner, levels - 1, doubts) for name, inner in value.items()}


def _plain_number(value: float, doubts: list[str]) -> float | int:
    if not math.isfinite(value):
        raise NotCanonical("NaN and infinity are no JSON numbers")
    if value.is_integer() and -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return int(value)
    if not _PLAIN_FROM <= abs(value) < _PLAIN_BELOW:
        doubts.append("exponents are written differently")
    return value
