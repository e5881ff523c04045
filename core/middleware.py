"""The outermost layer of a request that takes Django's whole way."""

import logging
import time

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from structlog.contextvars import bound_contextvars

from core import request_ids
from core.client_address import client_address
from core.errors import BodyTooLarge

access = logging.getLogger("llmring.access")


class RequestMiddleware:
    """Gives the request its id, bounds its body, and writes the access log when asked to."""

    def __init__(self, get_response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest):
        request.id = request_ids.of(request.META)
        # Whatever limits or locks out by address sees the client's, not the proxy's.
        request.META["REMOTE_ADDR"] = client_address(
            request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")
        )
        started = time.perf_counter()
        with bound_contextvars(request_id=request.id):
            response = self._answer(request)
            response["X-Request-ID"] = request.id
            if settings.ACCESS_LOG:
                access.info(
                    "%s %s %s",
                    request.method,
                    request.path,
                    response.status_code,
                    extra={"milliseconds": round((time.perf_counter() - started) * 1000, 1)},
                )
        return response

    def _answer(self, request: HttpRequest):
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.MAX_BODY_BYTES:
            error = BodyTooLarge(settings.MAX_BODY_BYTES)
            return JsonResponse({"detail": error.detail}, status=error.status_code)
        return self.get_response(request)
