"""The JSON-RPC messages that `/mcp` accepts, and how it answers the others.

Source: MCP 2026-07-28, "Streamable HTTP".
"""

from rest_framework.exceptions import ParseError

from core import exact_json
from core.errors import InvalidInput
from mcp.client import protocol
from mcp.endpoint import Failure

# HTTP statuses of errors in the stateless revision.
_STATUS = {
    **dict.fromkeys((protocol.PARSE_ERROR, protocol.INVALID_REQUEST, protocol.INVALID_PARAMS), 400),
    **dict.fromkeys((protocol.HEADER_MISMATCH, protocol.UNSUPPORTED_VERSION), 400),
    protocol.METHOD_NOT_FOUND: 404,
}


def is_modern(version: str) -> bool:
    """Return whether the header names a stateless revision, known here or not."""
    return bool(version) and version not in protocol.HANDSHAKE_VERSIONS


def parse(body: bytes) -> object:
    """Return the JSON of a body. Raises Failure."""
    try:
        return exact_json.loads(body)
    except (InvalidInput, ParseError):
        raise Failure(protocol.PARSE_ERROR, "Parse error") from None


def checked(sent: object) -> dict:
    """Return what was sent if it is a JSON-RPC message. Raises Failure."""
    if not isinstance(sent, dict) or sent.get("jsonrpc") != "2.0":
        raise Failure(protocol.INVALID_REQUEST, "The body should be one JSON-RPC message")
    has_method = isinstance(sent.get("method"), str)
    if not (has_method or is_request(sent) or protocol.is_response(sent)):
        text = "A message should have a method, or be a response with a result or an error"
        raise Failure(protocol.INVALID_REQUEST, text)
    return sent


def is_request(message: dict) -> bool:
    return "id" in message and "method" in message


def id_of(message: dict) -> int | str:
    """Return the id of a request. Raises Failure."""
    id = message["id"]
    if isinstance(id, bool) or not isinstance(id, int | str):
        raise Failure(protocol.INVALID_REQUEST, "id should be a string or an integer")
    return id


def progress_token(message: dict) -> int | str | None:
    """Return the token under which a client asks for progress; None if it does not."""
    meta = (message.get("params") or {}).get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    return token if isinstance(token, int | str) and not isinstance(token, bool) else None


def check_request(headers, message: dict, version: str) -> None:
    """Raise Failure unless the message is a request of the revision."""
    method, params = message["method"], message.get("params")
    params = {} if params is None else params
    if not isinstance(method, str) or not isinstance(params, dict):
        raise Failure(protocol.INVALID_REQUEST, "method should be a string, params an object")
    if is_modern(version):
        meta = params.get("_meta")
        if not isinstance(meta, dict) or protocol.META_VERSION not in meta:
            check_version(version)  # another revision may have other members
        _check_envelope(headers, method, params)
        check_version(version)


def _check_envelope(headers, method: str, params: dict) -> None:
    """Check that `_meta` is complete and the headers agree with the message."""
    meta = params.get("_meta")
    required = (protocol.META_VERSION, protocol.META_CAPABILITIES)
    if not isinstance(meta, dict) or any(name not in meta for name in required):
        raise Failure(protocol.INVALID_PARAMS, f"params._meta should have {' and '.join(required)}")
    expected = {"MCP-Protocol-Version": meta[protocol.META_VERSION], "Mcp-Method": method}
    if name := protocol.NAMED_BY.get(method):
        expected["Mcp-Name"] = params.get(name)
    for header, value in expected.items():
        if value is not None and protocol.header_text(headers.get(header)) != value:
            raise Failure(protocol.HEADER_MISMATCH, f"{header} is not what the message says")


def check_version(version: str) -> None:
    """Raise Failure unless the stateless revision is known."""
    if version not in protocol.MODERN_VERSIONS:
        data = {"supported": list(protocol.MODERN_VERSIONS), "requested": version}
        raise Failure(protocol.UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def error_reply(id: object, failure: Failure, version: str) -> tuple[dict, int]:
    """Return the error message and its HTTP status."""
    message = protocol.error(id, failure.code, str(failure), failure.data)
    # Older clients read the error from a reply of status 200.
    is_unparsed = failure.code in (protocol.PARSE_ERROR, protocol.INVALID_REQUEST)
    has_status = is_unparsed or is_modern(version)
    return message, _STATUS.get(failure.code, 200) if has_status else 200
