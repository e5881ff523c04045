"""Compressing replies: pages, and JSON large enough that it pays.

A reply that shows a secret is never compressed: beside text that the sender chose, its
length would reveal the secret letter by letter (CVE-2013-3587). Views pass such replies to
`keep_uncompressed`. Secrets of every page (Django's CSRF tokens) are masked differently each
time, and up to a hundred random bytes are added to each reply.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from django.http import HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers, patch_cache_control, patch_vary_headers
from django.utils.text import compress_string

MIN_PAGE_BYTES = 1_400  # a packet
MIN_JSON_BYTES = 32 * 1024  # below, it costs a caller nearby more time than it saves
_RANDOM_BYTES = 100
_MAX_CODINGS = 100
_PAGES = ("text/html",)
_OTHERS = ("application/json", "application/vnd.oai.openapi+json", "text/csv", "text/plain")


def accepted_codings(header: str) -> set[str]:
    """Return the codings that an `Accept-Encoding` admits: those with a `q` of 0 are refused.

    Of very many, which take long to read, none.
    """
    codings = set()
    parts = header.lower().split(",")
    for part in parts if len(parts) <= _MAX_CODINGS else ():
        name, *parameters = (text.strip() for text in part.split(";"))
        refused = any(re.fullmatch(r"q\s*=\s*0(\.0*)?", text) for text in parameters)
        if name and not refused:
            codings.add(name)
    return codings


def is_compressible(status: int, headers: Mapping[str, str], size: int) -> bool:
    """Return whether a reply may be compressed, and is worth it. `headers` ignore case."""
    if status != 200 or headers.get("Content-Encoding"):
        return False
    if "no-transform" in (headers.get("Cache-Control") or ""):
        return False
    content_type = (headers.get("Content-Type") or "application/json").split(";")[0].strip()
    if content_type in _PAGES:
        return size >= MIN_PAGE_BYTES
    return content_type in _OTHERS and size >= MIN_JSON_BYTES


def keep_uncompressed(response: HttpResponse) -> None:
    """Keep a reply that shows a secret from being stored or compressed, also by proxies."""
    add_never_cache_headers(response)
    patch_cache_control(response, no_transform=True)


def compress(body: bytes, *, is_prepared: bool = False) -> bytes:
    """Return the body as gzip; cached if `is_prepared`, for a body that is sent repeatedly."""
    return _of_prepared(body) if is_prepared else _compress(body)


def _compress(body: bytes) -> bytes:
    return compress_string(body, max_random_bytes=_RANDOM_BYTES)


_of_prepared = lru_cache(maxsize=4)(_compress)


def weak(etag: str) -> str:
    """Return a strong tag as a weak one, for the same content in another coding."""
    return f"W/{etag}"


class CompressionMiddleware:
    """Compresses the replies of views, and reads `Accept-Encoding` for static files, too."""

    def __init__(self, get_response) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest):
        codings = accepted_codings(request.META.get("HTTP_ACCEPT_ENCODING", ""))
        # Whitenoise looks for names alone, and would send what is refused by `q=0`.
        request.META["HTTP_ACCEPT_ENCODING"] = ", ".join(sorted(codings - {"*"}))
        response = self.get_response(request)
        if response.streaming:
            return response
        if not is_compressible(response.status_code, response, len(response.content)):
            return response
        patch_vary_headers(response, ["Accept-Encoding"])
        if "gzip" in codings:
            has_tag = response.has_header("ETag")
            response.content = compress(response.content, is_prepared=has_tag)
            response["Content-Encoding"] = "gzip"
            if has_tag:
                response["ETag"] = weak(response["ETag"])
        return response
