"""Errors outside the API: a page for browsers, JSON for everybody else."""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.template.loader import render_to_string

from core.errors import DatabaseUnavailable, Failure, failure

# The codes are for programs, the texts for people.
_CODES = {
    400: "bad_request",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    429: "too_many_requests",
    500: "internal_error",
}
_TEXTS = {
    400: ("Bad Request", "The request cannot be read. Go back and try again."),
    403: ("Forbidden", "You may not do this, or you were logged out meanwhile."),
    404: ("Not Found", "There is nothing at this address. It may have been removed."),
    405: ("Method Not Allowed", "This address does not accept this kind of request."),
    429: ("Too Many Requests", "Too many failed attempts to log in. Try again in a while."),
    500: ("Internal Server Error", "This is our mistake. The log of the server says more."),
    503: ("Service Unavailable", "The server is not available. Try again in a moment."),
}
_NO_MEMBERS: Mapping[str, Any] = MappingProxyType({})
# The form was opened before a login or logout in another tab.
_STALE = (
    "Nothing was done: you logged in or out since this page was opened. "
    "Go back, reload the page, and try again."
)


def prefers_html(request: HttpRequest) -> bool:
    """Return whether the client prefers HTML to JSON, as browsers do."""
    return request.get_preferred_type(["application/json", "text/html"]) == "text/html"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error(request, 403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error(request, 403, advice=_STALE)


class NotAllowedMiddleware:
    """Innermost: gives the 405 of Django's views, which is empty, the body of other errors."""

    def __init__(self, get_response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not isinstance(response, HttpResponseNotAllowed):
            return response
        reply = error(request, 405)
        reply["Allow"] = response["Allow"]
        return reply


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the page for a bug, or for a database that is unavailable or too slow."""
    reply = failure(sys.exc_info()[1])  # Django calls this while it handles the exception
    if reply is None or reply.status != 503:
        return error(request, 500)
    if prefers_html(request):
        response = error(request, 503, advice=f"{reply.detail}.")
    else:
        response = _json(request, reply)
    for header, value in reply.headers.items():
        response[header] = value
    if reply.code == DatabaseUnavailable.code:
        response._has_been_logged = True  # by `failure`, in one line; Django adds a traceback
    return response


def _json(
    request: HttpRequest, reply: Failure, members: Mapping[str, Any] = _NO_MEMBERS
) -> JsonResponse:
    status, body = reply.at(request.path_info)
    body = {**body, **members}
    return JsonResponse(body, status=status, json_dumps_params={"separators": (",", ":")})


def _home(request: HttpRequest) -> str:
    """Return the path of the page's link: the admin's home inside of the admin, else `/`."""
    return "/admin/" if request.path_info.startswith("/admin/") else "/"


def error(
    request: HttpRequest,
    status: int,
    *,
    advice: str = "",
    members: Mapping[str, Any] = _NO_MEMBERS,
) -> HttpResponse:
    """Return the error as a page if the client prefers HTML, else as JSON. No database.

    `advice` is the page's; the JSON has the `members` besides.
    """
    name, usual_advice = _TEXTS[status]
    if not prefers_html(request):
        return _json(request, Failure(status, name, {}, _CODES[status]), members)
    context = {
        "status": status,
        "name": name,
        "advice": advice or usual_advice,
        "request_id": getattr(request, "id", ""),
        "home": f"{settings.FORCE_SCRIPT_NAME or ''}{_home(request)}",
    }
    return HttpResponse(render_to_string("core/error.html", context), status=status)
