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
from rest_framework.views import APIView

from accounts import admission
from accounts.permissions import Action
from core import json_writer
from mcp import endpoint_messages
from mcp.cancellation import cancelled_with_client
from mcp.client import protocol
from mcp.client.notifications import Listener, ignore
from mcp.endpoint import Call, Failure, answer
from mcp.progress_stream import with_progress
from mcp.schemas import examples

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
        id = None
        try:
            if not _is_allowed(request.headers.get("Origin")):
                refusal = protocol.error(None, protocol.INVALID_REQUEST, "Origin is not allowed")
                return _json(refusal, 403)
            sent = endpoint_messages.parse(request.body)
            if isinstance(sent, list) and version in _BATCHING_VERSIONS:
                return self._answer_batch(request, sent, version)
            message = endpoint_messages.checked(sent)
            if not endpoint_messages.is_request(message):
                if endpoint_messages.is_modern(version):
                    endpoint_messages.check_version(version)
                return HttpResponse(status=202)
            id = endpoint_messages.id_of(message)
            endpoint_messages.check_request(request.headers, message, version)
            _admit(request, [message])
        except Failure as failure:
            return _json(*endpoint_messages.error_reply(id, failure, version))
        return self._answer(request, message, version)

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

    def _answer(self, request, message: dict, version: str):
        def run(on_progress: Listener) -> tuple[dict, int]:
            call = _call(request, message, version, on_progress)
            # Source: MCP 2026-07-28, "Cancellation". Before, a lost connection means nothing.
            is_cancellable = endpoint_messages.is_modern(version) and message["method"] in _CALLING
            watch = cancelled_with_client(request) if is_cancellable else nullcontext()
            try:
                with watch:
                    return protocol.result(message["id"], answer(call)), 200
            except Failure as failure:
                return endpoint_messages.error_reply(message["id"], failure, version)

        token = endpoint_messages.progress_token(message)
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
    """Return the response to a message of a batch; None unless it is a request."""
    id = None
    try:
        message = endpoint_messages.checked(sent)
        if not endpoint_messages.is_request(message):
            return None
        id = endpoint_messages.id_of(message)
        endpoint_messages.check_request(request.headers, message, version)
        if message["method"] == "initialize":
            raise Failure(protocol.INVALID_REQUEST, "initialize should not be part of a batch")
        return protocol.result(id, answer(_call(request, message, version)))
    except Failure as failure:
        return endpoint_messages.error_reply(id, failure, version)[0]


def _json(message: dict | list, status: int = 200) -> HttpResponse:
    return HttpResponse(json_writer.dumps(message), content_type="application/json", status=status)


def _event(message: dict) -> bytes:
    return b"event: message\ndata: " + json_writer.dumps(message) + b"\n\n"
