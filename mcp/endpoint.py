"""The methods of MCP over all active servers of a project, without HTTP.

Lists come from the database, calls go to the servers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.http import Http404
from pydantic_core import PydanticCustomError

from core.errors import DomainError, InvalidInput
from core.schemas import storable
from core.scoping import Caller
from mcp import (
    execution,
    older_content,
    param_headers,
    server_calls,
    server_content,
    server_refresh,
)
from mcp.aggregate import AggregatedServers, Page, with_addresses
from mcp.client import protocol
from mcp.client.mcp_errors import McpError, RpcError
from mcp.client.notifications import Listener, ignore
from mcp.client.session import Session
from mcp.models import Origin, Prompt, Server, Tool

_INSTRUCTIONS = (
    "Tools and prompts of several MCP servers. Each name begins with the name of its server "
    "and two underscores; each address of a resource with the server's name and a plus sign."
)
_CAPABILITIES = {
    "tools": {"listChanged": False},
    "resources": {"subscribe": False, "listChanged": False},
    "prompts": {"listChanged": False},
}
_CACHED = {"ttlMs": 0, "cacheScope": "private"}
_MODERN_MEMBERS = ("resultType", "ttlMs", "cacheScope")
_ENVELOPE = (protocol.META_VERSION, protocol.META_CLIENT, protocol.META_CAPABILITIES)


class Failure(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the caller, the method with its parameters, the protocol version.

    `on_progress` gets the parameters of each progress notification of the server.
    """

    caller: Caller
    method: str
    params: dict
    version: str
    headers: Mapping[str, str]
    on_progress: Listener = ignore

    @property
    def meta(self) -> dict:
        """What the client sends along for the server."""
        meta = self.params.get("_meta")
        own = (*_ENVELOPE, "progressToken")
        return {name: meta[name] for name in meta.keys() - own} if isinstance(meta, dict) else {}

    @property
    def options(self) -> dict:
        return {"meta": self.meta, "on_progress": self.on_progress}

    @property
    def is_modern(self) -> bool:
        return self.version in protocol.MODERN_VERSIONS

    def text(self, name: str) -> str:
        """Return a string parameter. Raises Failure if it is missing or holds NUL."""
        value = self.params.get(name)
        if not isinstance(value, str) or "\x00" in value:
            raise Failure(protocol.INVALID_PARAMS, f"{name} should be a string without NUL")
        return value

    def arguments(self) -> dict:
        arguments = self.params.get("arguments") or {}
        try:
            if isinstance(arguments, dict):
                return storable(arguments)
        except PydanticCustomError:
            pass
        raise Failure(protocol.INVALID_PARAMS, "arguments should be a storable object")

    def offset(self) -> int:
        cursor = self.params.get("cursor")
        if cursor is None:
            return 0
        if not isinstance(cursor, str) or not (cursor.isascii() and cursor.isdigit()):
            raise Failure(protocol.INVALID_PARAMS, "cursor should be a nextCursor of this server")
        return int(cursor[:9])


def answer(call: Call) -> dict:
    """Return the result of the call, in the form of its revision. Raises Failure."""
    methods = _STATELESS if call.is_modern else _WITH_HANDSHAKE
    if call.method not in methods:
        raise Failure(protocol.METHOD_NOT_FOUND, "Method not found", call.method)
    result = methods[call.method](call)
    meta = result.get("_meta")
    meta = {**meta} if isinstance(meta, dict) else {}
    meta.pop(protocol.META_SERVER, None)
    if call.is_modern:
        if call.method not in ("tools/call", "prompts/get"):
            result = {**result, **_CACHED}
        meta[protocol.META_SERVER] = protocol.implementation()
        return {**result, "resultType": "complete", "_meta": meta}
    absent = (*_MODERN_MEMBERS, "_meta")
    result = {name: value for name, value in result.items() if name not in absent}
    return {**result, "_meta": meta} if meta else result


def _discover(call: Call) -> dict:
    return {
        "supportedVersions": list(protocol.MODERN_VERSIONS),
        "capabilities": _CAPABILITIES,
        "instructions": _INSTRUCTIONS,
    }


def _initialize(call: Call) -> dict:
    wanted = call.params.get("protocolVersion")
    known = wanted in protocol.HANDSHAKE_VERSIONS
    return {
        "protocolVersion": wanted if known else protocol.HANDSHAKE_VERSIONS[-1],
        "capabilities": _CAPABILITIES,
        "serverInfo": protocol.implementation(),
        "instructions": _INSTRUCTIONS,
    }


def _ping(call: Call) -> dict:
    return {}


def _list_tools(call: Call) -> dict:
    servers = AggregatedServers(call.caller)
    return _page("tools", servers.tools(call.offset(), modern=call.is_modern))


def _list_resources(call: Call) -> dict:
    return _page("resources", AggregatedServers(call.caller).resources(call.offset()))


def _list_templates(call: Call) -> dict:
    return {"resourceTemplates": AggregatedServers(call.caller).resource_templates()}


def _list_prompts(call: Call) -> dict:
    return _page("prompts", AggregatedServers(call.caller).prompts(call.offset()))


def _page(member: str, page: Page) -> dict:
    items, next_offset = page
    return {member: items, **({} if next_offset is None else {"nextCursor": str(next_offset)})}


