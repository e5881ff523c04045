"""Whether arguments are what a tool's JSON Schema asks for.

Schemas come from foreign servers, and none must be able to hold up this one. So
they fetch nothing, their regular expressions are left to the tool's own server,
and a check that grows out of bounds is given up.
"""

from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice

import orjson
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from llmring_site.errors import InvalidInput, issue

_LARGEST = 2**16  # bytes of a schema that is checked here
_MOST_STEPS = 50_000  # keywords applied in one check: a quarter of a second
_MOST_ISSUES = 20
_LONGEST_MESSAGE = 500
_TYPES = {
    "string": "string_type",
    "integer": "int_type",
    "number": "float_type",
    "boolean": "bool_type",
    "array": "list_type",
    "object": "dict_type",
}

_steps: ContextVar[int] = ContextVar("steps", default=0)


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
    _steps.set(0)
    try:
        found = list(islice(validator.iter_errors(arguments), _MOST_ISSUES))
    except (_TooMuch, Unresolvable, RecursionError):
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
    message = error.message
    if len(message) > _LONGEST_MESSAGE:  # it repeats what does not fit
        message = f"{message[:_LONGEST_MESSAGE]}…"
    return issue(kind, [*loc, *error.absolute_path], message, error.instance)


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
    try:
        base.check_schema(schema)
    except (SchemaError, RecursionError):
        return None
    return _careful(base)(schema, registry=Registry())


@lru_cache
def _careful(base: type[Validator]) -> type[Validator]:
    own = {
        "required": _required,
        "uniqueItems": _unique_items,
        "additionalProperties": _without_patterns(base.VALIDATORS["additionalProperties"]),
        **dict.fromkeys(("pattern", "patternProperties", "unevaluatedProperties"), _nothing),
    }
    keywords = {name: _counted(own.get(name, apply)) for name, apply in base.VALIDATORS.items()}
    return validators.extend(base, keywords)


def _counted(apply):
    def counted(validator, value, instance, schema) -> Iterator[ValidationError]:
        cost = len(value) if isinstance(value, list) else 1
        _steps.set(_steps.get() + cost)
        if _steps.get() > _MOST_STEPS:
            raise _TooMuch
        yield from apply(validator, value, instance, schema) or ()

    return counted


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
