"""The methods of MCP over all active servers of a project. No HTTP here.

Lists are answered from what is stored, calls go to the servers.
"""

from dataclasses import dataclass

from django.http import Http404
from rest_framework.exceptions import ValidationError

from core.errors import DomainError, InvalidInput
from core.fields import ObjectField
from core.scoping import Caller
from mcp import calling, executing, reading
from mcp.client import wire
from mcp.client.errors import McpError, RpcError
from mcp.models import Origin, Prompt, Server, Tool
from mcp.offers import PAGE, Offers

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
_OF_THE_STATELESS = ("resultType", "ttlMs", "cacheScope", "_meta")


class Failure(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks for what, and in which revision of the protocol."""

    caller: Caller
    method: str
    params: dict
    version: str

    @property
    def is_modern(self) -> bool:
        return self.version in wire.MODERN_VERSIONS

    def text(self, name: str) -> str:
        """The parameter of this name. Raises Failure when it is no text that can be stored."""
        value = self.params.get(name)
        if not isinstance(value, str) or "\x00" in value:
            raise Failure(wire.INVALID_PARAMS, f"{name} should be a string without NUL")
        return value

    def arguments(self) -> dict:
        try:
            return ObjectField().run_validation(self.params.get("arguments") or {})
        except ValidationError:
            raise Failure(wire.INVALID_PARAMS, "arguments should be a storable object") from None

    def offset(self) -> int:
        cursor = self.params.get("cursor")
        if cursor is None:
            return 0
        if not isinstance(cursor, str) or not (cursor.isascii() and cursor.isdigit()):
            raise Failure(wire.INVALID_PARAMS, "cursor should be one of ours")
        return int(cursor[:9])


def answer(call: Call) -> dict:
    """The result of the call, in the form of its revision. Raises Failure."""
    served = _STATELESS if call.is_modern else _WITH_HANDSHAKE
    if call.method not in served:
        raise Failure(wire.METHOD_NOT_FOUND, "Method not found", call.method)
    result = served[call.method](call)
    if not call.is_modern:
        return {name: value for name, value in result.items() if name not in _OF_THE_STATELESS}
    if call.method not in ("tools/call", "prompts/get"):
        result = {**result, **_CACHED}
    return {**result, "resultType": "complete", "_meta": {wire.META_SERVER: wire.us()}}


def _discover(call: Call) -> dict:
    return {
        "supportedVersions": list(wire.MODERN_VERSIONS),
        "capabilities": _CAPABILITIES,
        "instructions": _INSTRUCTIONS,
    }


def _initialize(call: Call) -> dict:
    wanted = call.params.get("protocolVersion")
    known = wanted in wire.HANDSHAKE_VERSIONS
    return {
        "protocolVersion": wanted if known else wire.HANDSHAKE_VERSIONS[-1],
        "capabilities": _CAPABILITIES,
        "serverInfo": wire.us(),
        "instructions": _INSTRUCTIONS,
    }


def _ping(call: Call) -> dict:
    return {}


def _list_tools(call: Call) -> dict:
    return _page(call, "tools", Offers(call.caller).tools(call.offset(), modern=call.is_modern))


def _list_resources(call: Call) -> dict:
    return _page(call, "resources", Offers(call.caller).resources(call.offset()))


def _list_templates(call: Call) -> dict:
    return {"resourceTemplates": Offers(call.caller).resource_templates()}


def _list_prompts(call: Call) -> dict:
    return _page(call, "prompts", Offers(call.caller).prompts(call.offset()))


def _page(call: Call, member: str, items: list[dict]) -> dict:
    if len(items) < PAGE:
        return {member: items}
    return {member: items, "nextCursor": str(call.offset() + PAGE)}


def _call_tool(call: Call) -> dict:
    name, arguments, offers = call.text("name"), call.arguments(), Offers(call.caller)
    tool = offers.named(Tool, name)
    unknown = Failure(wire.INVALID_PARAMS, f"Unknown tool: {name[:200]}")
    if tool is None:
        raise unknown
    try:
        made = executing.execute(call.caller, tool, arguments, origin=Origin.ENDPOINT)
    except InvalidInput as refusal:
        return _tool_error(_explained(refusal))
    except executing.ToolChanged as refusal:
        return _tool_error(str(refusal))
    except Http404:
        raise unknown from None
    except DomainError as failure:
        raise Failure(wire.INTERNAL_ERROR, str(failure)) from failure
    if made.output is None:
        return _tool_error(made.error or "The tool was not called")
    content = offers.with_addresses(tool.server, reading.dicts(made.output.get("content")))
    return {**made.output, "content": content}


def _explained(refusal: InvalidInput) -> str:
    """For a model to mend its call."""
    lines = (
        f"{'.'.join(map(str, found['loc'][2:])) or 'input'}: {found['msg']}"
        for found in refusal.issues
    )
    return "The arguments do not fit the tool's schema.\n" + "\n".join(lines)


def _tool_error(text: str) -> dict:
    return {"content": [{"type": "text", "text": text}], "isError": True}


def _read_resource(call: Call) -> dict:
    uri, offers = call.text("uri"), Offers(call.caller)
    found = offers.addressed(uri)
    if found is None:
        raise _no_resource(call, uri)
    server, own = found
    try:
        result = _asked(server, lambda session: session.read_resource(own))
    except RpcError as error:
        if error.code in (wire.RESOURCE_NOT_FOUND, wire.INVALID_PARAMS):
            raise _no_resource(call, uri) from error
        raise Failure(wire.INTERNAL_ERROR, str(error)) from error
    return {"contents": offers.with_addresses(server, reading.dicts(result.get("contents")))}


def _no_resource(call: Call, uri: str) -> Failure:
    code = wire.INVALID_PARAMS if call.is_modern else wire.RESOURCE_NOT_FOUND
    return Failure(code, "Resource not found", {"uri": uri[:1000]})


def _get_prompt(call: Call) -> dict:
    name, arguments, offers = call.text("name"), call.arguments(), Offers(call.caller)
    prompt = offers.named(Prompt, name)
    if prompt is None:
        raise Failure(wire.INVALID_PARAMS, f"Unknown prompt: {name[:200]}")
    texts = reading.texts(arguments)
    try:
        result = _asked(prompt.server, lambda session: session.get_prompt(prompt.name, texts))
    except RpcError as error:
        known = wire.INVALID_PARAMS if error.code == wire.INVALID_PARAMS else wire.INTERNAL_ERROR
        raise Failure(known, str(error)) from error
    messages = reading.dicts(result.get("messages"))
    for message in messages:
        if isinstance(message.get("content"), dict):
            (message["content"],) = offers.with_addresses(prompt.server, [message["content"]])
    description = result.get("description")
    found = {"messages": messages}
    return {**found, "description": description} if isinstance(description, str) else found


def _asked(server: Server, ask) -> dict:
    """What the server answers. Raises RpcError, or Failure when it cannot be asked."""
    try:
        calling.check_callable(server)
        with calling.session(server) as session:
            return ask(session)
    except RpcError:
        raise
    except (McpError, DomainError) as error:
        raise Failure(wire.INTERNAL_ERROR, str(error)) from error


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
