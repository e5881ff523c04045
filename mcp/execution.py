"""Execute tools, and store their executions."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.http import Http404

from conversations import payloads
from conversations.models import Conversation
from core import json_writer
from core.errors import DomainError
from core.scoping import Caller
from mcp import argument_validation, server_calls, server_refresh
from mcp.client import protocol
from mcp.client.mcp_errors import McpError, RpcError
from mcp.client.session import Session
from mcp.models import ErrorKind, Origin, Tool, ToolExecution
from mcp.schemas.executions import ExecutionRequest

_INPUT = ["body", "input"]
_MAX_ERROR_LENGTH = 10_000  # characters


class ToolChanged(DomainError):
    """The tool is pinned and differs from the accepted definition; it is not called."""

    status_code = 409
    code = "tool_changed"

    def __init__(self) -> None:
        super().__init__("The tool has changed since it was accepted; accept it before it is used")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a call. `output` is the MCP result, if there was one."""

    output: dict | None = None
    error: str | None = None
    error_kind: str | None = None
    duration_ms: int | None = None


def execute(
    caller: Caller,
    tool: Tool,
    arguments: dict,
    *,
    origin: Origin,
    conversation_id: UUID | None = None,
    **options,
) -> ToolExecution:
    """Call the tool, and store and return the execution; `options` are Session.call_tool's.

    Where calling is switched off, what a client asks to execute is only recorded.
    A failure of the tool or its server is stored, not raised. Raises InvalidInput for
    arguments that do not fit the tool's schema, ToolChanged, TooBusy, and Http404 if the
    tool was deleted concurrently.
    """
    check_pin(tool)
    argument_validation.check(tool.input_schema, arguments, loc=_INPUT)
    if origin == Origin.EXECUTED and not settings.MCP_EXECUTE:
        outcome, origin = Outcome(), Origin.RECORDED
    else:
        outcome = _call(tool, arguments, **options)
    return record(caller, tool, arguments, outcome, conversation_id=conversation_id, origin=origin)


def record(
    caller: Caller,
    tool: Tool,
    arguments: dict,
    outcome: Outcome,
    *,
    origin: Origin,
    conversation_id: UUID | None = None,
) -> ToolExecution:
    """Store and return an execution. Raises Http404 if the tool was deleted concurrently."""
    size = len(json_writer.dumps([arguments, outcome.output]))
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
            size=size,
        )
    except IntegrityError:
        raise Http404("Tool not found") from None


def execute_request(caller: Caller, tool: Tool, request: ExecutionRequest) -> ToolExecution:
    """Make the call that a client asks for, and return its execution.

    Raises Http404 for a conversation of another project, else as `execute`.
    """
    _check_conversation(caller, request.conversation_id)
    return execute(
        caller,
        tool,
        request.input,
        conversation_id=request.conversation_id,
        origin=Origin.EXECUTED,
    )


def record_report(caller: Caller, tool: Tool, request: ExecutionRequest) -> ToolExecution:
    """Store and return the execution of a call that the client made. Raises Http404."""
    _check_conversation(caller, request.conversation_id)
    outcome = Outcome(output=request.output, error=request.error, duration_ms=request.duration_ms)
    return record(
        caller,
        tool,
        request.input,
        outcome,
        conversation_id=request.conversation_id,
        origin=Origin.RECORDED,
    )


def check_pin(tool: Tool) -> None:
    """Raise ToolChanged if the definition changed since it was accepted and pinning is on."""
    if settings.MCP_PIN_TOOLS and tool.is_changed:
        raise ToolChanged


def _check_conversation(caller: Caller, id: UUID | None) -> None:
    """Raise Http404 for a conversation of another project."""
    if id is not None and not Conversation.objects.for_caller(caller).filter(id=id).exists():
        raise payloads.not_found()


def _call(tool: Tool, arguments: dict, **options) -> Outcome:
    begun = time.monotonic()
    output, error, kind = None, None, None

    def ask(session: Session) -> dict:
        nonlocal begun
        begun = time.monotonic()  # without the wait for a slot and the connection
        return session.call_tool(tool.name, arguments, tool.input_schema, **options)

    try:
        _check_active(tool)
        server_calls.check_callable(tool.server)
        output = _with_current_headers(tool, ask)
    except server_calls.NotCallable as refusal:
        error, kind = str(refusal), ErrorKind.REFUSED
    except McpError as failure:
        error, kind = str(failure)[:_MAX_ERROR_LENGTH], failure.kind
    if output is not None and output.get("isError"):
        error, kind = _text_of(output)[:_MAX_ERROR_LENGTH], ErrorKind.TOOL
    return Outcome(output, error, kind, round((time.monotonic() - begun) * 1000))


def _check_active(tool: Tool) -> None:
    if not tool.is_active:
        raise server_calls.NotCallable("The tool is switched off (is_active)")


def _with_current_headers(tool: Tool, ask: Callable[[Session], dict]) -> dict:
    """Return the result; when the headers are refused, read the tool's definition again first."""
    try:
        return server_calls.call(tool.server, ask)
    except RpcError as error:
        if error.code != protocol.HEADER_MISMATCH:
            raise
        if not server_refresh.refresh_for_unknown_item(tool.server):
            raise
    tool.refresh_from_db(
        fields=["input_schema", "fingerprint", "accepted_fingerprint", "is_active"]
    )
    # The server may have taken the tool away, or made another one of it.
    _check_active(tool)
    check_pin(tool)
    return server_calls.call(tool.server, ask)


def _text_of(output: dict) -> str:
    """Return the error message of a failed tool: the texts of its content."""
    content = output.get("content")
    parts = [
        part["text"]
        for part in (content if isinstance(content, list) else [])
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]
    return "\n".join(parts) or "The tool reported an error"
