"""What the gateway answers by itself: refusals, preflights, and what a token may do."""

import logging

from django.conf import settings

from core import json_writer
from core.edge_request import Request
from core.errors import failure
from gateway import errors, tokens
from gateway.exchange import Exchange

logger = logging.getLogger(__name__)

_OF_PREFLIGHTS = (
    b"access-control-allow-headers",
    b"access-control-allow-methods",
    b"access-control-max-age",
)


async def preflight(exchange: Exchange) -> None:
    """Allow a browser whatever headers its SDK sends: they grow with each release."""
    request = exchange.request
    asked = request.headers.get("Access-Control-Request-Headers", "")
    common = [(name, value) for name, value in request.common_headers if name not in _OF_PREFLIGHTS]
    headers = []
    if any(name == b"access-control-allow-origin" for name, _ in common):
        headers = [
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            (b"access-control-max-age", b"%d" % settings.CORS_PREFLIGHT_MAX_AGE),
        ]
    id = request.id.encode()
    ids = [(b"x-llmring-request-id", id), (b"x-request-id", id)]
    await exchange.start_raw(204, [*ids, *common, *headers])
    await exchange.finish()


async def reply(exchange: Exchange, value: object, status: int = 200, headers=()) -> None:
    """Send a JSON value."""
    await give(
        exchange, status, [("Content-Type", "application/json"), *headers], json_writer.dumps(value)
    )


async def give(
    exchange: Exchange, status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    """Send a whole answer; of one to HEAD all but its body."""
    await exchange.start(status, headers, length=len(body))
    await exchange.finish(b"" if exchange.request.method == "HEAD" else body)


def as_gateway_error(error: Exception, request: Request) -> errors.GatewayError:
    """Return any error as one that a protocol can write; a bug is logged and becomes a 500."""
    if isinstance(error, errors.GatewayError):
        return error
    known = failure(error)
    if known is None:
        path = tokens.hidden(request.path)
        logger.error("%s %s failed", request.method, path, exc_info=error)
        made = errors.GatewayError("Internal Server Error")
        made.status_code, made.code = 500, "internal_error"
        return made
    made = errors.GatewayError(str(known.detail))
    made.status_code = known.status
    made.code = known.code
    made.headers = known.headers
    made.can_retry = known.status >= 500 or "Retry-After" in known.headers
    return made


async def refuse(exchange: Exchange, error: errors.GatewayError) -> None:
    """Send an error, unless an answer has begun: its transfer is left without its end."""
    if exchange.is_started:
        return
    exchange.is_origin_allowed = not isinstance(error, errors.OriginNotAllowed)
    headers = [*error.headers.items()]
    if not error.can_retry:
        # The official SDKs retry 409, 429 and 5xx unless they are told not to.
        headers.append(("x-should-retry", "false"))
    await reply(exchange, exchange.protocol.error_body(error), error.status_code, headers)
