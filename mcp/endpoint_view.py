"""Serve MCP over Streamable HTTP without sessions: each POST is answered for itself.

The answer is one JSON object, a list of them to a batch, or a stream of events when the client
asked for progress and there is some.
"""

import re
from contextlib import nullcontext
from itertools import chain
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import ParseError
from rest_framework.views import APIView

from accounts import admission
from accounts.permissions import Action
from core import exact_json, json_writer
from core.errors import InvalidInput
from mcp.cancellation import cancelled_with_client
from mcp.client import protocol
from mcp.client.notifications import Listener, ignore
from mcp.endpoint import Call, Failure, answer
from mcp.progress_stream import with_progress
from mcp.schemas import examples

# HTTP statuses of errors in the stateless revision.
_STATUS = {
    **dict.fromkeys((protocol.PARSE_ERROR, protocol.INVALID_REQUEST, protocol.INVALID_PARAMS), 400),
    **dict.fromkeys((protocol.HEADER_MISMATCH, protocol.UNSUPPORTED_VERSION), 400),
    protocol.METHOD_NOT_FOUND: 404,
}
_LOOPBACK = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
# These call the project's servers; all other methods only look into the database.
_CALLING = {"tools/call", "prompts/get", "resources/read"}
_BATCHING_VERSIONS = ("", "2025-03-26")  # the only revision with batches, before there was a header
_MAX_BATCH = 100  # messages; they are answered one after the other
_MESSAGE = {"type": "object", "additionalProperties": {}}
_ONE_OR_MORE = {"oneOf": [_MESSAGE, {"type": "array", "items": _MESSAGE}]}


class EndpointView(APIView):
    operation = "post"
    access = {"post": Action.READ}  # of each message its own, below

    @extend_schema(
        tags=["mcp"],
        summary="All active MCP servers of your project, as one MCP server",
        description="Give this address to an MCP client, with your key as a header. JSON-RPC "
        "over Streamable HTTP, in every revision from 2024-11-05 to 2026-07-28. A batch of "
        "2025-03-26 is answered by a list.",
        request={"application/json": _ONE_OR_MORE},
        responses={
            200: OpenApiResponse(_ONE_OR_MORE, description="The responses."),
            202: OpenApiResponse(description="A notification."),
            400: OpenApiResponse(_ONE_OR_MORE, description="No valid message."),
            403: OpenApiResponse(OpenApiTypes.OBJECT, description="Not permitted."),
            404: OpenApiResponse(OpenApiTypes.OBJECT, description="An unknown method."),
        },
        examples=examples.ENDPOINT,
    )
    def post(self, request):
        version = request.headers.get("MCP-Protocol-Version", "")
        modern = bool(version) and version not in protocol.HANDSHAKE_VERSIONS
        id = None
        try:
            if not _is_allowed(request.headers.get("Origin")):
                refusal = protocol.error(None, protocol.INVALID_REQUEST, "Origin is not allowed")
                return _json(refusal, 403)
            sent = _parsed(request.body)
            if isinstance(sent, list) and version in _BATCHING_VERSIONS:
                return self._answer_batch(request, sent, version)
            message = _message(sent)
            if not _is_request(message):
                if modern:
                    _check_version(version)
                return HttpResponse(status=202)
            id = _id(message)
            _check(request.headers, message, version, modern)
            _admit(request, [message])
        except Failure as failure:
            return _json(*_failed(id, failure, modern))
        return self._answer(request, message, version, modern)

    def _answer_batch(self, request, batch: list, version: str) -> HttpResponse:
        """Answer the requests of a batch, in their order. Source: MCP 2025-03-26, "Batching"."""
        if not 0 < len(batch) <= _MAX_BATCH:
            message = f"A batch should have 1 to {_MAX_BATCH} messages"
            raise Failure(protocol.INVALID_REQUEST, message)
        _admit(request, batch)
        answers = [_batched(request, sent, version) for sent in batch]
        answers = [each for each in answers if each is not None]
        if not answers:
            return HttpResponse(status=202)
        codes = {each.get("error", {}).get("code") for each in answers}
        return _json(answers, 400 if codes == {protocol.INVALID_REQUEST} else 200)

    def _answer(self, request, message: dict, version: str, modern: bool):
        def run(on_progress: Listener) -> tuple[dict, int]:
            call = _call(request, message, version, on_progress)
            # Source: MCP 2026-07-28, "Cancellation". Before, a lost connection means nothing.
            is_cancellable = modern and message["method"] in _CALLING
            watch = cancelled_with_client(request) if is_cancellable else nullcontext()
            try:
                with watch:
                    return protocol.result(message["id"], answer(call)), 200
            except Failure as failure:
                return _failed(message["id"], failure, modern)

        token = _progress_token(message)
        if token is None or "text/event-stream" not in request.headers.get("Accept", ""):
            return _json(*run(ignore))
        messages = with_progress(run, token)
        first, status = next(messages)
        if protocol.is_response(first):
            return _json(first, status)
        return StreamingHttpResponse(
            map(_event, chain([first], (each for each, _ in messages))),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )


