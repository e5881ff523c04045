"""`GET /v1/models`: the upstream's list, as far as the token may use it, and the aliases."""

from typing import Any

import orjson

from core import media
from gateway import errors, headers, own_replies, response_cache, upstream_call
from gateway.exchange import Exchange
from gateway.holders import Holder
from gateway.model_rules import is_allowed
from gateway.planning import Plan
from gateway.relay import hold

DEFAULT_PROFILE = "default"


async def relay(exchange: Exchange, plan: Plan, holder: Holder, *, id: str = "") -> None:
    """Relay the list, filtered, or the model of this id.

    Raises ModelNotFound for one that the token may not use, and the errors of
    gateway/upstream_call.py.
    """
    if id:
        alias = next((each for each in _aliases(plan, holder) if each["id"] == id), None)
        if alias is not None:
            await own_replies.reply(exchange, alias)
            return
        if not is_allowed(id, holder.allowed_models):
            raise errors.ModelNotFound(f"The token has no model {id[:200]!r}", param="model")
    status, sent, data = await _answer(exchange, plan, holder)
    if status == 200 and not id:
        data = _filtered(data, plan, holder)
    await own_replies.give(exchange, status, sent, data)


async def _answer(
    exchange: Exchange, plan: Plan, holder: Holder
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of the upstream's answer, which may be a kept one."""
    request = exchange.request
    if found := await response_cache.find(plan.cache_key, request, holder):
        return found.status, found.headers, found.body
    response = await upstream_call.send(plan.request, plan.upstream, plan.state)
    held = await hold(response)
    response.close()
    plan.state.answered()
    sent = headers.to_client(response.headers)
    if held.is_whole and held.error is None:
        kept = {"status": response.status, "headers": sent, "body": held.data}
        sent = sent + await response_cache.keep(plan.cache_key, request, **kept)
    return response.status, sent, held.data


def _filtered(data: bytes, plan: Plan, holder: Holder) -> bytes:
    """Return the list as the token sees it; what is no list as it was sent."""
    try:
        reply = orjson.loads(data)
    except orjson.JSONDecodeError:
        return data
    if not isinstance(reply, dict) or not isinstance(reply.get("data"), list):
        return data
    models = [each for each in reply["data"] if _may_use(each, holder)]
    aliases = _aliases(plan, holder)
    if models == reply["data"] and not aliases:
        return data
    return media.dumps({**reply, "data": [*models, *aliases]})


def _may_use(model: Any, holder: Holder) -> bool:
    id = model.get("id") if isinstance(model, dict) else None
    return isinstance(id, str) and is_allowed(id, holder.allowed_models)


def _aliases(plan: Plan, holder: Holder) -> list[dict[str, Any]]:
    profile = plan.profile or DEFAULT_PROFILE
    return [
        {"id": alias, "object": "model", "created": 0, "owned_by": "alias"}
        for (own_profile, alias), model in sorted(holder.aliases.items())
        if own_profile == profile and is_allowed(model.partition(":")[2], holder.allowed_models)
    ]
