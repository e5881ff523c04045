"""The headers of every reply, of views and of the edge.

settings.HEADER_MIDDLEWARE adds the common ones: in Django's middleware for views, and here
for the edge. Headers that are known before the endpoint is called, such as those of the rate
limit, are noted on the request; the reply may override them.
"""

from collections.abc import Mapping
from functools import cache, lru_cache

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
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
    """Return the headers that Django's middleware adds to a reply, cached: do not modify them.

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

    `Vary` is combined; the reply's own `Cache-Control` wins.
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
    """Add headers to the reply to a request, of the edge or of Django."""
    request.noted_headers = headers


def noted(request: object) -> dict[str, str]:
    """Return the headers that were noted on a request."""
    return getattr(request, "noted_headers", {})


@receiver(setting_changed)
def _forget(**changed) -> None:
    """Clear the caches where a test changes the settings."""
    _middleware.cache_clear()
    common_headers.cache_clear()
