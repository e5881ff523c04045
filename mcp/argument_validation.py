"""Validate the arguments of a tool call against the tool's JSON Schema.

Schemas come from MCP servers that are not trusted. They cannot make this server
fetch references or run their regular expressions, and a validation that costs too
much, or that the library fails in, is abandoned: the tool's server validates too.
"""

import json
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

from core import json_writer
from core.errors import InvalidInput, issue

_MAX_SCHEMA_BYTES = 2**16  # larger schemas are not checked
_MAX_STEPS = 40_000  # of one validation: 0.2 to 1.6 seconds
_MAX_STEPS_OF_SCHEMA = 400_000  # to check a schema itself; the result is cached
_MAX_ISSUES = 20
_MAX_MESSAGE_LENGTH = 500
_MAX_NAME_LENGTH = 1000  # of an argument
_TYPES = {
    "string": "string_type",
    "integer": "int_type",
    "number": "float_type",
    "boolean": "bool_type",
    "array": "list_type",
    "object": "dict_type",
}

_steps_left: ContextVar[int] = ContextVar("steps_left", default=0)


class _TooExpensive(Exception):
    """The validation exceeds its budget of steps."""


def check(schema: dict, arguments: dict, *, loc: list) -> None:
    """Raise InvalidInput with the path, below `loc`, of each argument that does not fit.

    An invalid or unusable schema admits everything.
    """
    validator = _validator(json_writer.dumps(schema))
    if validator is None:
        return
    _steps_left.set(_MAX_STEPS)
    try:
        errors = list(islice(validator.iter_errors(_with_short_repr(arguments)), _MAX_ISSUES))
    except Exception:  # a reference may lead to something that is not a schema: anything can fail
        return
    if errors:
        raise InvalidInput([_issue(error, loc) for error in errors])


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
    """Return the cached validator of a schema, or None for one that cannot be used."""
    if len(schema_text) > _MAX_SCHEMA_BYTES:
        return None
    schema = orjson.loads(schema_text)
    dialect = schema.get("$schema")
    base = Draft202012Validator
    if isinstance(dialect, str):
        base = validators.validator_for(schema, default=base)
    _steps_left.set(_MAX_STEPS_OF_SCHEMA)
    try:
        if not _bounded(base)(base.META_SCHEMA).is_valid(schema):
            return None
        return _bounded(base)(schema, registry=Registry())
    except Exception:  # for example on an invalid $id
        return None


@lru_cache
def _bounded(base: type[Validator]) -> type[Validator]:
    """Return the validator class with a step budget and without regular expressions."""
    skipped = ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems")
    replaced = {
        "required": _required,
        "uniqueItems": _unique_items,
        "additionalProperties": _without_patterns(base.VALIDATORS["additionalProperties"]),
        **dict.fromkeys(skipped, _skip),
    }
    keywords = {
        name: _counted(replaced.get(name, apply), compares=name in ("enum", "const"))
        for name, apply in base.VALIDATORS.items()
    }
    bounded = validators.extend(base, keywords)
    # The library's own evolve switches back to its unbounded classes at a nested `$schema`.
    bounded.evolve = attrs.evolve
    return bounded


def _counted(apply, *, compares: bool):
    """Wrap a keyword so that it pays a step for each value that it may look at."""

    def counted(validator, value, instance, schema) -> Iterator[ValidationError]:
        cost = len(json_writer.dumps(value)) // 8 if compares else _size(value)
        _pay(1 + cost + _size(instance))
        for error in apply(validator, value, instance, schema) or ():
            _pay(5 + len(error.message) // 500)
            if len(error.message) > _MAX_MESSAGE_LENGTH:  # it quotes the schema
                error.message = f"{error.message[:_MAX_MESSAGE_LENGTH]}…"
            yield error

    return counted


def _pay(steps: int) -> None:
    _steps_left.set(_steps_left.get() - steps)
    if _steps_left.get() < 0:
        raise _TooExpensive


def _size(value: object) -> int:
    return len(value) if isinstance(value, list | dict) else 0


class _ShortString(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return repr(str(self)) if len(self) <= 100 else f"{str(self[:100])!r}…"


class _ShortList(list):
    def __repr__(self) -> str:
        return "[…]" if self else "[]"


class _ShortDict(dict):
    def __repr__(self) -> str:
        return "{…}" if self else "{}"


def _with_short_repr(value: object) -> object:
    """Return an equal value with a short repr, which messages may quote thousands of times."""
    if isinstance(value, str):
        return _ShortString(value)
    if isinstance(value, list):
        return _ShortList(map(_with_short_repr, value))
    if isinstance(value, dict):
        if any(len(name) > _MAX_NAME_LENGTH for name in value):
            raise _TooExpensive
        return _ShortDict((name, _with_short_repr(inner)) for name, inner in value.items())
    return value


def _skip(validator, value, instance, schema) -> tuple:
    return ()


def _without_patterns(apply):
    """Skip the keyword beside patternProperties, which is not evaluated here."""

    def additional(validator, value, instance, schema) -> Iterator[ValidationError]:
        if "patternProperties" not in schema:
            yield from apply(validator, value, instance, schema)

    return additional


def _required(validator, names, instance, schema) -> Iterator[ValidationError]:
    """Like the library's, with the missing property at the end of the path."""
    if validator.is_type(instance, "object"):
        for name in names:
            if name not in instance:
                yield ValidationError("Field required", path=[name])


def _unique_items(validator, wanted, instance, schema) -> Iterator[ValidationError]:
    """Like the library's, in linear instead of quadratic time."""
    if wanted and validator.is_type(instance, "array"):
        texts = {json.dumps(item, sort_keys=True, default=float) for item in instance}
        if len(texts) < len(instance):
            yield ValidationError("Items are not unique")
