"""Which headers cross the gateway.

Source: docs/gateway.md, section "What is changed"; RFC 9110, section 7.6.1.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from gateway.answer.secret_matcher import matcher_of

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Credentials for this server, what identifies the client, and what is written anew.
_NOT_SENT = _HOP_BY_HOP | {
    "host",
    "content-length",
    "content-encoding",  # bodies are sent decoded
    "expect",
    "accept-encoding",
    "authorization",
    "x-api-key",
    "x-project-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "cookie2",
    "origin",
    "referer",
    "via",
    "x-request-id",
    "cdn-loop",
    "http2-settings",
    # By these some servers serve another path or method than the one that was checked.
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
}
# The client's address, under the names that proxies in front of this server use.
_ADDRESS = re.compile(
    r"""(^|-)forwarded(-|$) | ^(x-)?ip$ | (external|viewer)-address$
    | (client|connecting|connection|originating|peer|real|remote|socket|source|src|user)
      -?(ip|addr|address)(-|$)""",
    re.VERBOSE,
)
# By headers with such names other gateways choose a model, where bodies are checked for it.
_CHOOSING = re.compile(r"model|fallback|override|(portkey|helicone|litellm)-|virtual-key")
_NOT_SENT_PREFIXES = (
    *("x-llmring-", "sec-fetch-"),
    *("cf-", "cloudfront-", "fastly-", "fly-", "x-appengine-", "x-vercel-"),
)
# What is meant for this server alone, or what it states itself.
_NOT_RETURNED = _HOP_BY_HOP | {
    "content-length",
    "date",
    "server",
    "set-cookie",
    "set-cookie2",
    # Browsers would apply these to all pages of this server's host.
    "alt-svc",
    "clear-site-data",
    "nel",
    "public-key-pins",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "strict-transport-security",
    # By these, proxies in front of this server send a file or another URL instead.
    "x-accel-redirect",
    "x-lighttpd-send-file",
    "x-reproxy-url",
    "x-sendfile",
}
_NOT_RETURNED_PREFIXES = ("access-control-", "x-llmring-")
# These describe the bytes that the upstream sends, not the edited ones.
_OF_ITS_BYTES = frozenset(
    {
        *("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"),
        *("range", "if-range", "content-range", "accept-ranges", "content-encoding"),
        *("etag", "last-modified", "content-md5", "digest", "content-digest", "repr-digest"),
    }
)
_JSON = "application/json"
_PLAIN_JSON = re.compile(rf"{_JSON}\s*(;\s*charset=\"?utf-8\"?\s*)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def to_upstream(
    raw: Iterable[tuple[bytes, bytes]], *, token: str, request_id: str, is_restricted: bool
) -> list[tuple[str, str]]:
    """Return a client's headers for the upstream, in their order; without the token anywhere.

    Of a token that `is_restricted`, without those that may choose a model.
    """
    # Heads are sent as UTF-8.
    decoded = [(name.decode("latin-1"), value.decode("utf-8", "ignore")) for name, value in raw]
    listed = _listed_in_connection(decoded)
    kept = [
        (name, value)
        for name, value in decoded
        if _is_sent(lowered := name.lower())
        and lowered not in listed
        and token not in value
        and not (is_restricted and _CHOOSING.search(lowered))
    ]
    # Plain bytes can be metered as they pass, and any client can read them.
    return [*kept, ("Accept-Encoding", "identity"), ("X-Request-ID", request_id)]


@lru_cache(maxsize=256)  # clients send the same names again
def _is_sent(lowered: str) -> bool:
    return not (
        lowered in _NOT_SENT or lowered.startswith(_NOT_SENT_PREFIXES) or _ADDRESS.search(lowered)
    )


def to_client(raw: Iterable[tuple[bytes, bytes]], *, secret: str | None) -> list[tuple[str, str]]:
    """Return an upstream's headers for the client, under their own names, as Latin-1.

    Those that quote the `secret` are left out, and those with control characters: no
    server may send them.
    """
    decoded = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
    listed = _listed_in_connection(decoded)
    matcher = matcher_of(secret) if secret else None
    return [
        (name, value)
        for name, value in decoded
        if (lowered := name.lower()) not in _NOT_RETURNED
        and lowered not in listed
        and not lowered.startswith(_NOT_RETURNED_PREFIXES)
        and not (matcher and matcher.find(value.encode("latin-1")) >= 0)
        and not _CONTROL.search(value)
    ]


def without_coding(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of a body that is sent decoded."""
    return [pair for pair in pairs if pair[0].lower() != "content-encoding"]


def of_json(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of a body that was read as JSON: in UTF-8, and nothing else.

    Some servers decode it by a `charset` that was sent, or read it as a form.
    """
    types = [value for name, value in pairs if name.lower() == "content-type"]
    if len(types) == 1 and _PLAIN_JSON.fullmatch(types[0].strip()):
        return [*pairs]
    return _typed(pairs, _JSON)


def of_edited(
    pairs: Iterable[tuple[str, str]], *, kind: str | None = None
) -> list[tuple[str, str]]:
    """Return the headers of a request, or of its answer, whose body is edited here.

    `kind` is the type of the body, if it is another one.
    """
    kept = [pair for pair in pairs if pair[0].lower() not in _OF_ITS_BYTES]
    return kept if kind is None else _typed(kept, kind)


def _typed(pairs: Iterable[tuple[str, str]], kind: str) -> list[tuple[str, str]]:
    return [*(pair for pair in pairs if pair[0].lower() != "content-type"), ("Content-Type", kind)]


def _listed_in_connection(pairs: Iterable[tuple[str, str]]) -> set[str]:
    return {
        listed.strip().lower()
        for name, value in pairs
        if name.lower() == "connection"
        for listed in value.split(",")
    }
