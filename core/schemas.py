"""The base of every request body, query and reply, and the types of their members.

Each is one pydantic model. Views, edge routes, batches, imports and the OpenAPI document use
the same model, so a body means the same wherever it is sent (core/parsing.py).
Source: docs/http-contract.md, section "Values".
"""

import math
import re
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from itertools import islice
from typing import Annotated, Any, ClassVar

from django.utils.functional import cached_property
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from core.exact_json import MAX_DIGITS, MAX_EXPONENT
from core.visible_text import is_visible

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
# The largest integer that every JSON reader, and so every receipt, keeps exactly.
SAFE_INTEGER_MAX = 2**53 - 1
# 18 digits before the point: far above any price, far below any overflow.
AMOUNT_MAX = 10**18
MAX_DEPTH = 64  # levels of nesting in a stored JSON value
_MAX_UNKNOWN = 10  # unknown members that an error names
_TWELVE_PLACES = Decimal(1).scaleb(-12)
_WIDE = Context(prec=160)


class Schema(BaseModel):
    """A body, a query or a reply. Unknown members are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        protected_namespaces=(),
        ignored_types=(cached_property,),
    )
    body_is_optional: ClassVar[bool] = False
    max_body_bytes: ClassVar[int | None] = None  # if less than LLMRING_MAX_BODY_BYTES

    @classmethod
    def conditionally_missing(cls, value: dict[str, Any]) -> list[str]:
        """Return the members that an invalid value lacks, of those that not every value needs.

        Errors then name them beside the missing members that every value needs.
        """
        return []

    def sent(self) -> dict[str, Any]:
        """Return the members that the client sent, by name, declared ones first and in order."""
        members = self.__dict__ | (self.__pydantic_extra__ or {})
        sent = self.__pydantic_fields_set__
        return {name: value for name, value in members.items() if name in sent}


class StrictSchema(Schema):
    """A body that gives access. Unknown members are refused: a misspelled limit would be none."""

    model_config = ConfigDict(extra="forbid")
    # Of what the body changes. Clients send it back whole: members that only it has are ignored.
    reply: ClassVar[type[Schema] | None] = None

    @model_validator(mode="before")
    @classmethod
    def _with_few_unknown_members(cls, value: Any) -> Any:
        """Return the object with what is enough to refuse it: each error takes time and memory."""
        if not isinstance(value, dict):
            return value
        declared = cls.model_fields.keys()
        known = declared | (cls.reply.model_fields.keys() if cls.reply else set())
        unknown = islice((name for name in value if name not in known), _MAX_UNKNOWN)
        return {
            **{name: value[name] for name in declared if name in value},
            **{name[:255]: value[name] for name in unknown},
        }


def example(*examples: Any, **options: Any) -> ConfigDict:
    """Return a schema's configuration with these examples for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": list(examples)}, **options)


def member_error(
    type: str, message: str, *path: str | int, input: object = None, **context: object
) -> PydanticCustomError:
    """Return an error about a member below the value that is being validated."""
    return PydanticCustomError(
        type, message.replace("{", "{{").replace("}", "}}"), {**context, "_at": (path, input)}
    )


def without_nul(value: str) -> str:
    """Return the text unchanged. Raises `null_character`."""
    if "\x00" in value:
        raise PydanticCustomError("null_character", "Null characters are not allowed.")
    return value


_no_nul = AfterValidator(without_nul)  # PostgreSQL cannot store NUL
# In the types below, limits stand before validators: the other order reports `too_long`.
Text = Annotated[str, _no_nul]


def text(max_length: int, *, min_length: int | None = None) -> type[str]:
    """Return the type of a text of `min_length` to `max_length` characters."""
    return Annotated[str, Field(min_length=min_length, max_length=max_length), _no_nul]


Text64, Text255, Name255 = text(64), text(255), text(255, min_length=1)


def _is_visible(value: str) -> str:
    if not is_visible(value):
        raise PydanticCustomError("invisible", "Input should have a visible character")
    return value


# For people to read: surrounding whitespace is stripped.
Title255 = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=255),
    _no_nul,
    AfterValidator(_is_visible),
]
OptionalTitle255 = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255), _no_nul]


