"""The routes that are answered in front of Django (core/edge.py)."""

import re
from functools import partial

from core.fast_lane import EdgeView


def routes() -> dict[tuple[str, str], EdgeView]:
    """Method and path of every route with a fast way; both spellings of the path."""
    from conversations import fast as conversations
    from conversations.models import Conversation
    from receipts import call_receipts
    from receipts import fast as receipts
    from registry_proxy.views import serve_on_edge as registry
    from usage import fast as usage

    named = {
        ("POST", "/api/v1/log"): partial(
            usage.log, owned_conversations=Conversation.objects.owned_ids
        ),
        ("GET", "/api/v1/logs"): usage.logs,
        ("GET", "/api/v1/stats"): usage.stats,
        ("POST", "/api/v1/receipts/issue"): receipts.issue,
        ("POST", "/api/v1/receipts/verify"): receipts.verify,
        ("GET", "/registry"): registry,
        ("GET", "/registry.json"): registry,
    }
    log_call = partial(conversations.log, receipt_issuer=call_receipts.issuer)
    for prefix in ("", "/api/v1"):
        named["POST", f"{prefix}/conversations"] = conversations.create
        named["POST", f"{prefix}/conversations/log"] = log_call
    return named | {(method, f"{path}/"): view for (method, path), view in named.items()}


def patterns() -> list[tuple[str, re.Pattern, EdgeView]]:
    """Method, path and view of the routes with an id in their path, which is passed on."""
    from conversations import fast as conversations

    one = r"(?:/api/v1)?/conversations/([0-9a-f-]{36})"
    return [
        ("GET", re.compile(rf"{one}/?"), conversations.opened),
        ("POST", re.compile(rf"{one}/messages/?"), conversations.append),
        ("POST", re.compile(rf"{one}/messages/batch/?"), conversations.append_batch),
    ]
