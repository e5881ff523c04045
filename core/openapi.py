"""What the OpenAPI document says beyond what drf-spectacular finds out by itself."""


def without_trailing_slashes(result, generator, request, public):
    """Both spellings of every path are served; the document shows the shorter one."""
    result["paths"] = {path.rstrip("/") or "/": found for path, found in result["paths"].items()}
    return result


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


def with_common_errors(result, generator, request, public):
    """401 for every route that needs a key, 422 for every route that takes input."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Error": _DETAIL, "ValidationError": _ISSUES}
    for operations in result["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            if any(operation.get("security", [])):  # public routes have one empty alternative
                responses.setdefault("401", _error_response("Key missing or refused", "Error"))
            if operation.get("parameters") or operation.get("requestBody"):
                responses.setdefault("422", _error_response("Malformed input", "ValidationError"))
    return result


def _error_response(description: str, schema: str) -> dict:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}
