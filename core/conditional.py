"""Conditional requests (RFC 9110, section 13), by Django's own rules."""

from collections.abc import Mapping
from typing import Protocol

from django.http import HttpRequest, HttpResponse
from django.http.request import HttpHeaders
from django.utils.cache import get_conditional_response, patch_vary_headers
from drf_spectacular.utils import OpenApiParameter

from core.compression import weak

IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the last reply: 304 without a body while nothing has changed.",
)
ETAG = OpenApiParameter("ETag", str, OpenApiParameter.HEADER, response=[200, 304])
CONDITIONAL = [IF_NONE_MATCH, ETAG]  # for `headers` of a view


# A resource without a date of its last change ignores the others (RFC 9110, section 13.1).
_CONDITIONS = ("If-Match", "If-None-Match")


class ConditionalRequest(Protocol):
    """A request to a view or to the edge."""

    method: str
    headers: Mapping[str, str]


_MAX_TAGS = 100  # more take Django milliseconds, a regular expression for each


def _shortened(tags: str, etag: str) -> str:
    """Return a list of entity tags; of a very long one, of its rest only those like this one."""
    parts = tags.split(",")
    first, rest = parts[:_MAX_TAGS], parts[_MAX_TAGS:]
    return ",".join([*first, *{tag for tag in rest if etag in tag}])


def not_modified(request: ConditionalRequest, headers: Mapping[str, str]) -> HttpResponse | None:
    """Return a 304 with these headers if the caller has the version of their `ETag`.

    None: answer in full. A failed `If-Match` is a 412.
    """
    stated = {name: value for name in _CONDITIONS if (value := request.headers.get(name))}
    if not stated:
        return None
    etag = headers["ETag"]
    stated = {name: _shortened(value, etag) for name, value in stated.items()}
    conditions = HttpRequest()
    conditions.method = request.method
    conditions.META = {HttpHeaders.to_wsgi_name(name): value for name, value in stated.items()}
    response = get_conditional_response(conditions, etag=etag)
    if response is not None:
        del response["Content-Type"]  # of a body that is not there
        for name, value in headers.items():
            response[name] = value
        # As in the 200, which may have been compressed: a cache replaces what it has of these.
        patch_vary_headers(response, ["Accept-Encoding"])
        if weak(etag) in stated.get("If-None-Match", ""):
            response["ETag"] = weak(etag)
    return response
