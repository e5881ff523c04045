"""What a token's holder may know of it: `GET /v1/token`."""

from typing import Any

from django.utils import timezone

from accounts.limits import allowances
from core import bridge, json_writer
from gateway import errors
from gateway.holders import Holder
from gateway.models import Token


async def describe(holder: Holder) -> dict[str, Any]:
    """Return the token's limits, and what is left of them; amounts are US dollars as text.

    Raises TokenNotFound.
    """
    return await bridge.in_thread(_describe, holder)


def _describe(holder: Holder) -> dict[str, Any]:
    token = Token.objects.select_related("allowance").filter(id=holder.token_id).first()
    if token is None:  # deleted, with its project, since its holder was looked up
        raise errors.TokenNotFound("Token not found")
    allowance = token.allowance
    left = allowances.remaining(allowance, timezone.now())
    return {
        "object": "token",
        "id": token.id,
        "name": token.name,
        "project_id": token.project_id,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "upstream": token.upstream,
        "allowed_models": token.allowed_models,
        "allowed_endpoints": token.allowed_endpoints,
        "allowed_origins": token.allowed_origins,
        "max_requests": allowance.max_requests,
        "requests_per_minute": allowance.requests_per_minute,
        "budget_usd": _text(allowance.budget_usd),
        "request_count": allowance.requests,
        "spent_usd": _text(allowance.spent_usd),
        "reserved_usd": _text(allowance.reserved_usd),
        "remaining": {**left, "budget_usd": _text(left["budget_usd"])},
    }


def _text(amount) -> str | None:
    return None if amount is None else json_writer.plain(amount)
