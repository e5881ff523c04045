"""The methods of MCP over all active servers of a project, without HTTP.

Lists come from the database, calls go to the servers.
"""

from dataclasses import dataclass

from django.http import Http404
from pydantic_core import PydanticCustomError

from core.errors import DomainError, InvalidInput
from core.schemas import storable
from core.scoping import Caller
from mcp import execution, server_calls, server_content
from mcp.aggregate import PAGE_SIZE, AggregatedServers
from mcp.client import protocol
from mcp.client.mcp_errors import McpError, RpcError
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
_STATELESS_MEMBERS = ("resultType", "ttlMs", "cacheScope", "_meta")


class Failure(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the caller, the method with its parameters, the protocol version."""

    caller: Caller
    method: str
    params: dict
    version: str

    @property
    def is_modern(self) -> bool:
        return self.version in protocol.MODERN_VERSIONS

    def text(self, name: str) -> str:
        """Return a string parameter. Raise Failure if it is missing or holds NUL."""
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
    """Return the result of the call, in the form of its revision. Raise Failure."""
    methods = _STATELESS if call.is_modern else _WITH_HANDSHAKE
    if call.method not in methods:
        raise Failure(protocol.METHOD_NOT_FOUND, "Method not found", call.method)
    result = methods[call.method](call)
    if not call.is_modern:
        return {name: value for name, value in result.items() if name not in _STATELESS_MEMBERS}
    if call.method not in ("tools/call", "prompts/get"):
        result = {**result, **_CACHED}
    return {
        **result,
        "resultType": "complete",
        "_meta": {protocol.META_SERVER: protocol.implementation()},
    }


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
    return _page(
        call, "tools", AggregatedServers(call.caller).tools(call.offset(), modern=call.is_modern)
    )


def _list_resources(call: Call) -> dict:
    return _page(call, "resources", AggregatedServers(call.caller).resources(call.offset()))


def _list_templates(call: Call) -> dict:
    return {"resourceTemplates": AggregatedServers(call.caller).resource_templates()}


def _list_prompts(call: Call) -> dict:
    return _page(call, "prompts", AggregatedServers(call.caller).prompts(call.offset()))


def _page(call: Call, member: str, items: list[dict]) -> dict:
    if len(items) < PAGE_SIZE:
        return {member: items}
    return {member: items, "nextCursor": str(call.offset() + PAGE_SIZE)}


def _call_tool(call: Call) -> dict:
    name, arguments, servers = call.text("name"), call.arguments(), AggregatedServers(call.caller)
    tool = servers.named(Tool, name)
    unknown = Failure(protocol.INVALID_PARAMS, f"Unknown tool: {name[:200]}")
    if tool is None:
        raise unknown
    try:
        made = execution.execute(call.caller, tool, arguments, origin=Origin.ENDPOINT)
    except InvalidInput as refusal:
        return _tool_error(_explained(refusal))
    except execution.ToolChanged as refusal:
        return _tool_error(str(refusal))
    except Http404:
        raise unknown from None
    except DomainError as failure:
        raise Failure(protocol.INTERNAL_ERROR, str(failure)) from failure
    if made.output is None:
        return _tool_error(made.error or "The tool was not called")
    content = servers.with_addresses(tool.server, server_content.dicts(made.output.get("content")))
    return {**made.output, "content": content}


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
    uri, servers = call.text("uri"), AggregatedServers(call.caller)
    target = servers.addressed(uri)
    if target is None:
        raise _no_resource(call, uri)
    server, own = target
    try:
        result = _ask(server, lambda session: session.read_resource(own))
    except RpcError as error:
        if error.code in (protocol.RESOURCE_NOT_FOUND, protocol.INVALID_PARAMS):
            raise _no_resource(call, uri) from error
        raise Failure(protocol.INTERNAL_ERROR, str(error)) from error
    return {
        "contents": servers.with_addresses(server, server_content.dicts(result.get("contents")))
    }


def _no_resource(call: Call, uri: str) -> Failure:
    code = protocol.INVALID_PARAMS if call.is_modern else protocol.RESOURCE_NOT_FOUND
    return Failure(code, "Resource not found", {"uri": uri[:1000]})


def _get_prompt(call: Call) -> dict:
    name, arguments, servers = call.text("name"), call.arguments(), AggregatedServers(call.caller)
    prompt = servers.named(Prompt, name)
    if prompt is None:
        raise Failure(protocol.INVALID_PARAMS, f"Unknown prompt: {name[:200]}")
    texts = server_content.texts(arguments)
    try:
        result = _ask(prompt.server, lambda session: session.get_prompt(prompt.name, texts))
    except RpcError as error:
        known = (
            protocol.INVALID_PARAMS
            if error.code == protocol.INVALID_PARAMS
            else protocol.INTERNAL_ERROR
        )
        raise Failure(known, str(error)) from error
    messages = server_content.dicts(result.get("messages"))
    for message in messages:
        if isinstance(message.get("content"), dict):
            (message["content"],) = servers.with_addresses(prompt.server, [message["content"]])
    description = result.get("description")
    prompt_result = {"messages": messages}
    if isinstance(description, str):
        prompt_result["description"] = description
    return prompt_result


def _ask(server: Server, ask) -> dict:
    """Return the server's result. Raise its RpcError, or Failure if it cannot be asked."""
    try:
        server_calls.check_callable(server)
        with server_calls.session(server) as session:
            return ask(session)
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
