"""Numbers in JSON columns, on their way back."""

import json

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
