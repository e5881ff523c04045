"""The base of every request body, query and reply: one pydantic model each.

Its errors are the API's 422 entries (docs/http-contract.md, sections "Errors" and
"Values"). Views, edge routes, batches, imports and the OpenAPI document use the
same model, so a body has one meaning whatever way it comes in.
"""

import json
import math
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import parse_qsl

import orjson
from django.utils.functional import cached_property
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, PydanticKnownError
from rest_framework.exceptions import ParseError

from core import memory
from core.errors import BodyTooLarge, InvalidInput, issue
from core.unique_members import unique_object

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
# The largest integer that every JSON reader, and so every receipt, keeps exactly.
SAFE_INTEGER_MAX = 2**53 - 1
# 18 digits before the point: far above any price, far below any overflow.
AMOUNT_MAX = 10**18
MAX_DEPTH = 64  # levels of nesting in a stored JSON value
MAX_ISSUES = 100  # entries of one 422 reply
MAX_PARAMETERS = 1_000  # of a query; Django's own limit, too
_MAX_DIGITS = 100  # of a number that is kept exactly
_MAX_EXPONENT = 300
_TWELVE_PLACES = Decimal(1).scaleb(-12)
_WIDE = Context(prec=160)


class Schema(BaseModel):
    """A body, a query or a reply. Unknown members are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        from_attributes=True,
        protected_namespaces=(),
        ignored_types=(cached_property,),
    )
    body_is_optional: ClassVar[bool] = False
    max_body_bytes: ClassVar[int | None] = None  # of a body that is smaller than others may be

    def sent(self) -> dict[str, Any]:
        """Return the members that the client sent, by name."""
        return {name: getattr(self, name) for name in self.__pydantic_fields_set__}


def member_error(
    type: str, message: str, *path: str | int, input: object = None, **context: object
) -> PydanticCustomError:
    """Return an error about a member below the value that is being validated."""
    return PydanticCustomError(
        type, message.replace("{", "{{").replace("}", "}}"), {**context, "_at": (path, input)}
    )


# --- Text ------------------------------------------------------------------


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError("null_character", "Null characters are not allowed.")
    return value


# Limits stand before validators: the other order reports `too_long` for a text.
_no_nul = AfterValidator(_without_nul)  # PostgreSQL cannot store NUL
Text = Annotated[str, _no_nul]
Text64 = Annotated[str, Field(max_length=64), _no_nul]
Text255 = Annotated[str, Field(max_length=255), _no_nul]
Name255 = Annotated[str, Field(min_length=1, max_length=255), _no_nul]
# For people to read: blanks around them are taken away.
Title255 = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), _no_nul
]
OptionalTitle255 = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255), _no_nul]


def text(max_length: int, *, min_length: int = 0) -> type[str]:
    """Return the type of a text of so many characters."""
    return Annotated[str, Field(min_length=min_length, max_length=max_length), _no_nul]


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


# --- Numbers and times -----------------------------------------------------


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
            # Its shortest text: 0.1 is the tenth that the caller wrote.
            number = Decimal(repr(value)) if math.isfinite(value) else Decimal("NaN")
        case Decimal():
            number = value
        case str():
            number = _decimal_of_text(value)
        case _:
            raise PydanticKnownError("float_type")
    # Beyond a double's range a number is infinite or nothing, and writing it out takes gigabytes.
    if not number.is_finite() or (number and number.adjusted() > _MAX_EXPONENT):
        raise PydanticKnownError("finite_number")
    return number if number and number.adjusted() >= -_MAX_EXPONENT else Decimal(0)


def _decimal_of_text(value: str) -> Decimal:
    # Other readers take underscores and digits of other scripts for something else.
    if len(value) > _MAX_DIGITS or not value.isascii() or "_" in value:
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
    """Leave numbers out, which pydantic takes for seconds since 1970."""
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


# --- JSON values -----------------------------------------------------------


def storable(value: Any) -> Any:
    """Return `value` itself, a JSON value that PostgreSQL can store.

    Raises `null_character` when a text in it holds NUL, `too_deep` beyond 64 levels.
    """
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return value
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
        level = below
    raise PydanticCustomError(
        "too_deep", "JSON is nested deeper than {levels} levels", {"levels": MAX_DEPTH}
    )


_storable = AfterValidator(storable)
FreeObject = Annotated[dict[str, Any], _storable]
FreeList = Annotated[list[Any], _storable]
JSONValue = Annotated[Any, _storable]


# --- Parsing ---------------------------------------------------------------

_GC_PAUSE_BYTES = 64 * 1024
_NO_PAUSE = nullcontext()
Model = TypeVar("Model", bound=BaseModel)
# A number so long may lose digits as a double, or be beyond 64 bits; one so small may become 0.
_ROUNDED_NUMBER = re.compile(rb"[\[:,\s]-?\d(?:[-+.eE\d]{15}|[.\d]{0,14}[eE]-\d{3})")
_ROUNDED_NUMBER_LENGTH = 22
_PIECE = 256 * 1024  # bytes
_ALL_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)


def parse(
    model: type[Model],
    body: bytes,
    *,
    content_type: str = "",
    unique_members: bool = False,
    loc: Sequence = ("body",),
) -> Model:
    """Return the model that a body holds: JSON, also without a content type.

    An empty body is an empty object for a model whose `body_is_optional`.
    Raises InvalidInput, BodyTooLarge, and ParseError for bytes that are not UTF-8.
    """
    limit = getattr(model, "max_body_bytes", None)
    if limit is not None and len(body) > limit:
        raise BodyTooLarge(limit)
    if not body and getattr(model, "body_is_optional", False):
        return validate(model, {}, loc=loc)
    if not is_json(content_type):
        return validate(model, decode_text(body), loc=loc)  # a text is not an object: refused
    with _gc_paused_for(body):
        return validate(model, loads(body, unique_members=unique_members, loc=loc), loc=loc)


def _gc_paused_for(body: bytes) -> AbstractContextManager:
    return memory.gc_paused() if len(body) > _GC_PAUSE_BYTES else _NO_PAUSE


def is_json(content_type: str) -> bool:
    """Return whether a body of this `Content-Type` is read as JSON."""
    kind = content_type.split(";", 1)[0].strip().lower()
    return kind in ("", "*/*", "application/json") or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def loads(body: bytes, *, unique_members: bool = False, loc: Sequence = ("body",)) -> Any:
    """Return the value of a JSON text, with all digits of its numbers.

    Raises InvalidInput (`missing`, `json_invalid`), and ParseError for bytes that are
    not UTF-8. With `unique_members`, a name that occurs twice in an object is refused.
    """
    if not body.strip():
        raise InvalidInput([issue("missing", list(loc), "Field required", None)])
    try:
        with _gc_paused_for(body):
            value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        decode_text(body)
        raise _invalid_json(loc, error.msg, error.pos) from None
    if not _may_round(body) and (not unique_members or _has_no_repeated_member(body, value)):
        return value
    try:
        return json.loads(
            body,
            parse_float=_exact_number_of_body,
            # In Python, so that other threads run between the numbers of a large body.
            parse_int=lambda digits: int(digits),
            object_pairs_hook=unique_object if unique_members else None,
        )
    except RecursionError:
        raise _invalid_json(loc, "JSON is nested too deeply") from None
    except ValueError as error:  # a repeated member, or more digits than Python converts
        raise _invalid_json(loc, str(error)) from None


def _has_no_repeated_member(body: bytes, value: Any) -> bool:
    """Return True if surely no object of the body names a member twice; `value` is what it holds.

    Written again, the value has a colon for each member that is left, and those within
    texts: a repeated member is one too few. Ten times faster than decoding the body in
    Python. False stands also for escapes, which may hide colons, and for hundreds of levels.
    """
    if b"\\" in body:
        return False
    try:
        return body.count(b":") == orjson.dumps(value).count(b":")
    except orjson.JSONEncodeError:
        return False


def _may_round(body: bytes) -> bool:
    """Return whether a double or 64 bits may not keep a number of the body.

    Of sixteen digits at least eight stand together, and a number with an exponent below -99
    may become 0: both are seen ten times faster than what the regular expression finds. Most
    that look so are times and UUIDs.
    """
    zeros = body.translate(_ALL_ZEROS)
    looks_so = b"0" * 8 in zeros or b"0e-000" in zeros or b"0E-000" in zeros
    return looks_so and (body[:1] not in b"{[" or _has_rounded_number(body))


def _has_rounded_number(body: bytes) -> bool:
    # In pieces, which overlap by the length of a match: a search lets no other thread run.
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


def validate(model: type[Model], value: object, *, loc: Sequence = ("body",)) -> Model:
    """Return the model of a JSON value. Raises InvalidInput."""
    try:
        # from_attributes: then a list or a text is `model_attributes_type`, as in the contract.
        return model.model_validate(value, from_attributes=True)
    except ValidationError as error:
        raise InvalidInput(issues(error, loc)) from None


def parse_query(model: type[Model], query_string: str) -> Model:
    """Return the model of a query string. Raises InvalidInput.

    An empty value means that the parameter was not sent. Of several values a list
    takes all, anything else the last.
    """
    values: dict[str, Any] = {}
    if query_string.count("&") >= MAX_PARAMETERS:
        raise InvalidInput([_too_many_parameters()])
    for name, value in parse_qsl(query_string, keep_blank_values=True):
        if value == "" or name not in model.model_fields:
            continue
        if model.model_fields[name].annotation in _LISTS:
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    return validate(model, values, loc=("query",))


_LISTS = (list[str], list[str] | None)


def _too_many_parameters() -> dict:
    message = f"A query should have at most {MAX_PARAMETERS} parameters"
    return issue("too_many_parameters", ["query"], message, None, max_length=MAX_PARAMETERS)


def issues(error: ValidationError, loc: Sequence) -> list[dict]:
    """Return the first 422 entries of a validation error; `loc` is the value's location."""
    return [_entry(entry, loc) for entry in error.errors(include_url=False)[:MAX_ISSUES]]


def _entry(entry: dict, loc: Sequence) -> dict:
    context = dict(entry.get("ctx") or {})
    below, input = context.pop("_at", ((), entry["input"]))
    context = {
        name: str(value) if isinstance(value, Exception) else value
        for name, value in context.items()
    }
    return issue(entry["type"], [*loc, *entry["loc"], *below], entry["msg"], input, **context)


def exact_number(digits: str) -> Decimal | float:
    """Return a JSON number with a fraction or an exponent, exactly if that takes few digits."""
    try:
        number = Decimal(digits)
    except InvalidOperation:  # an exponent of more digits than Decimal takes
        return float(digits)
    is_usual = len(digits) <= _MAX_DIGITS and abs(number.adjusted()) <= _MAX_EXPONENT
    return number if is_usual and number else float(digits)


def _exact_number_of_body(digits: str) -> Decimal | float:
    """Raises ValueError for a number that neither a Decimal keeps nor a double."""
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
