"""OpenAI's protocol, and everything compatible with it (Azure's paths included)."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import GatewayError, QuotaUsedUp
from gateway.protocols.openai_answers import (
    StreamReader,
    blames_request,
    is_answer_event,
    is_error_event,
    is_usage_event,
    read_answer,
    read_text,
)
from gateway.protocols.openai_endpoints import RESPONSES, gives_direct_access, match
from gateway.protocols.protocol import Endpoint

__all__ = [
    "StreamReader",
    "blames_request",
    "error_body",
    "error_event",
    "gives_direct_access",
    "is_answer_event",
    "is_error_event",
    "is_usage_event",
    "match",
    "price_terms",
    "read_answer",
    "read_text",
    "token_of",
]

_WINDOW = re.compile(r"[a-z0-9]{1,16}")
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    404: "not_found_error",
}


def token_of(headers: Mapping[str, str]) -> str:
    """Return the token that a request presents, in any of the places where SDKs put it."""
    scheme, _, token = headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in ("api-key", "X-API-Key", "x-goog-api-key"):
        if value := headers.get(name, "").strip():
            return value
    return ""


def price_terms(body: Mapping[str, Any]) -> dict[str, str]:
    """Return the terms of a request that change its price, and that no answer states."""
    options = body.get("background_options")
    window = options.get("completion_window") if isinstance(options, dict) else None
    if not (isinstance(window, str) and _WINDOW.fullmatch(window)) or window == "soonest":
        return {}
    return {"completion_window": window}


def error_body(error: GatewayError) -> dict[str, Any]:
    """Return an error as OpenAI's SDKs read it: they take message and code from an object."""
    return {
        "error": {
            "message": str(error),
            "type": _type_of(error),
            "param": error.param,
            "code": error.code,
        }
    }


def _type_of(error: GatewayError) -> str:
    if isinstance(error, QuotaUsedUp):
        # OpenAI's own 429 of this kind: by it clients tell a spent quota from a limit that passes.
        return "insufficient_quota"
    if error.status_code >= 500:
        return "api_error"
    return _TYPES.get(error.status_code, "invalid_request_error")


def error_event(error: GatewayError, endpoint: Endpoint, encode) -> bytes:
    """Return an error within a stream that has begun.

    Events of Responses have a type and a number, without which some clients skip them.
    """
    body = error_body(error)
    if endpoint.name == RESPONSES:
        event = {"type": "error", "sequence_number": 0, **body}
        return b"event: error\ndata: " + encode(event) + b"\n\n"
    return b"data: " + encode(body) + b"\n\n"