def _call_tool(call: Call) -> dict:
    arguments, tool = call.arguments(), _named(call, Tool)
    if call.is_modern:
        mismatch = param_headers.mismatch(tool.input_schema, arguments, call.headers)
        if mismatch:
            raise Failure(protocol.HEADER_MISMATCH, mismatch)
    try:
        made = execution.execute(
            call.caller, tool, arguments, origin=Origin.ENDPOINT, **call.options
        )
    except InvalidInput as refusal:
        return _tool_error(_explained(refusal))
    except execution.ToolChanged as refusal:
        return _tool_error(str(refusal))
    except Http404:
        raise _unknown(call, Tool) from None
    except DomainError as failure:
        raise Failure(protocol.INTERNAL_ERROR, str(failure)) from failure
    if made.output is None:
        return _tool_error(made.error or "The tool was not called")
    return _tool_result(call, tool, made.output)


def _tool_result(call: Call, tool: Tool, output: dict) -> dict:
    content = _blocks(call, tool.server, server_content.dicts(output.get("content")))
    result = {**output, "content": content}
    if not call.is_modern and not isinstance(output.get("structuredContent"), dict):
        result.pop("structuredContent", None)  # until 2025-11-25 it is an object
    return result


def _blocks(call: Call, server: Server, blocks: list[dict]) -> list[dict]:
    return older_content.as_known(call.version, with_addresses(server, blocks))


def _named(call: Call, model: type) -> Tool | Prompt:
    """Return the tool or prompt that the call names. Raises Failure for an unknown one.

    Its server is asked once for its lists if the name could be one of its items.
    """
    name, servers = call.text("name"), AggregatedServers(call.caller)
    if row := servers.named(model, name):
        return row
    server = servers.server_of(name)
    if server and server_refresh.refresh_for_unknown_item(server):
        row = servers.named(model, name)
    if row is None:
        raise _unknown(call, model)
    return row


def _unknown(call: Call, model: type) -> Failure:
    name = call.text("name")[:200]
    return Failure(protocol.INVALID_PARAMS, f"Unknown {model._meta.model_name}: {name}")


def _explained(refusal: InvalidInput) -> str:
    """Return the issues as text, for a model to correct its call."""
    lines = (
        f"{'.'.join(map(str, issue['loc'][2:])) or 'input'}: {issue['msg']}"
        for issue in refusal.issues
    )
    return "The arguments do not fit the tool's schema.\n" + "\n".join(lines)


def _tool_error(text: str) -> dict:
    return {"content": [{"type": "text", "text": text}], "isError": True}


def _read_resource(call: Call) -> dict:
    uri = call.text("uri")
    target = AggregatedServers(call.caller).addressed(uri)
    if target is None:
        raise _no_resource(call, uri)
    server, own = target
    try:
        result = _ask(server, lambda session: session.read_resource(own, **call.options))
    except RpcError as error:
        if error.code in (protocol.RESOURCE_NOT_FOUND, protocol.INVALID_PARAMS):
            raise _no_resource(call, uri) from error
        raise Failure(protocol.INTERNAL_ERROR, str(error)) from error
    contents = server_content.dicts(result.get("contents"))
    return {**result, "contents": with_addresses(server, contents)}


def _no_resource(call: Call, uri: str) -> Failure:
    code = protocol.INVALID_PARAMS if call.is_modern else protocol.RESOURCE_NOT_FOUND
    return Failure(code, "Resource not found", {"uri": uri[:1000]})


def _get_prompt(call: Call) -> dict:
    arguments, prompt = server_content.texts(call.arguments()), _named(call, Prompt)

    def get(session: Session) -> dict:
        return session.get_prompt(prompt.name, arguments, **call.options)

    try:
        result = _ask(prompt.server, get)
    except RpcError as error:
        is_callers = error.code == protocol.INVALID_PARAMS
        code = protocol.INVALID_PARAMS if is_callers else protocol.INTERNAL_ERROR
        raise Failure(code, str(error)) from error
    messages = server_content.dicts(result.get("messages"))
    for message in messages:
        if isinstance(message.get("content"), dict):
            (message["content"],) = _blocks(call, prompt.server, [message["content"]])
    result = {**result, "messages": messages}
    if not isinstance(result.get("description"), str):
        result.pop("description", None)
    return result


def _ask(server: Server, ask: Callable[[Session], dict]) -> dict:
    """Return the server's result. Raises its RpcError, or Failure if it cannot be called."""
    try:
        server_calls.check_callable(server)
        return server_calls.call(server, ask)
    except RpcError:
        raise
    except (McpError, DomainError) as error:
        raise Failure(protocol.INTERNAL_ERROR, str(error)) from error


_COMMON = {
    "tools/list": _list_tools,
    "tools/call": _call_tool,
    "resources/list": _list_resources,
    "resources/templates/list": _list_templates,
    "resources/read": _read_resource,
    "prompts/list": _list_prompts,
    "prompts/get": _get_prompt,
}
_STATELESS = {**_COMMON, "server/discover": _discover}
_WITH_HANDSHAKE = {**_COMMON, "initialize": _initialize, "ping": _ping}
