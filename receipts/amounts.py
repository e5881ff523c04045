"""The types of amounts, counts and times in receipts.

A draft's amounts are signed as they were written, so a text must be a number to
all its readers. Signed receipts are taken as they are: whatever a trusted key
signed is a receipt.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

from core.schemas import Timestamp, decimal
from receipts.documents import MAX_INTEGER

_timestamp = TypeAdapter(Timestamp)
# The one grammar of numbers that all readers of the text agree on, JSON's.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d{1,2})?", re.ASCII)


def parse_time(value: str) -> datetime:
    """Return the aware time that a validated timestamp names."""
    return _timestamp.validate_python(value)


def _time_text(value: object) -> str:
    parse_time(value)
    return value.strip()


def _number(value: object, minimum: int) -> int | float | Decimal:
    """Return a number of a body, or its numeric text as a Decimal."""
    number = value if type(value) in (int, float) else decimal(value)
    if number < minimum:
        raise PydanticKnownError("greater_than_equal", {"ge": minimum})
    if number > MAX_INTEGER:
        raise PydanticKnownError("less_than_equal", {"le": MAX_INTEGER})
    return number


def _draft_number(value: object) -> int | float | Decimal:
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        raise PydanticKnownError("float_parsing")
    return _number(value, 0)


def _amount(value: object) -> int | float:
    """Return an amount as the JSON number that a flat receipt states."""
    number = _draft_number(value)
    if type(number) is not Decimal:
        return number
    double = float(number)
    if Decimal(repr(double)) != number:
        raise PydanticCustomError(
            "decimal_max_digits", "Input has more digits than a JSON number keeps"
        )
    return double


def _stated_amount(value: object) -> int | float | str:
    """Return an amount as the caller wrote it, number or text."""
    number = _draft_number(value)
    if isinstance(value, str):
        return value.strip()
    return int(number) if isinstance(value, bool) else number


def _signed_amount(value: object) -> int | float | Decimal:
    return _number(value, -MAX_INTEGER)


def _schema(**keywords: object) -> WithJsonSchema:
    return WithJsonSchema(keywords)


# ISO 8601 times that stay the text they are.
TimeText = Annotated[str, BeforeValidator(_time_text), _schema(type="string", format="date-time")]
# Generated clients parse a `date-time`, and would send a signed one back in another spelling.
SignedTimeText = Annotated[
    str,
    BeforeValidator(_time_text),
    _schema(type="string", description="ISO 8601, as it was signed."),
]
Amount = Annotated[
    Any, PlainValidator(_amount), _schema(type="number", minimum=0, maximum=MAX_INTEGER)
]
StatedAmount = Annotated[
    Any,
    PlainValidator(_stated_amount),
    _schema(anyOf=[{"type": "number", "minimum": 0}, {"type": "string"}]),
]
SignedCount = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
SignedAmount = Annotated[
    Any,
    PlainValidator(_signed_amount),
    _schema(anyOf=[{"type": "number"}, {"type": "string"}]),
]
