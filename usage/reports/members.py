"""Reading members of objects that providers define, with exact errors.

Providers add members from release to release, so what is unknown is ignored;
what is known and malformed is refused, never guessed at.
"""

from decimal import Decimal
from typing import Self

from core.schemas import AMOUNT_MAX, SAFE_INTEGER_MAX, decimal

MAX_TEXT = 255

Location = tuple[str | int, ...]


class ReportError(ValueError):
    """A report contradicts itself or has a malformed member.

    `type` and `loc` are those of the contract's validation errors, `loc`
    relative to the report; `str(error)` is the message.
    """

    def __init__(self, type: str, loc: Location, message: str, value: object = None) -> None:
        super().__init__(message)
        self.type = type
        self.loc = loc
        self.value = value


class Members:
    """The members of one JSON object. Null counts as absent, as it does for providers."""

    __slots__ = ("_loc", "_values")

    def __init__(self, values: object, loc: Location = ()) -> None:
        if not isinstance(values, dict):
            raise ReportError("dict_type", loc, "Input should be an object", values)
        self._values = values
        self._loc = loc

    def has(self, *names: str) -> bool:
        """Return whether any of these members is present and not null."""
        for name in names:  # noqa: SIM110 - faster, many times for each call
            if self._values.get(name) is not None:
                return True
        return False

    def has_any(self, names: frozenset[str]) -> bool:
        """Return whether any of these members is present, be it null."""
        return not names.isdisjoint(self._values)

    def count(self, *names: str) -> int:
        """Return the count that these synonyms state; 0 if none does."""
        return agreed_count((self, names))

    def count_in_text(self, name: str) -> int:
        """Return the count under this name, also where it is written as text, as in headers."""
        value = self._values.get(name)
        is_number = isinstance(value, str) and value.isascii() and value.isdecimal()
        return as_count(int(value[:20]) if is_number else value, (*self._loc, name))

    def required_count(self, *names: str) -> int:
        """Return the count that these synonyms state; one of them must be present."""
        if not self.has(*names):
            raise self.error("missing", names[0], "Field required")
        return self.count(*names)

    def amount(self, *names: str) -> Decimal | None:
        """Return the first of these members that is present, as an exact number, 0 or more."""
        name = next((name for name in names if self.has(name)), names[0])
        return as_amount(self._values.get(name), (*self._loc, name))

    def amount_in_text(self, name: str) -> Decimal | None:
        """Return the number under this name, also where it is written as text, as decimals are."""
        value = self._values.get(name)
        if isinstance(value, str):
            try:
                value = decimal(value)
            except ValueError:
                raise self.error("float_parsing", name, "Input should be a valid number") from None
        return as_amount(value, (*self._loc, name))

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise self.error("string_type", name, "Input should be a valid string")
        if value is not None and len(value) > MAX_TEXT:
            message = f"String should have at most {MAX_TEXT} characters"
            raise self.error("string_too_long", name, message)
        return value

    def flag(self, name: str) -> bool:
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.error("bool_type", name, "Input should be a valid boolean")
        return bool(value)

    def is_object(self, name: str) -> bool:
        return isinstance(self._values.get(name), dict)

    def is_list(self, name: str) -> bool:
        return isinstance(self._values.get(name), list)

    def is_text(self, name: str) -> bool:
        return isinstance(self._values.get(name), str)

    def is_number(self, name: str) -> bool:
        value = self._values.get(name)
        return isinstance(value, int | float | Decimal) and not isinstance(value, bool)

    def part(self, *names: str) -> Self:
        """Return the object under the first of these names that is present; else an empty one.

        PHP writes an empty object as an empty list.
        """
        for name in names:
            value = self._values.get(name)
            if value is not None and value != []:
                return type(self)(value, (*self._loc, name))
        return type(self)({}, self._loc)

    def sum_of_parts(self, name: str) -> Self:
        """Return the object under this name; of a list of objects the sums of their integers."""
        if not self.is_list(name):
            return self.part(name)
        sums: dict[str, int] = {}
        for entry in self.parts(name):
            for member, value in entry._values.items():
                if type(value) is int:
                    sums[member] = sums.get(member, 0) + value
        return type(self)(sums, (*self._loc, name))

    def parts(self, *names: str) -> list[Self]:
        """Return the objects in the list under the first of these names that is present."""
        for name in names:
            if self.has(name):
                values, loc = self._values[name], (*self._loc, name)
                if not isinstance(values, list):
                    raise self.error("list_type", name, "Input should be a valid list")
                return [type(self)(value, (*loc, place)) for place, value in enumerate(values)]
        return []

    def error(self, type: str, name: str, message: str) -> ReportError:
        """Return the error for this member, for the caller to raise."""
        return ReportError(type, (*self._loc, name), message, self._values.get(name))


def agreed_count(*places: tuple[Members, tuple[str, ...]]) -> int:
    """Return the count that members in several places state; 0 if none does.

    Where more than one is above 0 they must agree: 0 may only mean "not counted here".
    """
    agreed, stated_as = 0, ""
    for members, names in places:
        if members._values.keys().isdisjoint(names):  # many times for each call
            continue
        for name in names:
            if (value := members._values.get(name)) is None:
                continue
            count = as_count(value, (*members._loc, name))
            if agreed and count and count != agreed:
                message = f"Input should be {agreed}, as {stated_as} counts the same tokens"
                raise members.error("value_error", name, message)
            if count:
                agreed, stated_as = count, name
    return agreed


def as_count(value: object, loc: Location) -> int:
    """Return a JSON value as a count of something; null is 0."""
    if value is None:
        return 0
    if type(value) is int:
        count = value
    # `12.0` is a count: JavaScript and some encoders do not tell it from `12`.
    elif isinstance(value, float | Decimal) and -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX:
        count = int(value)
        if count != value:
            raise ReportError("int_from_float", loc, "Input should be a whole number", value)
    else:
        raise ReportError("int_type", loc, "Input should be a valid integer", value)
    if count < 0:
        message = "Input should be greater than or equal to 0"
        raise ReportError("greater_than_equal", loc, message, value)
    if count > SAFE_INTEGER_MAX:
        message = f"Input should be less than or equal to {SAFE_INTEGER_MAX}"
        raise ReportError("less_than_equal", loc, message, value)
    return count


def as_amount(value: object, loc: Location) -> Decimal | None:
    """Return a JSON number as a decimal, exact through its shortest text; null is None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ReportError("float_type", loc, "Input should be a valid number", value)
    if not 0 <= value <= AMOUNT_MAX:  # nor NaN
        message = f"Input should be between 0 and {AMOUNT_MAX}"
        raise ReportError("greater_than_equal", loc, message, value)
    return Decimal(str(value))
