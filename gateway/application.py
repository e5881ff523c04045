"""The gateway as an ASGI application, in front of another one that serves all other paths.

request → endpoint → token → plan → admission → upstream → relay → settlement
"""

import logging
import re
import time
from datetime import UTC, datetime
from urllib.parse import unquote

from django.conf import settings
from structlog.contextvars import bind_contextvars

from core import ids, media, request_checks
from core.edge import Application, ClientDisconnected, Headers, Receive, Request, Scope, Send
from core.errors import DomainError, failure
from core.middleware import log_access
from gateway import call_relay, errors, holders, metering, model_list, policies, token_info, tokens
from gateway.exchange import Exchange
from gateway.holders import Holder
from gateway.planning import Plan, plan
from gateway.protocols import openai
from gateway.protocols.protocol import Billing, Matched
from gateway.worker import worker

logger = logging.getLogger(__name__)

_PREFIX = re.compile(r"/+(v1|openai)(/|$)")
_TOKEN_PATH = "/v1/token"
# What a path must not hold, so that what is checked is what the upstream reads.
_AMBIGUOUS = re.compile(rb"%2f|%5c|\\|%00|%25", re.IGNORECASE)


class Gateway:
    """Serves the paths of its protocols; hands every other request to `fallback`."""

    def __init__(self, fallback: Application) -> None:
        self._fallback = fallback
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not _PREFIX.match(path):
            await self._fallback(scope, receive, send)
            return
        started = time.perf_counter()
        request = Request(scope, Headers(scope["headers"]), receive)
        bind_contextvars(request_id=request.id)
        exchange = Exchange(request, send)
        try:
            await self._serve(exchange, _canonical(path, scope.get("raw_path", b"")))
        except ClientDisconnected:
            return
        except Exception as error:
            await _refuse(exchange, _as_gateway_error(error, request))
        finally:
            exchange.unwatch()
        log_access(request.method, tokens.hidden(request.path), exchange.status or 0, started)

    async def _serve(self, exchange: Exchange, path: str | None) -> None:
        request = exchange.request
        request_checks.check_host(request.host)
        if request.method == "OPTIONS":
            await _preflight(exchange)
            return
        token = openai.token_of(request.headers)
        if not token:
            raise errors.InvalidToken("Missing or invalid Authorization header")
        holder = await holders.holder_of(token)
        if path is None:
            raise errors.GatewayError("The path is ambiguous")
        if token in path or token in unquote(request.query_string):
            raise errors.GatewayError("A token in the address would be seen: send it as a header")
        if path == _TOKEN_PATH:
            if request.method not in ("GET", "HEAD"):
                raise errors.MethodNotAllowed(request.method, ("GET", "HEAD"))
            await _reply(exchange, await token_info.describe(holder))
            return
        matched = _endpoint(request, path)
        policies.check_token(holder, path, request.headers.get("Origin"))
        if self._in_flight >= settings.GATEWAY_CONCURRENCY:
            raise errors.Busy("The server relays as many calls as it can; try again")
        self._in_flight += 1
        try:
            await _relay(exchange, matched, holder, path, token)
        finally:
            self._in_flight -= 1


async def _relay(
    exchange: Exchange, matched: Matched, holder: Holder, path: str, token: str
) -> None:
    made = await plan(exchange.request, matched, holder, path, token)
    try:
        await _call(exchange, made, holder, matched)
    finally:
        made.content.close()


async def _call(exchange: Exchange, made: Plan, holder: Holder, matched: Matched) -> None:
    if made.endpoint.lists_models:
        id = matched.rest.removeprefix("/models").removeprefix("/")
        await model_list.relay(exchange, made, holder, id=id)
        return
    if not made.state.breaker.acquire():
        raise errors.UpstreamSuspended(
            f"The upstream {made.upstream.name!r} does not answer; it is tried again soon",
            retry_after=round(made.state.breaker.seconds_left) + 1,
        )
    if made.endpoint.billing is Billing.FREE:
        await call_relay.relay(exchange, made, None)
        return
    try:
        call = await _admitted(made, holder)
    except BaseException:
        made.state.breaker.abandoned()
        raise
    await call_relay.relay(exchange, made, call)


