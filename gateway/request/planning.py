"""Turn a request into a plan: checked, with model and upstream resolved, and its cost bounded.

Nothing is sent or counted yet.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, quote
from uuid import UUID

from django.conf import settings

from core import bridge, json_writer
from core.edge_request import MAX_PARSED_ON_LOOP, Request
from gateway import background, errors, headers, upstreams
from gateway.cache_policy import CacheKey
from gateway.holders import Holder
from gateway.protocols.protocol import Billing, Endpoint, Matched, ProtocolModule
from gateway.request import (
    bounds,
    content,
    forms,
    labels,
    model_rules,
    paths,
    policies,
    restrictions,
)
from gateway.request.content import Content
from gateway.request.json_splice import with_member
from gateway.upstream_call import UpstreamRequest
from gateway.upstream_config import UpstreamConfig
from gateway.upstreams import Upstreams, UpstreamState
from registry_proxy import pricing
from usage.models import DEFAULT_PROFILE

# Shorter keys are placeholders (`none`, `ollama`), which may be words of answers.
_MIN_SECRET = 16
_UNRESERVED = "/-._~:@!$&'()*+,;="
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1", "1.0"})  # as pydantic reads booleans


@dataclass(slots=True)
class Plan:
    """A call that may be made."""

    protocol: ProtocolModule
    endpoint: Endpoint
    upstream: UpstreamConfig
    state: UpstreamState
    key: str = field(repr=False)  # the upstream's
    request: UpstreamRequest
    content: Content
    project_id: UUID
    model: str = ""
    requested_model: str = ""
    response_id: str = ""  # of the stored answer that is requested
    alias: str | None = None
    profile: str | None = None
    origin: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    price_terms: dict[str, str] = field(default_factory=dict)
    is_stream: bool = False
    asks_for_usage: bool = False  # added by us: the usage is hidden from the client
    reserved: Decimal = Decimal(0)
    cache_key: CacheKey | None = None  # None: its answer is never cached
    without_usage_option: bytes | None = None  # the body for an upstream that does not know it
    # Reduces the body of an answer to what the token may see; None: it may see all.
    edit: Callable[[bytes], bytes] | None = None

    @property
    def secret(self) -> str | None:
        """The upstream's key, which no client may see; None for a placeholder."""
        return self.key if len(self.key) >= _MIN_SECRET else None


async def plan(
    request: Request,
    protocol: ProtocolModule,
    matched: Matched,
    holder: Holder,
    path: str,
    token: str,
) -> Plan:
    """Return the plan of a request. Raises GatewayError, ClientDisconnected."""
    call_labels = labels.read(request)
    all_upstreams = await upstreams.current()
    is_checked = holder.is_restricted or all_upstreams.have_whitelists
    body = await content.read(request, matched.endpoint, is_checked=is_checked)
    try:
        return await _plan(request, protocol, matched, holder, path, token, body, call_labels)
    except BaseException:
        body.close()
        raise


