"""The JSON text of a receipt, written and read, and the two forms it comes in.

    nested   `id`, `tokens` {input, output, cached_input}, `cost` {amount, calculation}, `key_id`
    flat     `receipt_id`, `prompt_tokens`, … , `total_cost`; batch receipts add a summary

This module and `keys`, `signing` and `verification` import no Django, so that
`llmring-verify` runs without it.
Sources: RFC 8785 (JSON Canonicalization Scheme, JCS); docs/receipt-format.md.
"""

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import rfc8785

from core.unique_members import RepeatedMember, unique_object

# Integers up to here are the same number to every reader (RFC 8785, section 3.2.2.3).
MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64  # levels of nesting
_MAX_DIGITS = 100  # of a fraction
# In this range orjson and ECMAScript write the same digits for a fraction, without exponent.
_MIN_PLAIN_FRACTION, _MAX_PLAIN_FRACTION = 1e-5, 1e15

NESTED, FLAT = "nested", "flat"
# The members that the older server signed of a flat receipt.
BASE_MEMBERS = frozenset(
    {
        "receipt_id",
        "timestamp",
        "alias",
        "profile",
        "lock_digest",
        "provider",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "input_cost",
        "output_cost",
        "total_cost",
    }
)
BATCH_MEMBERS = frozenset({"receipt_type", "batch_summary", "description", "tags"})
_SHARED_MEMBERS = {"timestamp", "alias", "profile", "lock_digest", "provider", "model"}
_FLAT_ONLY_MEMBERS = (BASE_MEMBERS | BATCH_MEMBERS) - _SHARED_MEMBERS
# Plain usage details, which become a nested receipt.
_USAGE_MEMBERS = {
    "usage",
    "usage_status",
    "input_tokens",
    "output_tokens",
    "tokens",
    "cost",
    "id",
}


class NotCanonical(ValueError):
    """The value has no canonical form; the message has the reason."""


class AmbiguousJSON(ValueError):
    """The text is not JSON, or readers may differ on it; the message has the reason."""


def form_of(document: dict) -> str:
    """Return NESTED or FLAT; a document with members of neither form counts as flat."""
    if (
        "id" in document
        and isinstance(document.get("tokens"), dict)
        and isinstance(document.get("cost"), dict)
    ):
        return NESTED
    if document.keys() & _FLAT_ONLY_MEMBERS:
        return FLAT
    return NESTED if document.keys() & _USAGE_MEMBERS else FLAT


def id_of(document: dict) -> object:
    """Return the receipt's id as the document has it; None if it has none."""
    return document.get("id" if form_of(document) == NESTED else "receipt_id")


def unsigned(document: dict) -> dict:
    """Return the document without its signature."""
    return {name: value for name, value in document.items() if name != "signature"}


def canonical(value: object) -> bytes:
    """Return the RFC 8785 text of a JSON value, in UTF-8.

    orjson writes it, nine times faster, wherever its text is known to be the
    same: ASCII names, integers, fractions between 1e-5 and 1e15. The library
    `rfc8785` writes everything else.
    Raises NotCanonical for values that JCS cannot carry: NaN and infinities,
    integers beyond 2^53-1, lone surrogates, Decimal and other Python types; and
    for values nested deeper than 64 levels.
    """
    return _written(*_prepared(value))


def canonical_with_signature(document: dict, sign: Callable[[bytes], str]) -> tuple[bytes, str]:
    """Return the RFC 8785 text of a document and its signature, and the signature.

    `sign` gets the text without it, `signature` is a text. Raises NotCanonical.
    """
    plain, write = _prepared(document)
    signature = sign(_written(plain, write))
    return _written({**plain, "signature": signature}, write), signature


def _prepared(value: object) -> tuple[Any, Callable[[Any], bytes]]:
    """Return a value and the function that writes its RFC 8785 text. Raises NotCanonical."""
    differences: list[str] = []
    plain = _for_orjson(value, MAX_DEPTH, differences)
    return (value, rfc8785.dumps) if differences else (plain, _dump_sorted)


def _written(value: object, write: Callable[[Any], bytes]) -> bytes:
    try:
        return write(value)
    except (rfc8785.CanonicalizationError, TypeError, UnicodeError) as error:
        raise NotCanonical(str(error)) from None