def _is_allowed(origin: str | None) -> bool:
    """Return whether a page of this origin may call. The key alone does not protect.

    Whoever rebinds a name to this server's address has the browser send the page's origin,
    which a wildcard would let pass: it does not count here.
    """
    if origin is None or _LOOPBACK.fullmatch(origin) or origin in settings.CORS_ALLOWED_ORIGINS:
        return True
    public = urlsplit(settings.PUBLIC_URL)
    if origin == f"{public.scheme}://{public.netloc}":
        return True
    return any(re.match(pattern, origin) for pattern in settings.CORS_ALLOWED_ORIGIN_REGEXES)


def _admit(request, messages: list) -> None:
    """Check that the caller may do what the messages ask. Raises what `admission.admit` does."""
    methods = [each.get("method") for each in messages if isinstance(each, dict)]
    if any(method in _CALLING for method in methods if isinstance(method, str)):
        address = request.META.get("REMOTE_ADDR", "")
        request.auth = admission.admit(request.auth, Action.WRITE, address)


def _call(request, message: dict, version: str, on_progress: Listener = ignore) -> Call:
    return Call(
        caller=request.auth,
        method=message["method"],
        params=message.get("params") or {},
        version=version,
        headers=request.headers,
        on_progress=on_progress,
    )


def _batched(request, sent: object, version: str) -> dict | None:
    """Return the response to a message of a batch; None for one that is no request."""
    id = None
    try:
        message = _message(sent)
        if not _is_request(message):
            return None
        id = _id(message)
        _check(request.headers, message, version, modern=False)
        if message["method"] == "initialize":
            raise Failure(protocol.INVALID_REQUEST, "initialize should not be part of a batch")
        return protocol.result(id, answer(_call(request, message, version)))
    except Failure as failure:
        return _failed(id, failure, modern=False)[0]


def _json(message: dict | list, status: int = 200) -> HttpResponse:
    return HttpResponse(json_writer.dumps(message), content_type="application/json", status=status)


def _event(message: dict) -> bytes:
    return b"event: message\ndata: " + json_writer.dumps(message) + b"\n\n"


def _failed(id: object, failure: Failure, modern: bool) -> tuple[dict, int]:
    """Return the error message and its HTTP status."""
    message = protocol.error(id, failure.code, str(failure), failure.data)
    # Older clients read the error from a reply of status 200.
    is_unparsed = failure.code in (protocol.PARSE_ERROR, protocol.INVALID_REQUEST)
    return message, _STATUS.get(failure.code, 200) if modern or is_unparsed else 200


def _parsed(body: bytes) -> object:
    try:
        return exact_json.loads(body)
    except (InvalidInput, ParseError):
        raise Failure(protocol.PARSE_ERROR, "Parse error") from None


def _message(sent: object) -> dict:
    if not isinstance(sent, dict) or sent.get("jsonrpc") != "2.0":
        raise Failure(protocol.INVALID_REQUEST, "The body should be one JSON-RPC message")
    is_notification = "id" not in sent and isinstance(sent.get("method"), str)
    if not (_is_request(sent) or is_notification or protocol.is_response(sent)):
        text = "A message should have a method, or be a response with a result or an error"
        raise Failure(protocol.INVALID_REQUEST, text)
    return sent


def _is_request(message: dict) -> bool:
    return "id" in message and "method" in message


def _id(message: dict) -> int | str:
    id = message["id"]
    if isinstance(id, bool) or not isinstance(id, int | str):
        raise Failure(protocol.INVALID_REQUEST, "id should be a string or an integer")
    return id


def _progress_token(message: dict) -> int | str | None:
    meta = (message.get("params") or {}).get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    return token if isinstance(token, int | str) and not isinstance(token, bool) else None


def _check(headers, message: dict, version: str, modern: bool) -> None:
    """Raise Failure unless the message is a request of the revision."""
    method, params = message["method"], message.get("params")
    params = {} if params is None else params
    if not isinstance(method, str) or not isinstance(params, dict):
        raise Failure(protocol.INVALID_REQUEST, "method should be a string, params an object")
    if modern:
        meta = params.get("_meta")
        if not isinstance(meta, dict) or protocol.META_VERSION not in meta:
            _check_version(version)  # another revision may have other members
        _check_envelope(headers, method, params)
        _check_version(version)


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


def _check_version(version: str) -> None:
    if version not in protocol.MODERN_VERSIONS:
        data = {"supported": list(protocol.MODERN_VERSIONS), "requested": version}
        raise Failure(protocol.UNSUPPORTED_VERSION, "Unsupported protocol version", data)