def matching(pattern: str, what: str, max_length: int) -> type[str]:
    """Return the type of a text of this pattern; its error says `what` the text should be."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError(
                "string_pattern_mismatch", "Input should be {what}", {"what": what}
            )
        return value

    limits = Field(max_length=max_length, json_schema_extra={"pattern": pattern})
    return Annotated[str, limits, AfterValidator(check)]


def twelve_places(number: Decimal) -> Decimal:
    """Return the finite number, rounded half-even if it has more than twelve places."""
    if number.as_tuple().exponent < -12:
        return number.quantize(_TWELVE_PLACES, context=_WIDE)
    return number


def decimal(value: object) -> Decimal:
    """Return a finite number, or numeric text, exactly as it is written.

    Raises pydantic's `float_type`, `float_parsing` or `finite_number`.
    """
    match value:
        case bool():
            raise PydanticKnownError("float_type")
        case int():
            return Decimal(value)
        case float():
            # Its shortest text: 0.1 is exactly a tenth.
            number = Decimal(repr(value)) if math.isfinite(value) else Decimal("NaN")
        case Decimal():
            number = value
        case str():
            number = _decimal_of_text(value)
        case _:
            raise PydanticKnownError("float_type")
    # Beyond a double's range: written out, such a number could take gigabytes.
    if not number.is_finite() or (number and number.adjusted() > MAX_EXPONENT):
        raise PydanticKnownError("finite_number")
    return number if number and number.adjusted() >= -MAX_EXPONENT else Decimal(0)


def _decimal_of_text(value: str) -> Decimal:
    # Underscores and digits of other scripts mean something else to other readers.
    if len(value) > MAX_DIGITS or not value.isascii() or "_" in value:
        raise PydanticKnownError("float_parsing")
    try:
        return Decimal(value.strip())
    except InvalidOperation:
        raise PydanticKnownError("float_parsing") from None


Count = Annotated[int, Field(ge=0, le=SAFE_INTEGER_MAX)]
Count32 = Annotated[int, Field(ge=0, le=INT32_MAX)]
Number = Annotated[Decimal, BeforeValidator(decimal), WithJsonSchema({"type": "number"})]
# US dollars, exact to twelve places.
Amount = Annotated[
    Decimal,
    BeforeValidator(decimal),
    Field(ge=0, le=AMOUNT_MAX),
    AfterValidator(twelve_places),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": AMOUNT_MAX}),
]


_ISO_DATE = re.compile(r"\s*\d{4}-\d", re.ASCII)


def _is_written_out(value: object) -> object:
    """Refuse numbers, which pydantic would take for seconds since 1970."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise PydanticKnownError("datetime_type")
    if not _ISO_DATE.match(value):
        raise PydanticKnownError("datetime_parsing", {"error": "expected ISO 8601"})
    return value.strip()


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:
        raise PydanticKnownError("datetime_parsing", {"error": "out of range"}) from None


# ISO 8601; without an offset it is UTC. Digits beyond microseconds are cut, never rounded up.
Timestamp = Annotated[datetime, BeforeValidator(_is_written_out), AfterValidator(_in_utc)]


def storable(value: Any) -> Any:
    """Return the JSON value unchanged, if PostgreSQL can store it.

    Raises `null_character` when a text in it holds NUL, `too_deep` beyond 64 levels.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        level = _inside(level)
        if not level:
            return value
    if any(isinstance(inner, dict | list) for inner in level):
        raise PydanticCustomError(
            "too_deep", "JSON is nested deeper than {levels} levels", {"levels": MAX_DEPTH}
        )
    _inside(level)  # for NUL in its texts
    return value


def _inside(level: list) -> list:
    """Return what is directly inside of these values. Raises `null_character`."""
    below: list = []
    for inner in level:
        if isinstance(inner, str):
            if "\x00" in inner:
                raise PydanticCustomError(
                    "null_character", "JSON text must not contain the NUL character"
                )
        elif isinstance(inner, dict):
            below += inner.keys()
            below += inner.values()
        elif isinstance(inner, list):
            below += inner
    return below


def _is_object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise PydanticKnownError("dict_type")
    return value


_storable = AfterValidator(storable)
# pydantic would copy it, and let no other thread run meanwhile.
AnyObject = Annotated[dict[str, Any], SkipValidation, AfterValidator(_is_object)]
FreeObject = Annotated[AnyObject, _storable]
FreeList = Annotated[list[Any], _storable]
JSONValue = Annotated[Any, _storable]
