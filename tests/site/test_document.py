"""`/openapi.json` itself: its schemas are valid, and its examples are what they describe."""

from collections import Counter
from collections.abc import Iterable, Iterator

import jsonschema_rs
import pytest

from tests import openapi

_DATA = ("example", "examples", "default", "enum", "const")


def objects(value: object) -> Iterator[dict]:
    """Every object of the document, at any depth, but for those that are examples and the like."""
    if isinstance(value, dict):
        yield value
        for name, inner in value.items():
            if name not in _DATA:
                yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


@pytest.fixture(scope="module")
def schemas() -> list[dict]:
    document = openapi.document()
    declared = [each["schema"] for each in objects(document["paths"]) if "schema" in each]
    found = objects([*document["components"]["schemas"].values(), *declared])
    # The others are maps of properties, one of which may be called `type`.
    return [each for each in found if {"$ref", "anyOf"} & each.keys() or is_type(each.get("type"))]


def is_type(value: object) -> bool:
    return isinstance(value, str | list)


def faults(schema: dict, value: object) -> list[str]:
    components = {"components": openapi.document()["components"]}
    validator = jsonschema_rs.Draft202012Validator({**schema, **components})
    return [error.message for error in validator.iter_errors(value)]


def test_schemas_are_valid_and_describe_the_items_of_arrays(schemas):
    assert len(schemas) > 1000
    for schema in schemas:
        jsonschema_rs.meta.validate(schema)
        assert schema.get("type") != "array" or "items" in schema, schema


@pytest.mark.slow
def test_defaults_and_examples_are_as_described(schemas):
    for schema in schemas:
        stated = [schema["default"]] if "default" in schema else []
        for value in [*stated, *schema.get("examples", ())]:
            assert not faults(schema, value), (value, schema)


@pytest.mark.slow
def test_examples_of_bodies_and_replies_are_as_described():
    found = [each["content"] for each in objects(openapi.document()) if "content" in each]
    contents = [media for content in found for media in content.values() if "schema" in media]
    assert len(contents) > 500
    for content in contents:
        for name, example in content.get("examples", {}).items():
            assert not faults(content["schema"], example["value"]), (name, content["schema"])


@pytest.mark.parametrize(
    ("method", "path", "status", "members"),
    [
        ("POST", "/api/v1/projects/p/archive", 200, {"archived_at": "2026-02-01T10:00:00Z"}),
        ("POST", "/api/v1/projects/p/hand-over", 200, {"role": "owner"}),
        ("DELETE", "/api/v1/projects/p/invitations/i", 200, {"status": "withdrawn"}),
        ("POST", "/api/v1/keys", 200, {"last_used_at": None, "cost_this_month": "0"}),
        ("POST", "/api/v1/keys/k/revoke", 200, {"state": "revoked"}),
        ("POST", "/api/v1/auth/logout", 200, {"message": "Logged out."}),
        ("POST", "/manage/tokens", 201, {"request_count": 0, "spent_usd": 0}),
        ("GET", "/health", 200, {"status": "healthy", "database": "connected"}),
        ("GET", "/health", 503, {"status": "unhealthy", "database": "disconnected"}),
    ],
)
def test_examples_of_replies_show_what_the_route_has_done(method, path, status, members):
    reply = openapi.operation(method, path)["responses"][str(status)]
    [example] = reply["content"]["application/json"]["examples"].values()
    assert {name: example["value"][name] for name in members} == members


def test_members_of_changes_have_no_defaults_of_creations():
    schemas = openapi.document()["components"]["schemas"]
    for name in ("ConversationChangesRequest", "TemplateChangesRequest"):
        texts = [each.get("description", "") for each in schemas[name]["properties"].values()]
        assert not [text for text in texts if "when absent" in text]
    assert "Masked" not in str(schemas["IssuedToken"]["properties"]["token"])


def test_lines_of_json_are_one_text_whose_lines_are_described():
    paths = openapi.document()["paths"]
    sent = paths["/api/v1/log/batch"]["post"]["requestBody"]
    received = paths["/api/v1/logs/export"]["get"]["responses"]["200"]
    for content, line in (sent, "LogEntryRequest"), (received, "ExportedLog"):
        assert content["content"]["application/x-ndjson"]["schema"] == {
            "type": "string",
            "contentMediaType": "application/x-ndjson",
            "contentSchema": {
                "type": "array",
                "items": {"$ref": f"#/components/schemas/{line}"},
            },
        }


def test_ids_of_rows_are_of_the_type_that_their_paths_have(ours):
    for path, methods in openapi.document()["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] in ours:
                    id = ours[parameter["name"]]
                    validator = jsonschema_rs.Draft202012Validator(
                        parameter["schema"], validate_formats=True
                    )
                    assert validator.is_valid(id if isinstance(id, int) else str(id)), (path, id)


def spelled_twice(names: Iterable[str]) -> set[str]:
    """The names that are one in a language that writes all of its names in one case."""
    counts = Counter(name.replace("_", "").lower() for name in names)
    return {name for name, count in counts.items() if count > 1}


def test_generated_clients_can_tell_names_apart():
    """What can be spelled in two ways is described in one: a generated class would lose one."""
    document = openapi.document()
    for name, schema in document["components"]["schemas"].items():
        assert not spelled_twice(schema.get("properties", ())), name
    for path, methods in document["paths"].items():
        for operation in methods.values():
            parameters = operation.get("parameters", ())
            assert not spelled_twice(each["name"] for each in parameters), path


@pytest.mark.parametrize("form", ["FlatReceipt", "NestedReceipt"])
def test_generated_clients_keep_signed_receipts_as_they_are(form):
    """What has a format is parsed, and written again in another spelling, by many of them."""
    for name in (form, f"{form}Request"):
        schema = openapi.document()["components"]["schemas"][name]
        assert not [each for each in objects(schema) if "format" in each], name


def test_operations_have_names_that_a_generated_client_can_use():
    paths = openapi.document()["paths"]
    for path, methods in paths.items():
        for operation in methods.values():
            assert operation["operationId"].isidentifier(), path


def test_conditional_requests_ids_and_common_errors_are_described():
    paths = openapi.document()["paths"]
    assert "304" in paths["/registry.json"]["get"]["responses"]
    [id, *_] = paths["/api/v1/conversations/{conversation_id}"]["get"]["parameters"]
    assert id["schema"] == {"type": "string", "format": "uuid"}
    conflict = paths["/manage/projects"]["post"]["responses"]["409"]
    assert conflict["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/CodedError"
    }


def test_what_reports_the_state_is_never_refused_and_bodies_have_codings():
    paths = openapi.document()["paths"]
    assert paths["/health"]["get"]["responses"].keys() == {"200", "503"}
    assert paths["/live"]["get"]["responses"].keys() == {"200"}
    assert paths["/ready"]["get"]["responses"].keys() == {"200", "503"}
    assert {"429", "503"} <= paths["/"]["get"]["responses"].keys()
    assert "415" in paths["/api/v1/log"]["post"]["responses"]
    assert "415" not in paths["/api/v1/logs"]["get"]["responses"]
