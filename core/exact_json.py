"""Reading JSON with all digits of its numbers.

orjson reads numbers as doubles or 64-bit integers, twice as fast as Python's own reader,
which reads the text again if these may lose digits. A text of very many values is read by
a slower reader that lets other threads run.
Source: docs/http-contract.md, section "Values".
"""

import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from rest_framework.exceptions import ParseError

from core import memory
from core.errors import InvalidInput, issue
from core.unique_members import unique_object
from core.yielding_decoder import YieldingDecoder

MAX_DIGITS = 100  # of a number that is kept exactly
MAX_EXPONENT = 300
# Such a long number may lose digits as a double, or exceed 64 bits; such a small one may become 0.
_ROUNDED_NUMBER = re.compile(rb"[\[:,\s]-?\d(?:[-+.eE\d]{15}|[.\d]{0,14}[eE]-\d{3})")
_ROUNDED_NUMBER_LENGTH = 22
_PIECE = 256 * 1024  # bytes
_MAX_WORK = 400_000  # for orjson, which lets no other thread run meanwhile; some 60 ms
_ALL_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)


def loads(body: bytes, *, unique_members: bool = False, loc: Sequence = ("body",)) -> Any:
    """Return the value of a JSON text, with all digits of its numbers.

    Raises InvalidInput (`missing`, `json_invalid`), and ParseError for bytes that are
    not UTF-8. With `unique_members`, a name that occurs twice in an object is refused.
    """
    if not body.strip():
        raise InvalidInput([issue("missing", list(loc), "Field required", None)])
    if _work(body) > _MAX_WORK:
        text = decode_text(body)
        return _exactly(YieldingDecoder, text, unique_members=unique_members, loc=loc)
    try:
        with memory.gc_paused_for(body):
            value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        decode_text(body)
        raise _invalid_json(loc, error.msg, error.pos) from None
    if not may_round(body) and (not unique_members or _has_no_repeated_member(body, value)):
        return value
    return _exactly(json.JSONDecoder, body.decode(), unique_members=unique_members, loc=loc)


def _work(body: bytes) -> int:
    """Estimate orjson's work from the punctuation, including that inside of strings."""
    if len(body) <= _MAX_WORK:
        return 0
    containers = body.count(b"{") + body.count(b"[")
    return body.count(b",") + 2 * body.count(b":") + 4 * containers


def _exactly(
    decoder: type[json.JSONDecoder], text: str, *, unique_members: bool, loc: Sequence
) -> Any:
    try:
        with memory.gc_paused_for(text):
            return decoder(
                parse_float=_exact_number_of_body,
                # Python code, so that other threads can run between the numbers of a large body.
                parse_int=lambda digits: int(digits),
                object_pairs_hook=unique_object if unique_members else None,
            ).decode(text)
    except RecursionError:
        raise _invalid_json(loc, "JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _invalid_json(loc, error.msg, error.pos) from None
    except ValueError as error:  # a repeated member, or more digits than Python converts
        raise _invalid_json(loc, str(error)) from None


def loads_leniently(text: str | bytes) -> Any:
    """Return the value of another server's JSON, with all digits of its numbers.

    Numbers with too many digits become doubles, NaN and infinity become null, control
    characters in strings are accepted. Raises ValueError, RecursionError.
    """
    return json.loads(
        text,
        strict=False,
        parse_constant=lambda name: None,
        parse_float=_exact_where_a_double_is_not,
        parse_int=_integer,
    )


def _has_no_repeated_member(body: bytes, value: Any) -> bool:
    """Return True if certainly no object of the body repeats a member; `value` is its value.

    Serialized again, the value has a colon for each distinct member and each one inside of
    strings: a repeated member's is missing. Ten times faster than decoding the body in Python.
    Also False for bodies with escapes, which may hide colons, and for very deep ones.
    """
    if b"\\" in body:
        return False
    try:
        return body.count(b":") == orjson.dumps(value).count(b":")
    except orjson.JSONEncodeError:
        return False


def may_round(body: bytes) -> bool:
    """Return whether a double or 64 bits may not keep a number of the body.

    A number of sixteen digits has eight in a row, and one that may become 0 has an exponent
    below -99: searching for these first is ten times faster than the regular expression. Most
    matches are times and UUIDs.
    """
    zeros = body.translate(_ALL_ZEROS)
    looks_so = b"0" * 8 in zeros or b"0e-000" in zeros or b"0E-000" in zeros
    return looks_so and (body[:1] not in b"{[" or _has_rounded_number(body))


def _has_rounded_number(body: bytes) -> bool:
    # In overlapping pieces: other threads cannot run during a search.
    return any(
        _ROUNDED_NUMBER.search(body, start, start + _PIECE + _ROUNDED_NUMBER_LENGTH)
        for start in range(0, len(body), _PIECE)
    )


def decode_text(body: bytes) -> str:
    """Return a body as text. Raises ParseError when it is not UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ParseError("There was an error parsing the body") from None


def exact_number(digits: str) -> Decimal | float:
    """Return a JSON number as a Decimal; as a float if it has too many digits, or is 0."""
    try:
        number = Decimal(digits)
    except InvalidOperation:  # the exponent is too long for Decimal
        return float(digits)
    is_usual = len(digits) <= MAX_DIGITS and abs(number.adjusted()) <= MAX_EXPONENT
    return number if is_usual and number else float(digits)


def _exact_where_a_double_is_not(digits: str) -> Decimal | float:
    number = exact_number(digits)
    double = float(digits)
    return double if type(number) is float or _is_exact(double, digits) else number


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts
        return float(digits)


def _exact_number_of_body(digits: str) -> Decimal | float:
    """Return the number; raise ValueError if neither a Decimal nor a double can hold it."""
    number = exact_number(digits)
    if type(number) is float and not _is_exact(number, digits):
        raise ValueError("A number has more digits or a larger exponent than is kept")
    return number


def _is_exact(double: float, digits: str) -> bool:
    if not double:
        return not digits.lower().partition("e")[0].strip("-0.")
    return Decimal(repr(double)) == Decimal(digits)


def _invalid_json(loc: Sequence, reason: str, position: int | None = None) -> InvalidInput:
    place = [*loc] if position is None else [*loc, position]
    return InvalidInput([issue("json_invalid", place, "JSON decode error", {}, error=reason)])
