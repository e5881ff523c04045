"""The gateway as an ASGI application, in front of another one that serves all other paths.

request → endpoint → token → plan → admission → upstream → relay → settlement
"""

import re
import time
from dataclasses import replace
from urllib.parse import unquote

from django.conf import settings
from structlog.contextvars import bind_contextvars

from accounts.edge_admission import count_request
from core import bridge, request_checks
from core.asgi import Application, Headers, Receive, Scope, Send
from core.edge_request import ClientDisconnected, Request
from core.middleware import log_access
from gateway import (
    call_admission,
    errors,
    headers,
    holders,
    own_replies,
    reporting,
    response_cache,
    token_info,
    tokens,
    upstreams,
)
from gateway.answer import model_list
from gateway.call_relay import CallRelay
from gateway.exchange import Exchange
from gateway.holders import Holder
from gateway.protocols import is_of_another, protocol_of
from gateway.protocols.protocol import Billing, Matched
from gateway.request import paths, policies
from gateway.request.plan import Plan
from gateway.request.planning import plan

_TOKEN_PATH = "/v1/token"
# What a path must not hold, so that what is checked is what the upstream reads.
_AMBIGUOUS = re.compile(rb"%2f|%5c|\\|%00|%25", re.IGNORECASE)
# Ids of many servers have slashes, which OpenAI's SDKs escape.
_ID_OF_MODEL = re.compile(rb"(?:/openai)?(?:/v1)?/models/")
_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_MAX_ESCAPED = 4  # levels of escaping: a URL within a URL within a URL


class Gateway:
    """Serves the paths of its protocols; hands every other request to `fallback`."""

    def __init__(self, fallback: Application) -> None:
        self._fallback = fallback
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if (protocol := protocol_of(path)) is None:
            await self._fallback(scope, receive, send)
            return
        started = time.perf_counter()
        request = Request(scope, Headers(scope["headers"]), receive)
        request.id = tokens.hidden(request.id)  # upstreams and logs get it
        bind_contextvars(request_id=request.id)
        exchange = Exchange(request, protocol, send)
        refusal = None
        try:
            await self._serve(exchange, _canonical(path, scope.get("raw_path", b"")))
        except ClientDisconnected:
            return
        except Exception as error:
            refusal = own_replies.as_gateway_error(error, request)
            await own_replies.refuse(exchange, refusal)
        finally:
            exchange.unwatch()
        reporting.answered(
            exchange,
            seconds=time.perf_counter() - started,
            error_code=refusal.code if refusal else None,
        )
        log_access(request.method, tokens.hidden(request.path), exchange.status or 0, started)

    async def _serve(self, exchange: Exchange, path: str | None) -> None:
        request = exchange.request
        request_checks.check_host(request.host)
        if request.method == "OPTIONS":
            await own_replies.preflight(exchange)
            return
        token = exchange.protocol.token_of(request.headers)
        if not token:
            raise errors.InvalidToken("Missing or invalid Authorization header")
        holder = await _holder(request, token)
        if path is None:
            raise errors.GatewayError("The path is ambiguous")
        if token in path or _is_in_query(token, request.query_string):
            raise errors.GatewayError("A token in the address would be seen: send it as a header")
        if path == _TOKEN_PATH:
            if request.method not in ("GET", "HEAD"):
                raise errors.MethodNotAllowed(request.method, path, ("GET", "HEAD"))
            await own_replies.reply(exchange, await token_info.describe(holder))
            return
        matched = _endpoint(exchange, path)
        exchange.route = matched.endpoint.name
        policies.check_token(holder, path, request.headers.get("Origin"))
        if self._in_flight >= settings.GATEWAY_CONCURRENCY:
            raise errors.Busy("The server relays as many calls as it can; try again")
        self._in_flight += 1
        try:
            await _relay(exchange, matched, holder, path, token)
        finally:
            self._in_flight -= 1


async def _holder(request: Request, token: str) -> Holder:
    """Return the token's holder; count the request for its project, or else for its address."""
    try:
        holder = await holders.holder_of(token)
    except errors.InvalidToken:
        await count_request(request, None)
        raise
    await count_request(request, holder.caller)
    return holder


