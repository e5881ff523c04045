"""Numbers in JSON columns, on their way back."""

import json
from decimal import Decimal

from core import media

_SAFE_DIGITS = 18  # below both limits of 64 bits, with sign


class StoredJSON(json.JSONDecoder):
    """For JSONField(decoder=…): integers beyond 64 bits are floats, as they came in.

    PostgreSQL writes 1e30 with all its zeros, and replies cannot hold such an integer.
    """

    def __init__(self, **options) -> None:
        super().__init__(**options, parse_int=_integer)


def _integer(digits: str) -> int | float:
    if len(digits) <= _SAFE_DIGITS:
        return int(digits)
    try:
        number = int(digits)
    except ValueError:  # more digits than Python converts
        return float(digits)
    return number if -(2**63) <= number < 2**64 else float(digits)


_EXACT_DIGITS = 15  # of a number that a double keeps
_MAX_DIGITS = 4_000  # of an integer that Python converts


class ExactJSONEncoder(json.JSONEncoder):
    """For JSONField(encoder=…): Decimals and integers keep all their digits."""

    def encode(self, value) -> str:
        return media.dumps(value).decode()


class ExactJSONDecoder(json.JSONDecoder):
    """For JSONField(decoder=…): numbers keep all the digits that PostgreSQL has of them."""

    def __init__(self, **options) -> None:
        super().__init__(**options, parse_int=_exact_integer, parse_float=_exact_number)


def _exact_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _exact_number(digits: str) -> float | Decimal:
    return float(digits) if len(digits) <= _EXACT_DIGITS else Decimal(digits)
