"""Serializer fields with the contract's leniency and its error types.

`"12"`, `12.0` and `true` are integers, numeric text is a number, but only text
is text (docs/http-contract.md, section "Values"). Each failure carries the
error type of the contract as its code.
"""

import math
from decimal import Context, Decimal, InvalidOperation
from uuid import UUID

from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
_TWELVE_PLACES = Decimal(1).scaleb(-12)
_WIDE = Context(prec=60)  # any number of ours times any count of ours
_DEEPEST = 64  # levels of nesting in a stored JSON value


def twelve_places(number: Decimal) -> Decimal:
    """The finite number, rounded half-even if it has more than twelve places."""
    if number.as_tuple().exponent < -12:
        return number.quantize(_TWELVE_PLACES, context=_WIDE)
    return number


class TextField(serializers.CharField):
    """Text as it came: not trimmed, possibly empty, without NUL (PostgreSQL cannot store it)."""

    default_error_messages = {"string_type": "Input should be a valid string"}
    null_code = "string_type"

    def __init__(self, **kwargs) -> None:
        kwargs.setdefault("trim_whitespace", False)
        kwargs.setdefault("allow_blank", True)
        super().__init__(**kwargs)

    def run_validation(self, data=serializers.empty):
        # DRF lets an empty text pass before a subclass can look at it.
        if data == "" and self.allow_blank:
            return serializers.Field.run_validation(self, data)
        return super().run_validation(data)

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("string_type")
        return super().to_internal_value(data)


class IntegerField(serializers.IntegerField):
    default_error_messages = {
        "int_type": "Input should be a valid integer",
        "int_parsing": "Input should be a valid integer, unable to parse string as an integer",
        "int_from_float": "Input should be a valid integer, got a number with a fractional part",
    }
    null_code = "int_type"

    def __init__(self, **kwargs) -> None:
        kwargs.setdefault("min_value", -INT64_MAX)
        kwargs.setdefault("max_value", INT64_MAX)
        super().__init__(**kwargs)

    def to_internal_value(self, data):
        match data:
            case bool() | int():
                return int(data)
            case float():
                if not data.is_integer():
                    self.fail("int_from_float")
                return int(data)
            case str():
                # Longer digits are no counts, and converting them costs quadratic time.
                if len(data) > self.MAX_STRING_LENGTH:
                    self.fail("int_parsing")
                try:
                    return int(data.strip())
                except ValueError:
                    self.fail("int_parsing")
        self.fail("int_type")


@extend_schema_field({"type": "number"})
class NumberField(serializers.Field):
    """A finite number as Decimal, twelve places; ints, floats and numeric text are accepted."""

    default_error_messages = {
        "float_type": "Input should be a valid number",
        "float_parsing": "Input should be a valid number, unable to parse string as a number",
        "finite_number": "Input should be a finite number",
        "greater_than_equal": "Input should be greater than or equal to {min_value}",
        "less_than_equal": "Input should be less than or equal to {max_value}",
    }
    null_code = "float_type"
    # 18 digits before the point: far above any price, far below any overflow.
    LARGEST = Decimal(10) ** 18

    def __init__(self, *, min_value=None, max_value=LARGEST, **kwargs) -> None:
        self.min_value, self.max_value = min_value, max_value
        super().__init__(**kwargs)

    def to_internal_value(self, data):
        number = self._parse(data)
        if not number.is_finite():
            self.fail("finite_number")
        if self.min_value is not None and number < self.min_value:
            self.fail("greater_than_equal", min_value=self.min_value)
        if self.max_value is not None and number > self.max_value:
            self.fail("less_than_equal", max_value=self.max_value)
        return twelve_places(number)

    def _parse(self, data) -> Decimal:
        match data:
            case bool() | int():
                return Decimal(int(data))
            case float():
                # Its shortest text: 0.1 is the tenth that the caller wrote.
                return Decimal(repr(data)) if math.isfinite(data) else Decimal("NaN")
            case str():
                try:
                    return Decimal(data.strip()) if len(data) <= 100 else self.fail("float_parsing")
                except InvalidOperation:
                    self.fail("float_parsing")
        self.fail("float_type")

    def to_representation(self, value):
        return value


@extend_schema_field(bool)
class BooleanField(serializers.Field):
    default_error_messages = {
        "bool_type": "Input should be a valid boolean",
        "bool_parsing": "Input should be a valid boolean, unable to interpret input",
    }
    null_code = "bool_type"
    TRUE = {"true", "t", "yes", "y", "on", "1"}
    FALSE = {"false", "f", "no", "n", "off", "0"}

    def to_internal_value(self, data):
        match data:
            case bool():
                return data
            case 0 | 1:
                return bool(data)
            case str() if data.lower() in self.TRUE:
                return True
            case str() if data.lower() in self.FALSE:
                return False
            case str() | int() | float():
                self.fail("bool_parsing")
        self.fail("bool_type")

    def to_representation(self, value):
        return value


class UUIDField(serializers.UUIDField):
    default_error_messages = {
        "uuid_parsing": "Input should be a valid UUID",
        "uuid_type": "UUID input should be a string or UUID object",
    }  # noqa: E501
    null_code = "uuid_type"

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("uuid_type")
        try:
            return UUID(data)
        except ValueError:
            self.fail("uuid_parsing")


class DateTimeField(serializers.DateTimeField):
    """An ISO 8601 date and time; without offset it is UTC."""

    default_error_messages = {
        "datetime_type": "Input should be a valid datetime",
        "datetime_parsing": "Input should be a valid datetime, expected ISO 8601",
    }
    null_code = "datetime_type"

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("datetime_type")
        try:
            value = parse_datetime(data.strip())
            return self.fail("datetime_parsing") if value is None else self.enforce_timezone(value)
        except (ValueError, OverflowError):
            self.fail("datetime_parsing")


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ObjectField(serializers.Field):
    """A JSON object that PostgreSQL can store: no NUL, at most 64 levels deep."""

    default_error_messages = {
        "dict_type": "Input should be a valid dictionary",
        "null_character": "JSON text must not contain the NUL character",
        "too_deep": "JSON is nested deeper than {levels} levels",
    }
    null_code = "dict_type"

    def to_internal_value(self, data):
        if not isinstance(data, dict):
            self.fail("dict_type")
        return self.storable(data)

    def storable(self, data):
        """`data` itself; fails when a string in it holds NUL or it is nested too deeply."""
        level = [data]
        for _ in range(_DEEPEST + 1):
            if not level:
                return data
            below = []
            for value in level:
                if isinstance(value, str) and "\x00" in value:
                    self.fail("null_character")
                if isinstance(value, dict):
                    below += value.keys()
                    below += value.values()
                elif isinstance(value, list):
                    below += value
            level = below
        self.fail("too_deep", levels=_DEEPEST)

    def to_representation(self, value):
        return value


@extend_schema_field({})
class JSONField(ObjectField):
    """Any JSON value that PostgreSQL can store."""

    def to_internal_value(self, data):
        return self.storable(data)


class ContentField(JSONField):
    """Text, or the parts of a multimodal message."""

    default_error_messages = {"string_type": "Input should be a valid string, list or object"}

    def to_internal_value(self, data):
        if not isinstance(data, str | list | dict):
            self.fail("string_type")
        return super().to_internal_value(data)


@extend_schema_field({"type": "array", "items": {}})
class ListField(ObjectField):
    """A JSON list that PostgreSQL can store, its items unchecked."""

    default_error_messages = {"list_type": "Input should be a valid list"}
    null_code = "list_type"

    def to_internal_value(self, data):
        if not isinstance(data, list):
            self.fail("list_type")
        return self.storable(data)
