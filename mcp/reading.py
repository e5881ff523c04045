"""Reading resources and rendering prompts: asked of their servers each time."""

from dataclasses import dataclass, field

import orjson

from core.errors import InvalidInput, issue
from core.fields import ObjectField
from mcp import calling
from mcp.models import Prompt, Resource, Server


@dataclass(frozen=True, slots=True)
class Content:
    """The parts of a resource, as MCP has them; `error` says why there are none."""

    contents: list[dict] = field(default_factory=list)
    error: str | None = None

    @property
    def first(self) -> str | None:
        """The text of the first part, or the base64 of one that is no text."""
        part = self.contents[0] if self.contents else {}
        return next((part[name] for name in ("text", "blob") if name in part), None)

    @property
    def mime_type(self) -> str | None:
        return self.contents[0].get("mimeType") if self.contents else None


@dataclass(frozen=True, slots=True)
class Rendering:
    """The messages of a prompt, as MCP has them; `error` says why there are none."""

    messages: list[dict] = field(default_factory=list)
    description: str | None = None
    error: str | None = None

    @property
    def text(self) -> str | None:
        """The texts of all messages, an empty line between them."""
        if self.error is not None:
            return None
        parts = [_text(message.get("content")) for message in self.messages]
        return "\n\n".join(part for part in parts if part)


def content(resource: Resource) -> Content:
    """Raises ServerFailed when the server does not give it."""
    try:
        calling.check_callable(resource.server)
    except calling.NotCallable as refusal:
        return Content(error=str(refusal))
    return Content(dicts(read(resource.server, resource.uri).get("contents")))


def read(server: Server, uri: str) -> dict:
    """The result of `resources/read`. Raises ServerFailed."""
    with calling.failing_as_reply(), calling.session(server) as session:
        return session.read_resource(uri)


def arguments_in(body: object, prompt: Prompt) -> dict:
    """The prompt's arguments in a request's body: the body, or its one member `arguments`.

    Raises InvalidInput for a body that is no object, ValidationError for one that is too deep.
    """
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object"
        raise InvalidInput([issue("model_attributes_type", ["body"], message, body)])
    ObjectField().run_validation(body)
    inner = body.get("arguments")
    if len(body) == 1 and isinstance(inner, dict) and "arguments" not in _declared(prompt):
        return inner
    return body


def _declared(prompt: Prompt) -> set[str]:
    declared = prompt.arguments or []
    if isinstance(declared, dict):
        return set(declared)
    return {each["name"] for each in dicts(declared) if isinstance(each.get("name"), str)}


def rendering(prompt: Prompt, arguments: dict) -> Rendering:
    """Raises ServerFailed when the server does not render it."""
    try:
        calling.check_callable(prompt.server)
    except calling.NotCallable as refusal:
        return Rendering(error=str(refusal))
    with calling.failing_as_reply(), calling.session(prompt.server) as session:
        found = session.get_prompt(prompt.name, texts(arguments))
    description = found.get("description")
    return Rendering(
        dicts(found.get("messages")),
        description if isinstance(description, str) else None,
    )


def texts(arguments: dict) -> dict[str, str]:
    """Arguments of prompts are texts in MCP; others are sent as their JSON."""
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in arguments.items()
        if value is not None
    }


def _text(content: object) -> str:
    """The text in a message's content, which is one block (or several, before it was settled)."""
    blocks = dicts(content if isinstance(content, list) else [content])
    return "\n".join(block["text"] for block in blocks if isinstance(block.get("text"), str))


def dicts(values: object) -> list[dict]:
    return (
        [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
    )
