"""Django's outermost middleware; the edge does the same for its routes (core/edge.py)."""

import logging
import time
from io import BytesIO, RawIOBase

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property
from structlog.contextvars import bound_contextvars

from core import json_writer, request_checks, request_ids
from core.client_address import client_address
from core.errors import BodyTooLarge, DomainError, failure
from core.reply_headers import note, noted

access = logging.getLogger("llmring.access")


def log_access(method: str, path: str, status: int, started: float) -> None:
    """Write a line of the access log if it is on; `started` is a time.perf_counter()."""
    if settings.ACCESS_LOG:
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        access.info("%s %s %s", method, path, status, extra={"milliseconds": milliseconds})


def refusal(error: DomainError, path: str) -> HttpResponse:
    """Return the reply of a middleware that refuses a request for a path."""
    status, body = failure(error).at(path)
    return HttpResponse(
        json_writer.dumps(body),
        content_type="application/json",
        status=status,
        headers=error.headers,
    )


class RequestMiddleware:
    """Outermost: gives the request its id, completes the reply, and writes the access log."""

    def __init__(self, get_response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest):
        request.id = request_ids.choose(request.META.get("HTTP_X_REQUEST_ID"))
        # Limits and locks by address apply to the client, not to the proxy.
        request.META["REMOTE_ADDR"] = client_address(
            request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")
        )
        if headers := request.META.get("llmring.noted_headers"):
            note(request, headers)
        started = time.perf_counter()
        with bound_contextvars(request_id=request.id):
            response = self.get_response(request)
            response["X-Request-ID"] = request.id
            correlation_id = request.META.get("HTTP_X_CORRELATION_ID")
            if request_ids.is_acceptable(correlation_id):  # as llm-proxy returns it
                response["X-Correlation-ID"] = correlation_id
            for name, value in noted(request).items():
                response.setdefault(name, value)
            # A 304 could only state the length of the 200, which is unknown; a 204 must state none
            # (RFC 9110, section 8.6).
            if not response.streaming and response.status_code not in (204, 304):
                response.setdefault("Content-Length", str(len(response.content)))
            if response.status_code != 405 and request.method != "OPTIONS":
                del response["Allow"]  # which DRF adds to every reply
            log_access(request.method, request.path, response.status_code, started)
        return response


class NoStoreMiddleware:
    """Keeps caches from storing replies that do not state their own `Cache-Control`.

    A shared cache recognizes private replies by `Authorization` alone: the reply to a key in
    another header it would serve to the next client (RFC 9111, section 3.5).
    """

    def __init__(self, get_response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest):
        response = self.get_response(request)
        response.setdefault("Cache-Control", "no-store")
        return response


class _CodedBody(RawIOBase):
    """A body that is decoded at the first read, when the view has admitted the caller.

    Reading raises the same as `request_checks.decode`.
    """

    def __init__(self, body: bytes, coding: str) -> None:
        self._body, self._coding = body, coding

    @cached_property
    def _decoded(self) -> BytesIO:
        return BytesIO(request_checks.decode(self._body, self._coding))

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._decoded.read(size)

    def readline(self, size: int = -1) -> bytes:
        return self._decoded.readline(size)


class RequestChecksMiddleware:
    """Refuses foreign hosts and invalid bodies; makes chunked and compressed bodies plain ones.

    Inside of the middleware that adds headers, so that browsers can read its refusals.
    """

    def __init__(self, get_response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest):
        try:
            request_checks.check_host(request.META.get("HTTP_HOST") or request.META["SERVER_NAME"])
            self._prepare_body(request)
        except DomainError as error:
            return refusal(error, request.path_info)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> HttpResponse | None:
        # Views of the API handle errors of reading the body, Django's own views do not.
        if isinstance(request._stream, _CodedBody) and not hasattr(view, "cls"):
            try:
                request._stream.read(0)
            except DomainError as error:
                return refusal(error, request.path_info)
        return None

    def _prepare_body(self, request: HttpRequest) -> None:
        meta, limit = request.META, settings.MAX_BODY_BYTES
        length = request_checks.body_length(meta.get("CONTENT_LENGTH"))
        coding = meta.pop("HTTP_CONTENT_ENCODING", None)
        if "CONTENT_LENGTH" in meta and meta["CONTENT_LENGTH"]:
            if not coding:
                return
            body = request.read(length)
        elif meta.get("wsgi.input_terminated"):  # chunked; by gunicorn, also where there is none
            body = meta["wsgi.input"].read(limit + 1)
            if not body and "HTTP_TRANSFER_ENCODING" not in meta:
                return
            if len(body) > limit:
                raise BodyTooLarge(limit)
        else:
            return
        request_checks.check_coding(coding)
        meta["CONTENT_LENGTH"] = str(len(body))
        # As WSGIRequest sets it for a plain body.
        request._stream = _CodedBody(body, coding) if coding else BytesIO(body)
        request._read_started = False
