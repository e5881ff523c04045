"""The `Mcp-Param-…` headers, which repeat the arguments that a tool's schema annotates.

Source: MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters".
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from mcp.client import protocol

ANNOTATION = "x-mcp-header"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_TYPES = ("string", "integer", "boolean")
# Keywords whose values are schemas, lists of schemas, and maps of schemas.
_SINGLE = {
    *("items", "contains", "unevaluatedItems", "additionalProperties", "propertyNames"),
    *("unevaluatedProperties", "not", "if", "then", "else", "contentSchema"),
}
_LISTS = {"allOf", "anyOf", "oneOf", "prefixItems"}
_MAPS = {"patternProperties", "dependentSchemas", "$defs", "definitions"}

Path = tuple[str, ...]


def invalid_reason(schema: object) -> str | None:
    """Return why the annotations of a tool's schema are invalid, or None."""
    seen: set[str] = set()
    for path, inner in _schemas_in(schema):
        if ANNOTATION not in inner:
            continue
        token = inner[ANNOTATION]
        if not path:
            return f"{ANNOTATION} stands where no argument is"
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return f"{ANNOTATION} is not the name of a header"
        if inner.get("type") not in _TYPES:
            return f"{ANNOTATION} annotates an argument that is not a string, integer or boolean"
        if token.lower() in seen:
            return f"{ANNOTATION} names a header twice"
        seen.add(token.lower())
    return None


def headers_for(schema: object, arguments: dict) -> dict[str, str]:
    """Return the headers of a call with these arguments."""
    headers = {}
    for path, token, _ in _annotated(schema):
        text = _text(_value_at(arguments, path))
        if text is not None:
            headers[f"Mcp-Param-{token}"] = protocol.header_value(text)
    return headers


def mismatch(schema: object, arguments: dict, headers: Mapping[str, str]) -> str | None:
    """Return which header differs from its argument, or is absent or superfluous, or None."""
    if invalid_reason(schema) is not None:
        return None  # such a tool is not offered
    for path, token, inner in _annotated(schema):
        name = f"Mcp-Param-{token}"
        sent = headers.get(name)
        text = _text(_value_at(arguments, path))
        if (sent is None) != (text is None):
            return f"{name} is {'missing' if sent is None else 'sent without its argument'}"
        if sent is not None and not _is_equal(inner["type"], protocol.header_text(sent), text):
            return f"{name} is not what the message says"
    return None


def _annotated(schema: object) -> Iterator[tuple[Path, str, dict]]:
    for path, inner in _schemas_in(schema):
        token = inner.get(ANNOTATION)
        if path and isinstance(token, str) and _TOKEN.fullmatch(token):
            yield path, token, inner


def _schemas_in(root: object) -> Iterator[tuple[Path, dict]]:
    """Yield every schema in a schema, with its path through `properties` alone.

    The path is empty for the root, and for schemas that other keywords lead to.
    """
    stack: list[tuple[Path, bool, object]] = [((), True, root)]
    while stack:
        path, is_reachable, schema = stack.pop()
        if not isinstance(schema, dict):
            continue
        yield (path if is_reachable else ()), schema
        for keyword, value in schema.items():
            if keyword == "properties" and isinstance(value, dict):
                stack += [((*path, name), is_reachable, each) for name, each in value.items()]
            elif keyword in _SINGLE:
                stack.append(((), False, value))
            elif keyword in _LISTS and isinstance(value, list):
                stack += [((), False, each) for each in value]
            elif keyword in _MAPS and isinstance(value, dict):
                stack += [((), False, each) for each in value.values()]


def _value_at(arguments: object, path: Path) -> object:
    for name in path:
        if not isinstance(arguments, dict):
            return None
        arguments = arguments.get(name)
    return arguments


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float | Decimal) else None


def _is_equal(type: str, sent: str | None, text: str) -> bool:
    if sent == text or type != "integer" or sent is None:
        return sent == text
    try:
        return Decimal(sent) == Decimal(text)  # 42.0 is 42
    except ArithmeticError:
        return False
