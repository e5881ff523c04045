"""The headers of every reply, whoever makes it.

What is known of a request before its endpoint is called, such as its rate limit, is noted
on it, and is in its reply unless that says something else.

Middleware writes them (settings.HEADER_MIDDLEWARE): as part of the
middleware for the views, and here for the replies of the edge.
"""

from collections.abc import Mapping
from functools import cache, lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

RawHeaders = list[tuple[bytes, bytes]]


@cache
def _middleware():
    handler = lambda request: HttpResponse()  # noqa: E731
    for name in reversed(settings.HEADER_MIDDLEWARE):
        handler = import_string(name)(handler)
    return handler


@lru_cache(maxsize=256)
def common_headers(
    *, method: str, origin: str | None, scheme: str, proto: str | None
) -> RawHeaders:
    """Return what Django's middleware adds to a reply, as ASGI writes it. Not to be changed.

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
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.items()
    ]


def add_common(headers: RawHeaders, common: RawHeaders) -> None:
    """Add the common headers to a reply's own.

    `Vary` names what both vary by; the reply's own `Cache-Control` is the one that counts.
    """
    own = {name: value for name, value in headers if name in (b"vary", b"cache-control")}
    if not own:
        headers += common
        return
    own_vary = own.get(b"vary")
    if own_vary is not None:
        headers.remove((b"vary", own_vary))
    for name, value in common:
        if name == b"vary" and own_vary is not None:
            headers.append((name, own_vary + b", " + value))
        elif name not in own:
            headers.append((name, value))


def note(request: object, headers: Mapping[str, str]) -> None:
    """Have the reply to a request, on the edge or of Django, carry these headers."""
    request.noted_headers = headers


def noted(request: object) -> dict[str, str]:
    """Return what was noted on a request."""
    return getattr(request, "noted_headers", {})


def forget() -> None:
    """Read the settings again; for tests that change them."""
    _middleware.cache_clear()
    common_headers.cache_clear()
