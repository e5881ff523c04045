"""What an upstream's configuration and a token allow: paths, origins, headers, parameters.

Source: docs/gateway.md, section "Upstreams".
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from core.origins import DEFAULT_PORTS
from core.parsing import MAX_PARAMETERS
from gateway import errors
from gateway.holders import Holder
from gateway.upstream_config import UpstreamConfig


def covers(pattern: str, path: str) -> bool:
    """Return whether a pattern covers a path, or one above it, segment by segment.

    `/v1/files` covers `/v1/files/abc`, and not `/v1/filesystem`.
    """
    wanted, given = _segments(pattern), _segments(path)
    return len(given) >= len(wanted) and all(map(fnmatchcase, given, wanted))


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _is_among(origin: str, origins: Sequence[str]) -> bool:
    return _as_browsers_send(origin) in map(_as_browsers_send, origins)


def _as_browsers_send(origin: str) -> str:
    """Return an origin in small letters, without the port that its scheme implies."""
    origin = origin.lower().rstrip("/")
    scheme, _, _ = origin.partition(":")
    return origin.removesuffix(f":{DEFAULT_PORTS.get(scheme)}")


def check_token(holder: Holder, path: str, origin: str | None) -> None:
    """Raise EndpointNotAllowed, OriginNotAllowed for what the token is not for."""
    endpoints = holder.allowed_endpoints
    if endpoints is not None and not any(covers(each, path) for each in endpoints):
        raise errors.EndpointNotAllowed("The token may not use this endpoint")
    origins = holder.allowed_origins
    if origins is not None and not (origin and _is_among(origin, origins)):
        raise errors.OriginNotAllowed("Origin not allowed")


def check_upstream(
    upstream: UpstreamConfig, method: str, path: str, headers: Mapping[str, str]
) -> None:
    """Raise the error of what the upstream's configuration refuses of a request."""
    if upstream.allowed_methods and method not in upstream.allowed_methods:
        raise errors.MethodNotAllowed(method, path, upstream.allowed_methods)
    if upstream.allowed_endpoints and not any(
        covers(each, path) for each in upstream.allowed_endpoints
    ):
        raise errors.UnknownEndpoint(method, path)
    for name in upstream.required_headers:
        if headers.get(name):
            continue
        if name.lower() == "origin":
            raise errors.OriginRequired("Origin header required")
        raise errors.HeaderRequired(f"The header {name} is required")
    origin = headers.get("Origin")
    origins = upstream.allowed_origins
    if origins and origin is not None and not _is_among(origin, origins):
        raise errors.OriginNotAllowed("Origin not allowed")


def check_count(query_string: str) -> None:
    """Raise GatewayError for a query whose parameters are too many to be checked."""
    if max(map(query_string.count, "&;")) >= MAX_PARAMETERS:
        raise errors.GatewayError(f"The query has more than {MAX_PARAMETERS} parameters")


def check_params(upstream: UpstreamConfig, params: Mapping[str, Any]) -> None:
    """Raise ParamNotAllowed for a value that the upstream's list of a parameter lacks."""
    whitelist = upstream.param_whitelist
    for name in params:
        # Servers written in Go take the names of members in any case.
        if name not in whitelist and name.casefold() in map(str.casefold, whitelist):
            raise errors.ParamNotAllowed(f"The parameter {name[:64]!r} is ambiguous", param=name)
    for name, patterns in whitelist.items():
        if name not in params:
            continue
        value = params[name]
        for each in value if isinstance(value, list) else [value]:
            if not _matches(each, patterns):
                raise errors.ParamNotAllowed(
                    f"Parameter {name!r} value {_text(each)[:200]!r} is not allowed. "
                    f"Allowed patterns: {list(patterns)}",
                    param=name,
                )


def _matches(value: Any, patterns: Sequence[str]) -> bool:
    text = _text(value)
    # As in a shell's names of files, `*` does not cross a slash.
    return any(
        text.count("/") == pattern.count("/") and fnmatchcase(text, pattern) for pattern in patterns
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