async def _plan(
    request: Request,
    protocol: ProtocolModule,
    matched: Matched,
    holder: Holder,
    path: str,
    token: str,
    body: Content,
    call_labels: dict[str, Any],
) -> Plan:
    endpoint = matched.endpoint.asked(body.value)
    matched = matched._replace(endpoint=endpoint)
    all_upstreams = await upstreams.current()
    named = _named_model(body, matched)
    alias, resolved = _resolve(named, holder, call_labels["profile"])
    upstream, model = await _choose(
        all_upstreams, matched, holder, resolved, is_alias=alias is not None
    )
    matched = matched.at(is_azure=upstream.is_azure)
    policies.check_upstream(upstream, request.method, path, request.headers)
    if isinstance(named, str) and model != named:
        # From here on, the body is what the upstream gets.
        await body.examine(_rename_model, body, matched, named, model)
    policies.check_params(upstream, {**body.params, **_models(body, matched, model, upstream)})
    policies.check_params(upstream, parse_qs(request.query_string, keep_blank_values=True))
    if holder.is_restricted:
        await restrictions.check_models(
            request, matched, body, holder, model, upstream=upstream.name
        )
    key, is_shared = upstreams.credential(upstream, holder)
    if is_shared and not upstream.shared_objects:
        await body.examine(restrictions.refuse_shared, endpoint, body.value)
    made = Plan(
        protocol=protocol,
        endpoint=endpoint,
        upstream=upstream,
        state=upstreams.state_of(upstream),
        key=key,
        request=_without_body(
            request,
            matched,
            upstream,
            model,
            key=key,
            token=token,
            is_restricted=holder.is_restricted,
        ),
        content=body,
        project_id=holder.caller.project_id,
        model=model,
        requested_model=str(named)[:255] if isinstance(named, str) else "",
        response_id=matched.response_id,
        price_terms=protocol.price_terms(body.value),
        is_stream=_asks_for_stream(body),
        **{**call_labels, "alias": call_labels["alias"] or alias},
    )
    made.request = await body.examine(_with_body, made, request)
    if holder.has_budget and endpoint.billing is not Billing.FREE:
        made.reserved = await _bound(made, holder)
    return made


def _named_model(body: Content, matched: Matched) -> Any:
    """Return the model that the path or the body names, which may be any JSON value."""
    named = matched.deployment or body.params.get("model")
    if isinstance(named, list):  # a form may have a field twice
        return named[-1] if body.fields is not None else None
    return named


def _rename_model(body: Content, matched: Matched, named: str, model: str) -> None:
    """Give the body the model's name at the upstream. Raises GatewayError for a form."""
    if body.fields is not None and matched.deployment is None:
        raise errors.GatewayError(
            f"In a form the model is named itself: {model[:200]!r}", param="model"
        )
    body.rename_model(named, model)


def _asks_for_stream(body: Content) -> bool:
    """Return whether a server may read this as a stream: many accept texts and numbers."""
    stated = body.value.get("stream") if body.fields is None else body.fields.last("stream")
    return isinstance(stated, str | int | float) and str(stated).lower() in _TRUE


def _without_body(
    request: Request,
    matched: Matched,
    upstream: UpstreamConfig,
    model: str,
    *,
    key: str,
    token: str,
    is_restricted: bool,
) -> UpstreamRequest:
    sent = headers.to_upstream(
        request.raw_headers, token=token, request_id=request.id, is_restricted=is_restricted
    )
    sent.append(_credential_header(upstream, key))
    url = _url(upstream, matched, model, request.query_string)
    return UpstreamRequest(request.method, url, sent, None)


def _with_body(made: Plan, request: Request) -> UpstreamRequest:
    body, sent = made.content, made.request
    if body.parts is not None or body.file is not None:
        data = body.parts if body.file is None else (lambda: forms.pieces(body.file))
        length = request.headers.get("Content-Length")
        return _replaced(sent, data, [("Content-Length", length)] if length else [])
    if body.data is None:
        return sent
    data = body.data
    if made.endpoint.takes_usage_option and made.is_stream:
        data = _asking_for_usage(made, data)
    if body.is_checked:
        sent = replace(sent, headers=headers.of_json(sent.headers))
    return _replaced(sent, lambda: data, [])


def _replaced(sent: UpstreamRequest, body: Any, more: list[tuple[str, str]]) -> UpstreamRequest:
    return UpstreamRequest(sent.method, sent.url, [*sent.headers, *more], body)


def _asking_for_usage(made: Plan, data: bytes) -> bytes:
    """Return the body of a streaming chat, with a request for its usage unless that is refused."""
    options = made.content.value.get("stream_options")
    if made.request.url in made.state.without_usage_option or not made.upstream.include_usage:
        return data
    if not (options is None or isinstance(options, dict)):
        return data  # the upstream's to refuse
    if (options or {}).get("include_usage") not in (None, False):
        return data  # the client asks for it, or sends a value for the upstream to judge
    made.asks_for_usage = True
    made.without_usage_option = data
    asked = {**(options or {}), "include_usage": True}
    return with_member(data, "stream_options", json_writer.dumps(asked))


