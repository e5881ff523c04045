"""Whether arguments are what a tool's JSON Schema asks for.

Schemas come from foreign servers, and none must be able to hold up this one. So
they fetch nothing, their regular expressions are left to the tool's own server,
and a check that grows out of bounds, or that the library stumbles in, is given up.
"""

from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice

import attrs
import orjson
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from referencing import Registry

from core.errors import InvalidInput, issue

_LARGEST = 2**16  # bytes of a schema that is checked here
_MOST_STEPS = 50_000  # of one check: a quarter of a second or two
_MOST_STEPS_OF_SCHEMA = 500_000  # to see whether a schema is one, which is remembered
_MOST_ISSUES = 20
_LONGEST_MESSAGE = 500
_LONGEST_NAME = 1000  # of an argument
_TYPES = {
    "string": "string_type",
    "integer": "int_type",
    "number": "float_type",
    "boolean": "bool_type",
    "array": "list_type",
    "object": "dict_type",
}

_steps_left: ContextVar[int] = ContextVar("steps_left", default=0)


class _TooMuch(Exception):
    """The schema makes more work than the check is worth."""


def check(schema: dict, arguments: dict, *, loc: list) -> None:
    """Raises InvalidInput with the path of each argument that does not fit, below `loc`.

    A schema that is none, or cannot be followed, admits everything: the tool's
    server decides.
    """
    validator = _validator(orjson.dumps(schema))
    if validator is None:
        return
    _steps_left.set(_MOST_STEPS)
    try:
        found = list(islice(validator.iter_errors(_briefly_shown(arguments)), _MOST_ISSUES))
    except Exception:  # where a reference leads is no valid schema: anything may go wrong
        return
    if found:
        raise InvalidInput([_issue(error, loc) for error in found])


def _issue(error: ValidationError, loc: list) -> dict:
    kind = "json_schema"
    if error.validator == "type" and isinstance(error.validator_value, str):
        kind = _TYPES.get(error.validator_value, kind)
    elif error.validator == "required":
        kind = "missing"
    elif error.validator == "additionalProperties":
        kind = "extra_forbidden"
    return issue(kind, [*loc, *error.absolute_path], error.message, error.instance)


@lru_cache(maxsize=256)
def _validator(schema_text: bytes) -> Validator | None:
    """What checks by this schema; None if nothing can."""
    if len(schema_text) > _LARGEST:
        return None
    schema = orjson.loads(schema_text)
    dialect = schema.get("$schema")
    base = Draft202012Validator
    if isinstance(dialect, str):
        base = validators.validator_for(schema, default=base)
    _steps_left.set(_MOST_STEPS_OF_SCHEMA)
    try:
        if not _careful(base)(base.META_SCHEMA).is_valid(schema):
            return None
        return _careful(base)(schema, registry=Registry())
    except Exception:  # of identifiers that are no addresses, for one
        return None


@lru_cache
def _careful(base: type[Validator]) -> type[Validator]:
    left_out = ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems")
    own = {
        "required": _required,
        "uniqueItems": _unique_items,
        "additionalProperties": _without_patterns(base.VALIDATORS["additionalProperties"]),
        **dict.fromkeys(left_out, _nothing),
    }
    keywords = {
        name: _counted(own.get(name, apply), compares=name in ("enum", "const"))
        for name, apply in base.VALIDATORS.items()
    }
    careful = validators.extend(base, keywords)
    # The library's own goes over to its careless classes where a schema has `$schema` inside.
    careful.evolve = attrs.evolve
    return careful


def _counted(apply, *, compares: bool):
    """The keyword, paid for with a step for each thing that it may look at."""

    def counted(validator, value, instance, schema) -> Iterator[ValidationError]:
        whole = len(orjson.dumps(value)) // 8 if compares else _size(value)
        _pay(1 + whole + _size(instance))
        for error in apply(validator, value, instance, schema) or ():
            _pay(5 + len(error.message) // 500)
            if len(error.message) > _LONGEST_MESSAGE:  # it repeats what the schema says
                error.message = f"{error.message[:_LONGEST_MESSAGE]}…"
            yield error

    return counted


def _pay(steps: int) -> None:
    _steps_left.set(_steps_left.get() - steps)
    if _steps_left.get() < 0:
        raise _TooMuch


def _size(value: object) -> int:
    return len(value) if isinstance(value, list | dict) else 0


class _Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return repr(str(self)) if len(self) <= 100 else f"{str(self[:100])!r}…"


class _List(list):
    def __repr__(self) -> str:
        return "[…]" if self else "[]"


class _Object(dict):
    def __repr__(self) -> str:
        return "{…}" if self else "{}"


def _briefly_shown(value: object) -> object:
    """The same value. The library's messages repeat it, thousands of times for some schemas."""
    if isinstance(value, str):
        return _Text(value)
    if isinstance(value, list):
        return _List(map(_briefly_shown, value))
    if isinstance(value, dict):
        if any(len(name) > _LONGEST_NAME for name in value):
            raise _TooMuch
        return _Object((name, _briefly_shown(inner)) for name, inner in value.items())
    return value


def _nothing(validator, value, instance, schema) -> tuple:
    return ()


def _without_patterns(apply):
    """Which properties are additional, patterns may decide."""

    def additional(validator, value, instance, schema) -> Iterator[ValidationError]:
        if "patternProperties" not in schema:
            yield from apply(validator, value, instance, schema)

    return additional


def _required(validator, names, instance, schema) -> Iterator[ValidationError]:
    """As the library's, with the missing property at the end of the path."""
    if validator.is_type(instance, "object"):
        for name in names:
            if name not in instance:
                yield ValidationError("Field required", path=[name])


def _unique_items(validator, wanted, instance, schema) -> Iterator[ValidationError]:
    """As the library's, which compares each item with each other one."""
    if wanted and validator.is_type(instance, "array"):
        texts = {orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in instance}
        if len(texts) < len(instance):
            yield ValidationError("Items are not unique")
