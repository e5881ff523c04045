"""Parsing bodies and query strings into the models of core/schemas.py.

Errors are the API's 422 entries (docs/http-contract.md, sections "Errors" and "Values").
"""

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticKnownError

from core import exact_json, memory
from core.errors import BodyTooLarge, InvalidInput, issue

MAX_ISSUES = 100  # entries of one 422 reply
MAX_PARAMETERS = 1_000  # of a query
# pydantic lists all or none, and lets no other thread run meanwhile: 20 ms for each thousand.
MAX_FAULTS = 5_000
_LISTS = (list[str], list[str] | None)
_NOT_AN_OBJECT = PydanticKnownError("model_attributes_type")
Model = TypeVar("Model", bound=BaseModel)


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
        text = exact_json.decode_text(body)
        return validate(model, text, loc=loc)  # refused: not an object
    with memory.gc_paused_for(body):
        value = exact_json.loads(body, unique_members=unique_members, loc=loc)
        return validate(model, value, loc=loc)


def is_json(content_type: str) -> bool:
    """Return whether a body of this `Content-Type` is read as JSON."""
    kind = content_type.split(";", 1)[0].strip().lower()
    return kind in ("", "*/*", "application/json") or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def validate(model: type[Model], value: object, *, loc: Sequence = ("body",)) -> Model:
    """Return the model of a JSON value. Raises InvalidInput."""
    try:
        # Never from attributes: a long number is a Decimal, which pydantic would read so.
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(_with_missing(model, value, issues(error, loc), loc)) from None


def _with_missing(model: type, value: object, entries: list[dict], loc: Sequence) -> list[dict]:
    """Return the entries with one for each member that this value in particular lacks."""
    names_of = getattr(model, "conditionally_missing", None)
    names = names_of(value) if names_of and isinstance(value, dict) else []
    missing = [issue("missing", [*loc, name], "Field required", value) for name in names]
    places = [entry["loc"] for entry in missing]
    return [entry for entry in entries if entry["loc"] not in places] + missing


def parse_query(model: type[Model], query_string: str) -> Model:
    """Return the model of a query string. Raises InvalidInput.

    An empty value means that the parameter was not sent. Of repeated parameters a list
    takes all values, anything else the last one.
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


def _too_many_parameters() -> dict:
    message = f"A query should have at most {MAX_PARAMETERS} parameters"
    return issue("too_many_parameters", ["query"], message, None, max_length=MAX_PARAMETERS)


def issues(error: ValidationError, loc: Sequence) -> list[dict]:
    """Return the first 422 entries of a validation error; `loc` is the value's location."""
    if (count := error.error_count()) > MAX_FAULTS:
        return [issue("too_many_errors", [*loc], f"Input has {count} faults", None)]
    return [_entry(entry, loc) for entry in error.errors(include_url=False)[:MAX_ISSUES]]


def _entry(entry: dict, loc: Sequence) -> dict:
    if entry["type"] == "model_type":  # the contract's words, without the name of a class
        entry = {**entry, "type": _NOT_AN_OBJECT.type, "msg": _NOT_AN_OBJECT.message(), "ctx": {}}
    context = dict(entry.get("ctx") or {})
    below, input = context.pop("_at", ((), entry["input"]))
    context = {
        name: str(value) if isinstance(value, Exception) else value
        for name, value in context.items()
    }
    return issue(entry["type"], [*loc, *entry["loc"], *below], entry["msg"], input, **context)
