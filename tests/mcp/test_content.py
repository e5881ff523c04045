"""Resources are read and prompts rendered by a call of their server each time."""

import pytest

from tests.mcp.peers.scripted import hang, scripted

pytestmark = pytest.mark.django_db

TEXT = {"uri": "x:1", "mimeType": "text/plain", "text": "first"}
IMAGE = {"uri": "x:1", "mimeType": "image/png", "blob": "iVBO"}


@pytest.fixture
def path(api, register):
    """A function: the path of the only item of a kind of a server."""

    def path(server, kind: str, item: dict) -> str:
        id = register(url=server.url, name="s", project_id="mine")["id"]
        items = api.send("POST", f"/api/v1/mcp/servers/{id}/refresh", {kind: [item]})[kind]
        return f"/api/v1/mcp/{kind}/{items[0]['id']}"

    return path


@pytest.mark.parametrize(
    ("contents", "content", "mime_type"),
    [
        ([TEXT, IMAGE], "first", "text/plain"),
        ([IMAGE, TEXT], "iVBO", "image/png"),
        ([{"uri": "x:1", "text": ""}], "", None),
        ([5, TEXT], "first", "text/plain"),
        ([], None, None),
        (None, None, None),
    ],
    ids=["text first", "binary first", "empty text", "odd part", "no parts", "no list"],
)
def test_content_is_the_first_part(api, path, contents, content, mime_type):
    read = {"contents": contents, "resultType": "complete"}
    with scripted(hang, **{"resources/read": read}) as server:
        reply = api.read(f"{path(server, 'resources', {'uri': 'x:1'})}/content")
    assert server.sent("resources/read")[0]["params"]["uri"] == "x:1"
    resource = reply.pop("resource")
    assert (resource["uri"], resource["project_id"]) == ("x:1", "mine")
    assert (resource["server_name"], resource["server_url"]) == ("s", server.url)
    parts = [part for part in contents or [] if isinstance(part, dict)]
    assert reply == {
        **{"content": content, "contents": parts},
        **{"mime_type": mime_type, "error": None},
    }


def message(content) -> dict:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("description", "shown"), [("A greeting.", "A greeting."), (5, None), (None, None)]
)
def test_rendered_is_the_texts_of_all_messages(api, path, description, shown):
    block = {"type": "text", "text": "Hello"}
    audio = {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}
    messages = [message(block), message(audio), message([block, {**block, "text": "you"}])]
    got = {"messages": [*messages, 5], "description": description, "resultType": "complete"}
    with scripted(hang, **{"prompts/get": got}) as server:
        reply = api.send("POST", f"{path(server, 'prompts', {'name': 'p'})}/render")
    prompt = reply.pop("prompt")
    assert (prompt["name"], prompt["server_name"], prompt["server_url"]) == ("p", "s", server.url)
    assert reply == {
        **{"arguments": {}, "messages": messages, "rendered": "Hello\n\nHello\nyou"},
        **{"description": shown, "error": None},
    }


INNER = {"a": "x", "n": 5, "l": [True], "o": None}
SENT = {"a": "x", "n": "5", "l": "[true]"}
WHOLE = {"arguments": '{"a":"x"}'}


@pytest.mark.parametrize(
    ("declared", "body", "sent"),
    [
        (None, INNER, SENT),
        (None, {"arguments": INNER}, SENT),
        ([5, {"name": "a"}, {"name": 5}], {"arguments": INNER}, SENT),
        (None, {"arguments": {"a": "x"}, "b": "y"}, {**WHOLE, "b": "y"}),
        (None, {"arguments": "x"}, {"arguments": "x"}),
        ([{"name": "arguments"}], {"arguments": {"a": "x"}}, WHOLE),
        ({"arguments": {}}, {"arguments": {"a": "x"}}, WHOLE),
    ],
)
def test_arguments_are_the_body_or_its_only_member(api, path, declared, body, sent):
    """Values that are not strings are sent as their JSON; nulls are left out."""
    with scripted(hang, **{"prompts/get": {"messages": [], "resultType": "complete"}}) as server:
        prompt = path(server, "prompts", {"name": "p", "arguments": declared})
        reply = api.send("POST", f"{prompt}/render", body)
    assert server.sent("prompts/get")[0]["params"]["arguments"] == sent
    assert reply["arguments"] == (body["arguments"] if sent is SENT and body != INNER else body)
    assert reply["rendered"] == ""
