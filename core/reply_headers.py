"""The headers of every reply, whoever makes it.

Django's own middleware writes them (settings.HEADER_MIDDLEWARE): as part of the
middleware for the views, and here for the replies of the edge.
"""

from collections.abc import Iterable
from functools import cache, lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

Headers = tuple[tuple[str, str], ...]


@cache
def _middleware():
    handler = lambda request: HttpResponse()  # noqa: E731
    for name in reversed(settings.HEADER_MIDDLEWARE):
        handler = import_string(name)(handler)
    return handler


@lru_cache(maxsize=256)
def common_headers(*, method: str, origin: str | None, scheme: str, proto: str | None) -> Headers:
    """Return what Django's middleware adds to a reply.

    `origin` and `proto` are the request's `Origin` and `X-Forwarded-Proto`.
    """
    request = HttpRequest()
    request.method = method
    request.META["wsgi.url_scheme"] = scheme
    request._get_scheme = lambda: scheme
    if origin is not None:
        request.META["HTTP_ORIGIN"] = origin
    if proto is not None:
        request.META["HTTP_X_FORWARDED_PROTO"] = proto
    response = _middleware()(request)
    del response["Content-Type"]
    return tuple(response.items())


def with_common(headers: Iterable[tuple[str, str]], common: Headers) -> list[tuple[str, str]]:
    """Return a reply's own headers followed by the common ones; `Vary` names what both vary by."""
    own = {name.lower(): value for name, value in headers}
    merged = [pair for pair in headers if pair[0].lower() != "vary"]
    for name, value in common:
        if name.lower() == "vary" and own.get("vary"):
            value = f"{own['vary']}, {value}"
        merged.append((name, value))
    return merged