def _resolve(named: Any, holder: Holder, profile: str | None) -> tuple[str | None, str]:
    """Return the alias, if the name is one, and the model that it stands for.

    Raises GatewayError.
    """
    if not isinstance(named, str):
        return None, ""
    if "\x00" in named:
        raise errors.GatewayError("The model's name has a null character", param="model")
    target = holder.aliases.get((profile or DEFAULT_PROFILE, named))
    return (None, named) if target is None else (named, target)


async def _choose(
    all_upstreams: Upstreams, matched: Matched, holder: Holder, model: str, *, is_alias: bool
) -> tuple[UpstreamConfig, str]:
    """Return the upstream of the call, and the model's name there.

    Raises UpstreamUnusable, EndpointNotFound, ModelNotAllowed.
    """
    if matched.response_id and not model:
        upstream = await _upstream_of_answer(matched.response_id, holder, all_upstreams)
        if upstream is not None:
            return upstream, model
    return upstreams.choose(all_upstreams, holder, model, matched=matched, is_alias=is_alias)


async def _upstream_of_answer(
    response_id: str, holder: Holder, all_upstreams: Upstreams
) -> UpstreamConfig | None:
    """Return the upstream that works on the requested answer; None if it is not known.

    Raises UpstreamUnusable, EndpointNotFound.
    """
    if holder.upstream:
        return None
    if len(all_upstreams.by_name) == 1 and not all_upstreams.unusable:
        return None  # on most servers, so that their polls need no database
    name = await background.upstream_of(holder.caller.project_id, response_id)
    return None if name is None else all_upstreams.existing(name)


def _models(
    body: Content, matched: Matched, model: str, upstream: UpstreamConfig
) -> dict[str, list]:
    """Return the parameter `model`: all models in the request, as the upstream gets them."""
    stated = body.params.get("model", [])
    models = [model] if matched.deployment else []
    models += stated if body.fields is not None else [stated] if "model" in body.params else []
    if "model" in upstream.param_whitelist:
        models += model_rules.alternatives(body.params, {"model", *upstream.param_whitelist})
    return {"model": models} if models else {}


def _url(upstream: UpstreamConfig, matched: Matched, model: str, query: str) -> str:
    if matched.deployment is not None and ("/" in model or paths.leads_elsewhere(model)):
        raise errors.GatewayError(f"{model[:200]!r} is not a deployment", param="model")
    base = upstream.base_url
    if matched.is_azure:
        for ending in ("/v1", "/openai"):
            base = base.removesuffix(ending)
        base += "/openai"
    path = quote(matched.path_with(model), safe=_UNRESERVED)
    return base + path + (f"?{query}" if query else "")


def _credential_header(upstream: UpstreamConfig, key: str) -> tuple[str, str]:
    if upstream.is_azure:
        return "api-key", key
    return "Authorization", f"Bearer {key}"


async def _bound(made: Plan, holder: Holder) -> Decimal:
    """Return the most that the call can cost. Raises Unbounded."""
    body = made.content
    size = len(body.data or b"")
    arguments = {
        "size": size,
        "endpoint": made.endpoint,
        "provider": made.upstream.priced_as,
        "model": made.model,
        "default_output": made.upstream.max_output_tokens,
        "default_tool_calls": made.upstream.max_tool_calls,
        "price_terms": made.price_terms,
        "project_id": holder.caller.project_id,
    }
    try:
        if body.fields is not None or made.endpoint.billing is Billing.LATER:
            what = "a form asks for" if body.fields is not None else "this starts"
            raise bounds.unbounded(f"What {what} has no price that is known before", param=None)
        if pricing.is_loaded() and size <= MAX_PARSED_ON_LOOP:
            return bounds.bound(body.value, **arguments)
        return await bridge.in_thread(bounds.bound, body.value, **arguments)
    except errors.Unbounded:
        if settings.GATEWAY_UNBOUNDED:
            return Decimal(0)
        raise
