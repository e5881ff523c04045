"""The examples of the API documents are right when they are sent as they are."""

import pytest

from tests import openapi


def examples() -> list[tuple[str, str, dict]]:
    return [
        (method.upper(), path, example["value"])
        for path, operations in openapi.document()["paths"].items()
        if path.startswith(("/api/v1/conversations", "/api/v1/templates"))
        for method, operation in operations.items()
        for media in operation.get("requestBody", {}).get("content", {}).values()
        for example in media.get("examples", {}).values()
    ]


def test_every_body_has_an_example_that_is_accepted(api):
    template = {"name": "t", "variables": {"language": "Python"}}
    ids = {
        "conversation_id": api.send("POST", "/conversations", {})["id"],
        "template_id": api.send("POST", "/api/v1/templates", template)["id"],
    }
    sent = [(method, path) for method, path, _ in examples()]
    assert sorted(sent) == [
        ("PATCH", "/api/v1/conversations/{conversation_id}"),
        ("POST", "/api/v1/conversations"),
        ("POST", "/api/v1/conversations/import"),
        ("POST", "/api/v1/conversations/log"),
        ("POST", "/api/v1/conversations/{conversation_id}/messages"),
        ("POST", "/api/v1/conversations/{conversation_id}/messages/batch"),
        ("POST", "/api/v1/templates"),
        ("POST", "/api/v1/templates/{template_id}/use"),
        ("PUT", "/api/v1/templates/{template_id}"),
    ]
    for method, path, body in examples():
        api.send(method, path.format(**ids), body)


@pytest.mark.parametrize("schema", ["ChatMessageRequest", "NewMessageRequest", "Message"])
def test_messages_are_described_with_members_of_providers(schema):
    result = openapi.document()["components"]["schemas"][schema]
    assert result["additionalProperties"] is not False
    assert {"role", "content", "tool_calls", "tool_call_id", "name"} <= result["properties"].keys()