def _dump_sorted(plain: object) -> bytes:
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def _for_orjson(value: object, levels: int, differences: list[str]) -> object:
    """Return the value with 1.0 and -0.0 as 1 and 0.

    Where orjson may write it differently from RFC 8785, `differences` gets the reason.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if -MAX_INTEGER <= value <= MAX_INTEGER:
            return value
        raise NotCanonical("an integer is beyond 2^53-1")
    if kind is float:
        return _number_for_orjson(value, differences)
    if kind is not dict and kind is not list:
        raise NotCanonical(f"{kind.__name__} is not a JSON type")
    if not levels:
        raise NotCanonical(f"nested deeper than {MAX_DEPTH} levels")
    if kind is list:
        return [_for_orjson(item, levels - 1, differences) for item in value]
    for name in value:
        if type(name) is not str:
            raise NotCanonical("a member name is not a string")
        if not name.isascii():
            differences.append("orjson orders names by UTF-8, JCS by UTF-16")
    return {
        name: inner if type(inner) is str else _for_orjson(inner, levels - 1, differences)
        for name, inner in value.items()
    }


def _number_for_orjson(value: float, differences: list[str]) -> float | int:
    if not math.isfinite(value):
        raise NotCanonical("NaN and infinity are not JSON numbers")
    if value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER:
        return int(value)
    if not _MIN_PLAIN_FRACTION <= abs(value) < _MAX_PLAIN_FRACTION:
        differences.append("exponents are written differently")
    return value


def exact(value: object, levels: int = MAX_DEPTH) -> object:
    """Return a parsed JSON value with doubles in place of Decimals.

    Raises AmbiguousJSON for numbers beyond 2^53-1, numbers with more digits than
    a double keeps, and nesting deeper than 64 levels.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int or kind is float or kind is Decimal:
        return _exact_number(value)
    if not levels:
        raise AmbiguousJSON(f"JSON is nested deeper than {MAX_DEPTH} levels")
    if kind is list:
        return [exact(item, levels - 1) for item in value]
    return {
        name: inner if type(inner) is str else exact(inner, levels - 1)  # most are texts
        for name, inner in value.items()
    }


def _exact_number(value: int | float | Decimal) -> int | float:
    # JCS writes larger doubles as integers, which would be refused when they are read.
    if not abs(value) <= MAX_INTEGER:
        raise AmbiguousJSON("A number is beyond 2^53-1")
    if not isinstance(value, Decimal):
        return value
    double = float(value)
    if Decimal(repr(double)) != value:
        raise AmbiguousJSON("A number has more digits than a JSON double keeps")
    return double


def parse(text: bytes) -> object:
    """Return the value of a JSON text in UTF-8.

    A signature covers a value. Two readers that take one text for different
    values (the first or the last of two equal names, digits beyond a double's)
    would disagree on what was signed, so such texts are refused.
    Raises AmbiguousJSON for malformed JSON, duplicate members, lone surrogates,
    NaN, and values that `exact` refuses.
    """
    try:
        value = exact(_decoder.decode(text.decode()))
        if b"\\u" in text:  # only an escape can make a lone surrogate
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeDecodeError:
        raise AmbiguousJSON("The text is not UTF-8") from None
    except UnicodeEncodeError:
        raise AmbiguousJSON("A string has a lone surrogate") from None
    except json.JSONDecodeError as error:
        raise AmbiguousJSON(f"{error.msg} at position {error.pos}") from None
    except RepeatedMember as error:
        raise AmbiguousJSON(str(error)) from None
    except RecursionError:
        raise AmbiguousJSON("JSON is nested too deeply") from None


def _integer(digits: str) -> int:
    # Converting very long digits takes quadratic time; none of them would be in range.
    return MAX_INTEGER + 1 if len(digits) > 17 else int(digits)


def _fraction(digits: str) -> Decimal | float:
    double = float(digits)
    # Decimal takes neither exponents without bounds nor, quickly, digits without end.
    if len(digits) > _MAX_DIGITS or not math.isfinite(double):
        raise AmbiguousJSON("A number has more digits than a JSON double keeps")
    if not double:
        if digits.lower().partition("e")[0].strip("-0."):
            raise AmbiguousJSON("A number is too small for a JSON double")
        return double
    return Decimal(digits)


def _constant(name: str):
    raise AmbiguousJSON(f"{name} is not a JSON number")


_decoder = json.JSONDecoder(
    object_pairs_hook=unique_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)
