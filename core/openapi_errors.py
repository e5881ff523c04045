"""The errors of operations in the OpenAPI document, as core/errors.py writes them."""

from collections.abc import Iterator

from core.errors import is_coded

_DETAIL = {
    "type": "object",
    "properties": {"detail": {"type": "string"}},
    "required": ["detail"],
}
_ISSUES = {
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "loc": {"type": "array", "items": {}},
                    "msg": {"type": "string"},
                    "input": {},
                    "ctx": {"type": "object"},
                },
                "required": ["type", "loc", "msg", "input"],
            },
        }
    },
    "required": ["detail"],
}
# Of all views but those that report the server's state.
REFUSALS = {429: "A limit is reached", 503: "The database does not answer"}
_RETRY_AFTER = {
    "Retry-After": {
        "schema": {"type": "integer"},
        "description": "Seconds. Without it, the same request would be refused again.",
    }
}
_CODED_ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "string"},
        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["error", "code"],
}


def with_common_errors(result, generator, request, public):
    """Add the errors that many operations have; a view declares the others as its `errors`."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Error": _DETAIL, "ValidationError": _ISSUES, "CodedError": _CODED_ERROR}
    for path, operations in result["paths"].items():
        for operation in operations.values():
            for status, description in _common_errors(path, operation):
                if status == 422 and is_coded(path):
                    status = 400
                reply = error_response(path, status, description)
                operation["responses"].setdefault(str(status), reply)
            if _has_header(operation, "If-None-Match"):
                unchanged = {"description": "Nothing has changed"}
                operation["responses"]["304"] = operation["responses"]["200"] | unchanged
                del operation["responses"]["304"]["content"]
                outdated = {"description": "Not the version of `If-Match`"}
                operation["responses"]["412"] = operation["responses"]["304"] | outdated
    return result


def _common_errors(path: str, operation: dict) -> Iterator[tuple[int, str]]:
    """Yield status and meaning of the errors that the form of an operation implies."""
    if any(operation.get("security", [])):  # public routes have one empty alternative
        yield 401, "Key missing or refused"
        yield 403, "Not permitted"
    if "{" in path:
        yield 404, "Not found"
    if operation.get("parameters") or operation.get("requestBody"):
        yield 422, "Malformed input"
        yield 400, "Unreadable"
    if operation.get("requestBody"):
        yield 413, "Body too large"
        yield 415, "Content-Encoding other than gzip, deflate or zstd"
    if _has_header(operation, "Idempotency-Key"):
        yield 409, "Key used for another request"


def _has_header(operation: dict, name: str) -> bool:
    return any(each["name"] == name for each in operation.get("parameters", ()))


def error_response(path: str, status: int, description: str) -> dict:
    """Return the description of an error, in the shape of errors at the path."""
    schema = "ValidationError" if status == 422 else "Error"
    if is_coded(path):
        schema = "CodedError"
    return json_response(schema, status, description)


def json_response(schema: str, status: int, description: str) -> dict:
    """Return the description of a reply that is JSON of this component."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    reply = {"description": description, "content": {"application/json": {"schema": reference}}}
    return reply | ({"headers": _RETRY_AFTER} if status in (429, 503) else {})