async def _admitted(made: Plan, holder: Holder) -> metering.MeteredCall:
    """Return the call, reserved and stored. Raises LimitExceeded, BudgetExceeded, RateLimited."""
    worker.starts_call()
    at = datetime.now(UTC)
    call = metering.MeteredCall(
        id=ids.uuid7(at),
        caller=holder.caller,
        token_id=holder.token_id,
        allowance_id=holder.allowance_id,
        worker_id=worker.id,
        upstream=made.upstream.name,
        provider=made.upstream.priced_as,
        requested_model=made.requested_model or made.endpoint.name,
        started_at=at,
        reserved=made.reserved,
        alias=made.alias,
        profile=made.profile,
        origin=made.origin,
        metadata=made.metadata,
    )
    admission = await metering.admit(call)
    match admission.refusal:
        case "":
            return call
        case "budget":
            raise errors.BudgetExceeded("The token's budget does not cover this call")
        case "requests_per_minute":
            raise errors.RateLimited(
                "The token's requests of this minute are used up",
                retry_after=int(admission.seconds_to_next_minute) + 1,
            )
        case "max_requests":
            raise errors.LimitExceeded("Rate limit exceeded: the token's requests are used up")
    raise errors.TokenNotFound("Token not found")


def _canonical(path: str, raw_path: bytes) -> str | None:
    """Return the path without repeated or final slashes; None for one with two readings."""
    if _AMBIGUOUS.search(raw_path):
        return None
    segments = [segment for segment in unquote(path).split("/") if segment]
    return None if {".", ".."} & set(segments) else "/" + "/".join(segments)


def _endpoint(request: Request, path: str) -> Matched:
    """Return the endpoint of a request. Raises what no endpoint serves."""
    below = path.removeprefix("/v1").removeprefix("/openai")
    wants_upgrade = "upgrade" in request.headers.get("Connection", "").lower()
    if openai.DIRECT_ACCESS.fullmatch(below.removeprefix("/v1")):
        if wants_upgrade:
            raise errors.UpgradeRefused("Websockets are not relayed; use HTTP")
        raise errors.NotServed("Direct access past the gateway is not handed out")
    matches = openai.match(path)
    if not matches:
        raise errors.EndpointNotFound("Endpoint not found")
    if wants_upgrade:
        raise errors.UpgradeRefused("Websockets are not relayed; use HTTP")
    for matched in matches:
        if request.method in matched.endpoint.methods:
            return matched
    allowed = sorted({method for each in matches for method in each.endpoint.methods})
    raise errors.MethodNotAllowed(request.method, tuple(allowed))


async def _preflight(exchange: Exchange) -> None:
    """Allow a browser whatever headers its SDK sends: they grow with each release."""
    request = exchange.request
    asked = request.headers.get("Access-Control-Request-Headers", "")
    common = [
        (name, value)
        for name, value in request.common_headers
        if name not in (b"access-control-allow-headers", b"access-control-allow-methods")
    ]
    headers = []
    if any(name == b"access-control-allow-origin" for name, _ in common):
        headers = [
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            (b"access-control-max-age", b"%d" % settings.CORS_PREFLIGHT_MAX_AGE),
        ]
    await exchange.start_raw(204, [*common, *headers])
    await exchange.finish()


async def _reply(exchange: Exchange, value: object, status: int = 200, headers=()) -> None:
    body = media.dumps(value)
    await exchange.start(status, [("Content-Type", "application/json"), *headers], length=len(body))
    await exchange.finish(b"" if exchange.request.method == "HEAD" else body)


def _as_gateway_error(error: Exception, request: Request) -> errors.GatewayError:
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
    made.code = error.code if isinstance(error, DomainError) else "invalid_request"
    made.headers, made.can_retry = known.headers, known.status >= 500
    return made


async def _refuse(exchange: Exchange, error: errors.GatewayError) -> None:
    if exchange.is_started:
        return  # the transfer is left without its end
    exchange.is_origin_allowed = not isinstance(error, errors.OriginNotAllowed)
    headers = [*error.headers.items()]
    if not error.can_retry:
        # The official SDKs retry 409, 429 and 5xx unless they are told not to.
        headers.append(("x-should-retry", "false"))
    await _reply(exchange, openai.error_body(error), error.status_code, headers)
