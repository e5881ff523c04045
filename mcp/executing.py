"""Calling tools, and keeping what came of it."""

import time
from dataclasses import dataclass

import orjson
from django.apps import apps
from django.conf import settings
from django.db import IntegrityError
from django.http import Http404

from core.errors import DomainError
from core.scoping import Caller
from mcp import calling, input_check
from mcp.client.errors import McpError
from mcp.models import ErrorKind, Origin, Tool, ToolExecution

_INPUT = ["body", "input"]
_LONGEST_ERROR = 10_000  # characters


class ToolChanged(DomainError):
    """The tool is another one than was accepted; it is not called until somebody accepts it."""

    status_code = 409
    code = "tool_changed"

    def __init__(self) -> None:
        super().__init__("The tool has changed since it was accepted; accept it before it is used")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call. `output` is the result as MCP has it, if there was one."""

    output: dict | None = None
    error: str | None = None
    error_kind: str | None = None
    duration_ms: int | None = None


def execute(
    caller: Caller, tool: Tool, arguments: dict, *, conversation_id=None, origin: Origin
) -> ToolExecution:
    """The call of a tool, with its outcome, stored.

    A failure of the tool or its server is an outcome; so is that this server
    does not call. Raises InvalidInput for arguments against the tool's schema,
    ToolChanged, TooBusy; Http404 when the tool is deleted meanwhile.
    """
    check_pin(tool)
    input_check.check(tool.input_schema, arguments, loc=_INPUT)
    outcome = _call(tool, arguments) if settings.MCP_EXECUTE else Outcome()
    return record(caller, tool, arguments, outcome, conversation_id=conversation_id, origin=origin)


def record(
    caller: Caller, tool: Tool, arguments: dict, outcome: Outcome, *, conversation_id=None, origin
) -> ToolExecution:
    """A call that was made, stored. Raises Http404 for a tool that was deleted meanwhile."""
    texts = orjson.dumps([arguments, outcome.output])
    try:
        return ToolExecution.objects.create(
            tool=tool,
            **caller.columns(),
            conversation_id=conversation_id,
            origin=origin,
            input=arguments,
            output=outcome.output,
            error=outcome.error,
            error_kind=outcome.error_kind,
            duration_ms=outcome.duration_ms,
            size=len(texts),
        )
    except IntegrityError:
        raise Http404("Tool not found") from None


def check_pin(tool: Tool) -> None:
    """Raises ToolChanged."""
    if settings.MCP_PIN_TOOLS and tool.is_changed:
        raise ToolChanged


def check_conversation(caller: Caller, id) -> None:
    """Raises Http404 unless the conversation is one of the caller's project."""
    try:
        conversations = apps.get_model("conversations", "Conversation").objects
    except LookupError:  # without conversations there is none to name
        raise Http404("Conversation not found") from None
    if not conversations.for_caller(caller).filter(id=id).exists():
        raise Http404("Conversation not found")


def _call(tool: Tool, arguments: dict) -> Outcome:
    begun = time.monotonic()
    output, error, kind = None, None, None
    try:
        calling.check_callable(tool.server)
        with calling.session(tool.server) as session:
            begun = time.monotonic()  # waiting for a turn is no time of the tool's
            output = session.call_tool(tool.name, arguments, tool.input_schema)
    except calling.NotCallable as refusal:
        error, kind = str(refusal), ErrorKind.REFUSED
    except McpError as failure:
        error, kind = str(failure)[:_LONGEST_ERROR], failure.kind
    if output is not None and output.get("isError"):
        error, kind = _text_of(output)[:_LONGEST_ERROR], ErrorKind.TOOL
    return Outcome(output, error, kind, round((time.monotonic() - begun) * 1000))


def _text_of(output: dict) -> str:
    """What a failed tool says of its failure."""
    content = output.get("content")
    parts = [
        part["text"]
        for part in (content if isinstance(content, list) else [])
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]
    return "\n".join(parts) or "The tool reported an error"
