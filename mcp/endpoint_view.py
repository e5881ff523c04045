"""Serve MCP over Streamable HTTP without sessions: each POST is answered by one JSON object."""

import orjson
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.views import APIView

from core import media
from mcp.client import protocol
from mcp.endpoint import Call, Failure, answer

# HTTP statuses of errors in the stateless revision.
_STATUS = {
    **dict.fromkeys((protocol.PARSE_ERROR, protocol.INVALID_REQUEST, protocol.INVALID_PARAMS), 400),
    **dict.fromkeys((protocol.HEADER_MISMATCH, protocol.UNSUPPORTED_VERSION), 400),
    protocol.METHOD_NOT_FOUND: 404,
}
_REQUEST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "calculator__add", "arguments": {"a": 1, "b": 2}},
}
_REPLY = {
    "jsonrpc": "2.0",
    "id": 1,
    "result": {"content": [{"type": "text", "text": "3"}], "structuredContent": {"result": 3}},
}


class EndpointView(APIView):
    @extend_schema(
        tags=["mcp"],
        summary="All active MCP servers of your project, as one MCP server",
        description="Give this address to an MCP client, with your key as a header. JSON-RPC "
        "over Streamable HTTP, in every revision from 2024-11-05 to 2026-07-28.",
        request={"application/json": OpenApiTypes.OBJECT},
        responses={200: OpenApiTypes.OBJECT, 202: OpenApiResponse(description="A notification.")},
        examples=[
            OpenApiExample("a call", _REQUEST, request_only=True),
            OpenApiExample("its result", _REPLY, response_only=True, status_codes=["200"]),
        ],
    )
    def post(self, request):
        version = request.headers.get("MCP-Protocol-Version", "")
        modern = bool(version) and version not in protocol.HANDSHAKE_VERSIONS
        id = None
        try:
            message = _message(request.body)
            if "id" not in message or "method" not in message:
                if modern:
                    _check_version(version)
                return HttpResponse(status=202)
            id = _id(message)
            call = _call(request, message, version, modern)
            return _json(protocol.result(id, answer(call)))
        except Failure as failure:
            reply = protocol.error(id, failure.code, str(failure), failure.data)
            # Older clients read the error from a reply of status 200.
            is_unparsed = failure.code in (protocol.PARSE_ERROR, protocol.INVALID_REQUEST)
            return _json(reply, _STATUS.get(failure.code, 200) if modern or is_unparsed else 200)


def _json(message: dict, status: int = 200) -> HttpResponse:
    return HttpResponse(media.dumps(message), content_type="application/json", status=status)


def _message(body: bytes) -> dict:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Failure(protocol.PARSE_ERROR, "Parse error") from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise Failure(protocol.INVALID_REQUEST, "The body should be one JSON-RPC message")
    return message


def _id(message: dict) -> int | str:
    id = message["id"]
    if isinstance(id, bool) or not isinstance(id, int | str):
        raise Failure(protocol.INVALID_REQUEST, "id should be a string or an integer")
    return id


def _call(request, message: dict, version: str, modern: bool) -> Call:
    method, params = message["method"], message.get("params")
    params = {} if params is None else params
    if not isinstance(method, str) or not isinstance(params, dict):
        raise Failure(protocol.INVALID_REQUEST, "method should be a string, params an object")
    if modern:
        _check_envelope(request.headers, method, params)
        _check_version(version)
    return Call(caller=request.auth, method=method, params=params, version=version)


def _check_envelope(headers, method: str, params: dict) -> None:
    """Check that `_meta` is complete and the headers repeat what the message says."""
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


def _check_version(version: str) -> None:
    if version not in protocol.MODERN_VERSIONS:
        data = {"supported": list(protocol.MODERN_VERSIONS), "requested": version}
        raise Failure(protocol.UNSUPPORTED_VERSION, "Unsupported protocol version", data)
