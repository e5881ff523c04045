"""Repair the items that MCP servers offer, so that every client accepts them.

Clients refuse a whole list for one invalid member. The models here are as strict as the
strictest SDK is in each place (TypeScript and Python, 1.x and 2.x); members that are
unknown here pass as they are.
"""

import copy
import re
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from core.parsing import MAX_FAULTS
from mcp import param_headers
from mcp.models import Item, Prompt, Resource, Tool

UI_SCHEME = "ui://"  # of MCP Apps, whose hosts know resources by this address
_MAX_ROUNDS = 10  # of repairs; an item that needs more is left out
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_any_url = TypeAdapter(AnyUrl)


def _refuse_null(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("null", "Input should not be null")
    return value


def _offerable_uri(value: str) -> str:
    # It is offered behind the prefix of its server and a plus sign; `ui://` is as valid alone.
    _any_url.validate_python(f"s+{value}")
    return value


def _time(value: str) -> str:
    if not _TIME.fullmatch(value):
        raise PydanticCustomError("time", "Input should be an ISO 8601 time with offset")
    return value


def _with_valid_headers(schema: Any) -> Any:
    if reason := param_headers.invalid_reason(schema):
        raise PydanticCustomError("headers", "{reason}", {"reason": reason})
    return schema


def _optional(type: Any) -> Any:
    """Return the type of a member that may be absent, but not null."""
    return Annotated[type | None, BeforeValidator(_refuse_null)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Icon(_Strict):
    src: str
    mimeType: _optional(str) = None
    sizes: _optional(list[str]) = None
    theme: _optional(Literal["light", "dark"]) = None


class _Annotations(_Strict):
    audience: _optional(list[Literal["user", "assistant"]]) = None
    priority: _optional(Annotated[float, Field(ge=0, le=1)]) = None
    lastModified: _optional(Annotated[str, AfterValidator(_time)]) = None


class _ToolAnnotations(_Strict):
    title: _optional(str) = None
    readOnlyHint: _optional(bool) = None
    destructiveHint: _optional(bool) = None
    idempotentHint: _optional(bool) = None
    openWorldHint: _optional(bool) = None


class _Execution(_Strict):
    taskSupport: _optional(Literal["required", "optional", "forbidden"]) = None


class _AnySchema(_Strict):
    dialect: _optional(str) = Field(None, alias="$schema")


class _ObjectSchema(_AnySchema):
    type: Literal["object"]
    properties: _optional(dict[str, dict[str, Any]]) = None
    required: _optional(list[str]) = None


class _Item(_Strict):
    title: _optional(str) = None
    description: _optional(str) = None
    icons: _optional(list[_Icon]) = None
    meta: _optional(dict[str, Any]) = Field(None, alias="_meta")


class _Tool(_Item):
    name: Annotated[str, Field(min_length=1)]
    inputSchema: Annotated[_ObjectSchema, BeforeValidator(_with_valid_headers)]
    outputSchema: _optional(_ObjectSchema) = None
    annotations: _optional(_ToolAnnotations) = None
    execution: _optional(_Execution) = None


class _ToolOfAnyOutput(_Tool):
    """Structured content need not be an object from 2026-07-28 on."""

    outputSchema: _optional(_AnySchema) = None


class _Resource(_Item):
    uri: Annotated[str, Field(min_length=1), AfterValidator(_offerable_uri)]
    name: str
    mimeType: _optional(str) = None
    size: _optional(int) = None
    annotations: _optional(_Annotations) = None


class _ResourceTemplate(_Item):
    uriTemplate: Annotated[str, Field(min_length=1)]
    name: str
    mimeType: _optional(str) = None
    annotations: _optional(_Annotations) = None


class _Argument(_Strict):
    name: str
    title: _optional(str) = None
    description: _optional(str) = None
    required: _optional(bool) = None


class _Prompt(_Item):
    name: Annotated[str, Field(min_length=1)]
    arguments: _optional(list[_Argument]) = None


Repaired = tuple[dict | None, list[str]]


def needs_repair(row: Item) -> bool:
    """Return whether clients would refuse the item as it is stored."""
    item = row.as_mcp()
    return _REPAIRS[type(row)](item)[0] != item


def repaired(row: Item) -> dict | None:
    """Return the item as it can be offered, under its own name, or None."""
    item = row.as_mcp()
    return _REPAIRS[type(row)](item)[0] if row.needs_repair else item


def repair_tool(item: dict) -> Repaired:
    """Return the tool as it can be offered, and what was removed; None if it cannot be."""
    item = dict(item)
    if isinstance(item.get("inputSchema"), dict):
        item["inputSchema"] = _plain_object_schema(item["inputSchema"])
    output = item.get("outputSchema")
    has_object = isinstance(output, dict) and output.get("type") == "object"
    if has_object:
        item["outputSchema"] = _plain_object_schema(output)
    return _repair(_Tool if has_object else _ToolOfAnyOutput, item)


def repair_resource(item: dict) -> Repaired:
    """Return the resource as it can be offered, like `repair_tool`."""
    return _repair(_Resource, _named(item, "uri"))


def repair_template(item: dict) -> Repaired:
    """Return the resource template as it can be offered, like `repair_tool`."""
    return _repair(_ResourceTemplate, _named(item, "uriTemplate"))


def repair_prompt(item: dict) -> Repaired:
    """Return the prompt as it can be offered, like `repair_tool`."""
    arguments = item.get("arguments")
    if isinstance(arguments, dict):  # a map from names, as some servers have it
        listed = [
            {**(each if isinstance(each, dict) else {}), "name": name}
            for name, each in arguments.items()
        ]
        item = {**item, "arguments": listed}
    return _repair(_Prompt, item)


_REPAIRS = {Tool: repair_tool, Resource: repair_resource, Prompt: repair_prompt}


def _named(item: dict, key: str) -> dict:
    has_name = isinstance(item.get("name"), str) and item["name"]
    return item if has_name else {**item, "name": item.get(key)}


def _plain_object_schema(schema: dict) -> dict:
    """Return the schema as one of an object whose properties have no booleans for schemas."""
    schema = {**schema, "type": "object"}
    properties = schema.get("properties")
    if isinstance(properties, dict):
        plain = {True: {}, False: {"not": {}}}
        schema["properties"] = {
            name: plain[inner] if isinstance(inner, bool) else inner
            for name, inner in properties.items()
        }
    return schema


def _repair(model: type[_Strict], item: dict) -> Repaired:
    """Remove invalid members until the item is valid, or a required one is missing."""
    notes: list[str] = []
    item = {name: value for name, value in item.items() if value is not None}
    for _ in range(_MAX_ROUNDS):
        try:
            model.model_validate(item)
            return item, notes
        except ValidationError as error:
            if (count := error.error_count()) > MAX_FAULTS:
                return None, [*notes, f"{count} faults"]
            issues = error.errors(include_url=False, include_input=False)
        if not notes:
            item = copy.deepcopy(item)
        for issue in reversed(issues):  # of a list, the last item first
            path = issue["loc"][:-1] if issue["type"] == "missing" else issue["loc"]
            if not path:
                return None, [*notes, f"{issue['loc'][0]} is missing"]
            notes.append(f"{'.'.join(map(str, path))}: {issue['msg']}")
            _remove(item, path)
    return None, notes


def _remove(item: Any, path: tuple[str | int, ...]) -> None:
    with suppress(LookupError):  # removed together with what it stood in
        for part in path[:-1]:
            item = item[part]
        del item[path[-1]]