async def _relay(
    exchange: Exchange, matched: Matched, holder: Holder, path: str, token: str
) -> None:
    made = await plan(exchange.request, exchange.protocol, matched, holder, path, token)
    exchange.upstream = made.upstream.name
    try:
        # The body may have taken hours to come, and the token may have been revoked meanwhile.
        await holders.holder_of(token)
        await _call(exchange, made, holder, matched, path)
    finally:
        made.content.close()


async def _call(
    exchange: Exchange, made: Plan, holder: Holder, matched: Matched, path: str
) -> None:
    made.cache_key = response_cache.key_of(exchange.request, made, path)
    if made.endpoint.lists_models:
        known = await upstreams.current()
        aliases = model_list.aliases(made, holder, known, matched)
        if alias := model_list.alias_named(matched.model_id, aliases, made, holder):
            await own_replies.reply(exchange, alias)
            return
        if not matched.model_id:
            made.edit = lambda data: model_list.seen_by(data, aliases, made, holder)
            edited = headers.of_edited(made.request.headers)
            made.request = replace(made.request, headers=edited)
    if hit := await response_cache.find(made.cache_key, exchange.request, holder):
        body = hit.body
        if made.edit is not None:
            body = await bridge.in_thread_if_large(len(body), made.edit, body)
        await own_replies.give(exchange, hit.status, hit.headers, body)
        return
    attempt = made.state.breaker.acquire()
    if attempt is None:
        raise errors.UpstreamSuspended(
            f"The upstream {made.upstream.name!r} does not answer; it is tried again soon",
            retry_after=round(made.state.breaker.seconds_left) + 1,
        )
    if made.endpoint.billing is Billing.FREE:
        await CallRelay(exchange, made, None, attempt).run()
        return
    try:
        call = await call_admission.admit(made, holder)
    except BaseException:
        attempt.abandoned()
        raise
    await CallRelay(exchange, made, call, attempt).run()


def _canonical(path: str, raw_path: bytes) -> str | None:
    """Return the path without repeated or final slashes; None for an ambiguous one."""
    if _ID_OF_MODEL.match(raw_path):
        raw_path = _SLASH.sub(b"/", raw_path)
    if _AMBIGUOUS.search(raw_path):
        return None
    path = paths.canonical(path)
    return None if any(map(paths.leads_elsewhere, path.split("/"))) else path


def _is_in_query(token: str, query: str) -> bool:
    """Return whether a query has the token, however often it is escaped."""
    for _ in range(_MAX_ESCAPED):
        if token in query:
            return True
        if "%" not in query:
            return False
        query = unquote(query)
    return token in query


def _endpoint(exchange: Exchange, path: str) -> Matched:
    """Return the endpoint of a request. Raises GatewayError if there is none."""
    request, protocol = exchange.request, exchange.protocol
    # Other protocols are offered, not asked for: Java's client offers HTTP/2 to every server.
    wants_upgrade = (
        "upgrade" in request.headers.get("Connection", "").lower()
        and "websocket" in request.headers.get("Upgrade", "").lower()
    )
    if protocol.gives_direct_access(path):
        if wants_upgrade:
            raise errors.UpgradeRefused("Websockets are not relayed; use HTTP")
        raise errors.NotServed("Direct access past the gateway is not handed out")
    matches = protocol.match(path)
    if not matches:
        unknown = errors.OtherAPI if is_of_another(path) else errors.UnknownEndpoint
        raise unknown(request.method, path)
    if wants_upgrade:
        raise errors.UpgradeRefused("Websockets are not relayed; use HTTP")
    for matched in matches:
        if request.method in matched.endpoint.methods:
            return matched
    if request.method == "POST" and is_of_another(path):
        raise errors.OtherAPI(request.method, path)
    allowed = sorted({method for each in matches for method in each.endpoint.methods})
    raise errors.MethodNotAllowed(request.method, path, tuple(allowed))
