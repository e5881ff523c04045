"""The messages of MCP: JSON-RPC 2.0 and the additions of the protocol's revisions.

Until 2025-11-25 a connection begins with the `initialize` handshake; from 2026-07-28
on requests are stateless and describe themselves in `_meta`.
Source: https://modelcontextprotocol.io/specification
"""

import base64
import re

import orjson
from django.conf import settings

from mcp.client.mcp_errors import ProtocolViolation, RpcError

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS = ("2026-07-28",)

META_VERSION = "io.modelcontextprotocol/protocolVersion"
META_CLIENT = "io.modelcontextprotocol/clientInfo"
META_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META_SERVER = "io.modelcontextprotocol/serverInfo"

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
RESOURCE_NOT_FOUND = -32002  # until 2025-11-25
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

# The parameter that a request repeats in the header Mcp-Name.
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

_MAX_DEPTH = 64  # levels of nesting, as in every JSON column
_MAX_CONTAINERS = 500_000  # parsing millions of empty lists holds the GIL for a second
_PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_ENCODED = re.compile(r"=\?base64\?(.*)\?=")


def implementation() -> dict[str, str]:
    """Return this program's `clientInfo` and `serverInfo`."""
    return {"name": "llmring-server", "version": settings.VERSION}


def request(id: int, method: str, params: dict) -> dict:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def notification(method: str, params: dict | None = None) -> dict:
    message = {"jsonrpc": "2.0", "method": method}
    return {**message, "params": params} if params else message


def result(id: object, value: dict) -> dict:
    return {"jsonrpc": "2.0", "id": id, "result": value}


def error(id: object, code: int, message: str, data: object = None) -> dict:
    body = {"code": code, "message": message}
    return {"jsonrpc": "2.0", "id": id, "error": {**body, "data": data} if data else body}


def parse(text: bytes) -> dict:
    """Parse a message. Raise ProtocolViolation unless it is a JSON object that can be stored."""
    # Brackets inside strings count too; no real result has that many.
    if text.count(b"[") + text.count(b"{") > _MAX_CONTAINERS:
        raise ProtocolViolation("The MCP server's answer has too many lists and objects")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ProtocolViolation("The MCP server's answer is not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolViolation("The MCP server's answer is not a JSON-RPC message")
    return _storable(message, has_nul=b"\\u0000" in text)


def is_response(message: dict) -> bool:
    return "method" not in message and ("result" in message or "error" in message)


def reply_to(message: dict) -> dict | None:
    """Return the response to a request of the server, or None for a notification.

    The client offers no capabilities, so `ping` is all that a server may request.
    """
    if "method" not in message or "id" not in message:
        return None
    if message["method"] == "ping":
        return result(message["id"], {})
    return error(message["id"], METHOD_NOT_FOUND, "This client cannot do that")


def result_of(message: dict) -> dict:
    """Return the result of a response. Raise RpcError for an error, or ProtocolViolation."""
    error = message.get("error")
    if isinstance(error, dict):
        code, text = error.get("code"), error.get("message")
        raise RpcError(
            code if isinstance(code, int) else 0, str(text or "no reason given"), error.get("data")
        )
    if not isinstance(message.get("result"), dict):
        raise ProtocolViolation("The MCP server's answer has no result")
    return message["result"]


def header_value(text: str) -> str:
    """Encode a text as a header value of the protocol: verbatim, or in base64."""
    if not text or (_PLAIN.fullmatch(text) and not _ENCODED.fullmatch(text)):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def header_text(value: str | None) -> str | None:
    """Decode a header value of the protocol; None if its base64 is invalid."""
    encoded = _ENCODED.fullmatch(value or "")
    if encoded is None:
        return value
    try:
        return base64.b64decode(encoded[1], validate=True).decode()
    except ValueError:
        return None


def argument_headers(schema: object, arguments: dict) -> dict[str, str]:
    """Return the `Mcp-Param-…` headers that a tool's schema requests with `x-mcp-header`."""
    headers = {}
    waiting = [(schema, arguments)]
    while waiting:
        schema, values = waiting.pop()
        properties = schema.get("properties") if isinstance(schema, dict) else None
        for name, inner in properties.items() if isinstance(properties, dict) else ():
            value = values.get(name)
            if isinstance(value, dict):
                waiting.append((inner, value))
            token = inner.get("x-mcp-header") if isinstance(inner, dict) else None
            if isinstance(token, str) and re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", token, re.ASCII):
                if isinstance(value, bool):
                    headers[f"Mcp-Param-{token}"] = "true" if value else "false"
                elif isinstance(value, str | int):
                    headers[f"Mcp-Param-{token}"] = header_value(str(value))
    return headers


def _storable(message: dict, *, has_nul: bool) -> dict:
    """Return the message without NUL, which PostgreSQL cannot store."""
    level: list = [message]
    for _ in range(_MAX_DEPTH):
        if not level:
            return _without_nul(message) if has_nul else message
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
    raise ProtocolViolation(f"The MCP server's answer is nested deeper than {_MAX_DEPTH} levels")


def _without_nul(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_nul(inner) for inner in value]
    return value
