"""Replies are what `/openapi.json` says: no member more, none of another type."""

import gzip
import json
import re
from functools import cache
from urllib.parse import quote

from drf_spectacular.generators import SchemaGenerator
from jsonschema_rs import Draft202012Validator, Registry

from tests.error_codes import listed

# A method that the document does not have, a body that nobody asked for, a bug.
_OF_EVERY_SERVER = (405, 413, 415, 500)
# What clients read beside the body; limits and ids are said of all replies in the documents.
_FOR_CLIENTS = {
    "ETag",
    "Link",
    "Retry-After",
    "X-Alias-Revision",
    "X-Corrected-By",
    "X-Next-Cursor",
}

_ADDRESS = "urn:openapi"


@cache
def document() -> dict:
    # By its name: a test may have put other routes in its place.
    return SchemaGenerator(urlconf="llmring_site.urls").get_schema(public=True)


@cache
def _routes() -> list[tuple[re.Pattern, dict]]:
    """The paths of the document, those without variables first."""
    paths = sorted(document()["paths"].items(), key=lambda item: item[0].count("{"))
    return [
        (re.compile("[^/]+".join(map(re.escape, re.split(r"\{\w+\}", path))) + "/?"), operations)
        for path, operations in paths
    ]


def operation(method: str, path: str) -> dict | None:
    """The documented operation of a request; None for pages that are no part of the API.

    What is served with and without the version's prefix is documented with it.
    """
    if re.match(r"/projects(/|$)", path):
        return None  # pages for people; the API's projects have the prefix alone
    for spelling in (path, f"/api/v1{path}"):
        for pattern, operations in _routes():
            if pattern.fullmatch(spelling) and method.lower() in operations:
                return operations[method.lower()]
    return None


def is_for_keys(operation: dict) -> bool:
    """Whether keys open it; what people alone may do is told in tests/people."""
    return any("ApiKey" in alternative for alternative in operation.get("security", []))


def examples(operation: dict) -> list:
    """The bodies that the document shows."""
    content = operation.get("requestBody", {}).get("content", {})
    found = content.get("application/json", {}).get("examples", {})
    return [example["value"] for example in found.values()]


def members(operation: dict) -> dict[str, dict]:
    """The members of the body that an operation takes, by their names."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return document()["components"]["schemas"].get(name, schema).get("properties", {})


def check(method: str, path: str, response) -> None:
    """Fails when a reply is not as documented. Pages are no part of the document."""
    found = operation(method, path)
    if found is None or getattr(response, "streaming", False):
        return
    if path.startswith("/manage/") and response.status_code >= 400:
        code = json.loads(response.content)["code"]
        assert str(response.status_code) in listed("## Management API").get(code, ()), code
    if response.status_code in _OF_EVERY_SERVER:
        return
    kind = response.headers.get("Content-Type", "").split(";")[0]
    if response.status_code in (301, 302) or kind == "text/html":
        return
    place = f"{method} {path}"
    documented = found["responses"].get(str(response.status_code))
    assert documented, (
        f"{place}: {response.status_code} is not documented: {response.content[:200]!r}"
    )
    assert not response.content or kind in documented["content"], f"{place}: {kind} is undocumented"
    undocumented = _FOR_CLIENTS & set(response.headers) - set(documented.get("headers", ()))
    assert not undocumented, f"{place}: {undocumented} in {response.status_code} are undocumented"
    if response.content and kind == "application/json":
        validator = _validator(found["operationId"], response.status_code)
        examples = documented["content"][kind].get("examples", {}).values()
        is_coded = response.headers.get("Content-Encoding") == "gzip"
        body = gzip.decompress(response.content) if is_coded else response.content
        reply = json.loads(body)
        error = next(validator.iter_errors(reply), None)
        assert error is None, f"{place}: {error.instance_path}: {error.message[:500]}"
        for example in (example["value"] for example in examples):
            if "message" in example:  # each route has one text
                assert reply["message"] == example["message"], place


@cache
def _validator(operation_id: str, status: int) -> Draft202012Validator:
    path, method = next(
        (path, method)
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
        if operation["operationId"] == operation_id
    )
    place = quote(path.replace("/", "~1"))
    schema = f"#/paths/{place}/{method}/responses/{status}/content/application~1json/schema"
    return Draft202012Validator({"$ref": _ADDRESS + schema}, registry=_closed_document())


@cache
def _closed_document() -> Registry:
    # Compiled when they are used: each schema with all components would take 10 ms.
    return Registry([(_ADDRESS, _closed(document()))])


def _closed(schema: object) -> object:
    """The schema, with objects that have no member beyond those described."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(inner) for name, inner in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
