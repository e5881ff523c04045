"""Numbers of a request. Many servers take a text for the number that it shows."""

from decimal import Decimal
from typing import Any

_MAX = Decimal(10) ** 18  # a larger one has no meaning, and may have a billion digits
_MAX_LENGTH = 40


def read_number(value: Any) -> Decimal | None:
    """Return a number of 0 or more; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    if isinstance(value, str) and len(value) > _MAX_LENGTH:
        return None
    try:
        number = Decimal(value)
    except ArithmeticError:  # a text that shows none
        return None
    return min(number, _MAX) if number.is_finite() and number >= 0 else None
