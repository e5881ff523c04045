"""The messages of MCP: JSON-RPC 2.0 and the additions of the protocol's revisions.

Until 2025-11-25 a connection begins with the `initialize` handshake; from 2026-07-28
on requests are stateless and describe themselves in `_meta`.
Source: https://modelcontextprotocol.io/specification
"""

import base64
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
from django.conf import settings

from core import exact_json
from core.schemas import MAX_DEPTH
from mcp.client.mcp_errors import ProtocolViolation, RpcError

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSIONS = ("2026-07-28",)

META_PREFIX = "io.modelcontextprotocol/"
META_VERSION = f"{META_PREFIX}protocolVersion"
META_CLIENT = f"{META_PREFIX}clientInfo"
META_CAPABILITIES = f"{META_PREFIX}clientCapabilities"
META_SERVER = f"{META_PREFIX}serverInfo"

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
RESOURCE_NOT_FOUND = -32002  # until 2025-11-25
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

PROGRESS = "notifications/progress"
# The requests that agree on a revision.
NEGOTIATION = ("initialize", "server/discover")
# The parameter that a request repeats in the header Mcp-Name.
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

_MAX_CONTAINERS = 500_000  # parsing millions of empty lists holds the GIL for a second
_PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_ENCODED = re.compile(r"=\?base64\?(.*)\?=")
# The id of a message that is not valid JSON, where serializers put it.
_ID_BESIDE_VERSION = re.compile(
    rb'"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*"?(\d{1,15})\b'
    rb'|"id"\s*:\s*"?(\d{1,15})"?\s*,\s*"jsonrpc"\s*:\s*"2\.0"'
)


def implementation() -> dict[str, str]:
    """Return this program's `clientInfo` and `serverInfo`."""
    return {"name": "llmring-server", "version": settings.VERSION}


def request(id: int, method: str, params: dict) -> dict:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def notification(method: str, params: dict | None = None) -> dict:
    message = {"jsonrpc": "2.0", "method": method}
    return {**message, "params": params} if params else message


def cancellation(id: int, reason: str) -> dict:
    return notification("notifications/cancelled", {"requestId": id, "reason": reason})


def result(id: object, value: dict) -> dict:
    return {"jsonrpc": "2.0", "id": id, "result": value}


def error(id: object, code: int, message: str, data: object = None) -> dict:
    body = {"code": code, "message": message}
    return {"jsonrpc": "2.0", "id": id, "error": {**body, "data": data} if data else body}


def request_id(value: object) -> int | None:
    """Return the id of a request, which servers may send back as text or as 1.0."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,15}\s*", value, re.ASCII):
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        return int(value)
    return None


def progress_id(message: dict) -> int | None:
    """Return the id of the request that a progress notification is about: its token."""
    params = message.get("params")
    return request_id(params.get("progressToken")) if isinstance(params, dict) else None


def parse(text: bytes) -> dict:
    """Parse a message, repairing text that cannot be stored.

    Raises ProtocolViolation unless it is a JSON object that can be stored; its `request_id`
    is the request that the text answers, as far as that can be seen.
    """
    with _identifying_request(text):
        return _message(_parse(text))


def parse_batch(text: bytes) -> list[dict]:
    """Parse a message of a stream, or several in a list, like `parse`.

    Source: MCP 2025-03-26, the only revision that has batches.
    """
    with _identifying_request(text):
        parsed = _parse(text)
        return list(map(_message, parsed if isinstance(parsed, list) and parsed else [parsed]))


@contextmanager
def _identifying_request(text: bytes) -> Iterator[None]:
    try:
        yield
    except ProtocolViolation as error:
        error.request_id = answered_request(text)
        raise


def answered_request(text: bytes) -> int | None:
    """Return the id of the request that an unreadable response answers, if it shows."""
    match = _ID_BESIDE_VERSION.search(text)
    return int(match[1] or match[2]) if match else None


def _message(parsed: object) -> dict:
    if not isinstance(parsed, dict):
        raise ProtocolViolation("The MCP server's answer is not a JSON-RPC message")
    return parsed


def _parse(text: bytes) -> object:
    # Brackets inside strings count too; no real result has that many.
    if text.count(b"[") + text.count(b"{") > _MAX_CONTAINERS:
        raise ProtocolViolation("The MCP server's answer has too many lists and objects")
    text = text.removeprefix(BOM_UTF8)
    try:
        parsed, is_exact = orjson.loads(text), not exact_json.may_round(text)
        needs_repair = b"\\u0000" in text
    except orjson.JSONDecodeError:
        parsed, is_exact, needs_repair = _parse_leniently(text), True, True
    _check_depth(parsed)
    if not is_exact:
        parsed = _parse_leniently(text)
    return _repaired(parsed) if needs_repair else parsed


def _parse_leniently(text: bytes) -> object:
    """Parse JSON with invalid UTF-8, lone surrogates, control characters, NaN or long numbers."""
    encoding = json.detect_encoding(text)
    try:
        decoded = text.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        decoded = text.decode(encoding, "replace")
    try:
        return exact_json.loads_leniently(decoded)
    except (ValueError, RecursionError):
        raise ProtocolViolation("The MCP server's answer is not JSON") from None


def _check_depth(parsed: object) -> None:
    level: list = [parsed] if isinstance(parsed, dict | list) else []
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
    raise ProtocolViolation(f"The MCP server's answer is nested deeper than {MAX_DEPTH} levels")


def _repaired(value: object) -> object:
    """Return the value with U+FFFD for NUL and lone surrogates, which cannot be stored."""
    if isinstance(value, str):
        text = value.replace("\x00", "\ufffd")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_repaired(name): _repaired(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_repaired(inner) for inner in value]
    return value


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
    """Return the result of a response. Raises RpcError for an error, or ProtocolViolation."""
    if isinstance(message.get("error"), dict):
        raise error_of(message["error"])
    if not isinstance(message.get("result"), dict):
        raise ProtocolViolation("The MCP server's answer has no result")
    return message["result"]


def error_of(body: dict, kind: type[RpcError] = RpcError) -> RpcError:
    """Return the exception for the `error` member of a response."""
    code, text = body.get("code"), body.get("message")
    return kind(
        code if isinstance(code, int) else 0, str(text or "no reason given"), body.get("data")
    )


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
