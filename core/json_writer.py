"""The one writer of JSON, for replies and stored values. The reader: core/exact_json.py."""

from decimal import Decimal

import orjson

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def number(value: Decimal) -> orjson.Fragment:
    """Return a Decimal as a JSON number with all its digits and no exponent."""
    return orjson.Fragment(plain(value))


def plain(value: Decimal) -> str:
    """Return a Decimal's digits with neither exponent nor trailing zeros: `0.00024`, `12`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def dumps(value: object, *, sort_keys: bool = False) -> bytes:
    """Return compact JSON; Decimals become numbers, times UTC with `Z`."""
    options = _OPTIONS | orjson.OPT_SORT_KEYS if sort_keys else _OPTIONS
    try:
        return orjson.dumps(value, default=_default, option=options)
    except TypeError as error:
        # Stored objects may hold any integer; orjson writes those of 64 bits.
        if "64-bit" not in str(error):
            raise
        return orjson.dumps(_with_written_integers(value), default=_default, option=options)


def _with_written_integers(value: object) -> object:
    match value:
        case dict():
            return {name: _with_written_integers(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_with_written_integers(inner) for inner in value]
        case int() if value.bit_length() > 63:
            return orjson.Fragment(str(value))
    return value


def _default(value: object) -> object:
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, str):  # str subclasses: lazy and safe strings, ErrorDetail
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
