"""Turn a request into a plan: checked, with model and upstream resolved, and its cost bounded.

Nothing is sent or counted yet.
"""

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings

from core import bridge
from core.edge_request import Request
from gateway import background, errors, upstreams
from gateway.holders import Holder
from gateway.protocols.protocol import Billing, Matched, ProtocolModule
from gateway.request import (
    bounds,
    content,
    labels,
    model_rules,
    policies,
    restrictions,
    upstream_requests,
)
from gateway.request.content import Content
from gateway.request.plan import Plan
from gateway.upstream_config import UpstreamConfig
from gateway.upstreams import Upstreams
from registry_proxy import pricing
from usage.models import DEFAULT_PROFILE

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1", "1.0"})  # as pydantic reads booleans


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
    if is_checked:
        policies.check_count(request.query_string)
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
    if upstream.param_whitelist:
        policies.check_params(upstream, {**body.params, **_models(body, matched, model, upstream)})
        policies.check_params(upstream, parse_qs(request.query_string, keep_blank_values=True))
    if holder.has_budget and endpoint.billing is Billing.LATER and not settings.GATEWAY_UNBOUNDED:
        raise _price_unknown("this starts")
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
        request=upstream_requests.without_body(
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
    made.request = await body.examine(upstream_requests.with_body, made, request)
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
            f"A form must name the model itself: {model[:200]!r}", param="model"
        )
    body.rename_model(named, model)


def _asks_for_stream(body: Content) -> bool:
    """Return whether a server may read this as a stream: many accept texts and numbers."""
    stated = body.value.get("stream") if body.fields is None else body.fields.last("stream")
    return stated.lower() in _TRUE if isinstance(stated, str) else stated == 1


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
            raise _price_unknown("a form asks for" if body.fields is not None else "this starts")
        if pricing.is_loaded() and size <= bridge.MAX_ON_LOOP:
            return bounds.bound(body.value, **arguments)
        return await bridge.in_thread(bounds.bound, body.value, **arguments)
    except errors.Unbounded:
        if settings.GATEWAY_UNBOUNDED:
            return Decimal(0)
        raise


def _price_unknown(what: str) -> errors.Unbounded:
    return bounds.unbounded(f"The price of what {what} is not known in advance", param=None)
