"""Read resources and render prompts, by a call of their server each time."""

from dataclasses import dataclass, field

from core import json_writer
from mcp import server_calls
from mcp.models import Prompt, Resource


@dataclass(frozen=True, slots=True)
class Content:
    """The MCP contents of a resource, or the error that prevented reading them."""

    resource: Resource
    contents: list[dict] = field(default_factory=list)
    error: str | None = None

    @property
    def content(self) -> str | None:
        """The first part's text, or its base64 if it is binary."""
        part = self.contents[0] if self.contents else {}
        return next((part[name] for name in ("text", "blob") if name in part), None)

    @property
    def mime_type(self) -> str | None:
        return self.contents[0].get("mimeType") if self.contents else None


@dataclass(frozen=True, slots=True)
class Rendering:
    """The MCP messages of a prompt, or the error that prevented rendering them."""

    prompt: Prompt
    arguments: dict
    messages: list[dict] = field(default_factory=list)
    description: str | None = None
    error: str | None = None

    @property
    def rendered(self) -> str | None:
        """The texts of all messages, separated by empty lines."""
        if self.error is not None:
            return None
        parts = [_text(message.get("content")) for message in self.messages]
        return "\n\n".join(part for part in parts if part)


def read_content(resource: Resource) -> Content:
    """Read the resource. Raises ServerFailed."""
    try:
        server_calls.check_callable(resource.server)
        with server_calls.as_domain_errors():
            result = server_calls.call(
                resource.server, lambda session: session.read_resource(resource.uri)
            )
    except server_calls.NotCallable as refusal:
        return Content(resource, error=str(refusal))
    return Content(resource, dicts(result.get("contents")))


def _arguments(prompt: Prompt, body: dict) -> dict:
    """Return the prompt's arguments: the body itself, or its only member `arguments`."""
    inner = body.get("arguments")
    if len(body) == 1 and isinstance(inner, dict) and "arguments" not in _declared(prompt):
        return inner
    return body


def _declared(prompt: Prompt) -> set[str]:
    declared = prompt.arguments
    if isinstance(declared, dict):
        return set(declared)
    return {each["name"] for each in dicts(declared) if isinstance(each.get("name"), str)}


def render(prompt: Prompt, body: dict) -> Rendering:
    """Render the prompt with the arguments in a request's body. Raises ServerFailed."""
    arguments = _arguments(prompt, body)
    try:
        server_calls.check_callable(prompt.server)
        with server_calls.as_domain_errors():
            result = server_calls.call(
                prompt.server, lambda session: session.get_prompt(prompt.name, texts(arguments))
            )
    except server_calls.NotCallable as refusal:
        return Rendering(prompt, arguments, error=str(refusal))
    description = result.get("description")
    return Rendering(
        prompt,
        arguments,
        dicts(result.get("messages")),
        description if isinstance(description, str) else None,
    )


def texts(arguments: dict) -> dict[str, str]:
    """Return the arguments as strings, as MCP requires; other values become their JSON."""
    return {
        name: value if isinstance(value, str) else json_writer.dumps(value).decode()
        for name, value in arguments.items()
        if value is not None
    }


def _text(content: object) -> str:
    """Return the text of a message's content: one block, or a list in older servers."""
    blocks = dicts(content if isinstance(content, list) else [content])
    return "\n".join(block["text"] for block in blocks if isinstance(block.get("text"), str))


def dicts(values: object) -> list[dict]:
    listed = values if isinstance(values, list) else []
    return [value for value in listed if isinstance(value, dict)]
