"""`GET /v1/models`: the upstream's models that the token may use, and the project's aliases."""

from collections.abc import Sequence
from typing import Any

from gateway import errors
from gateway.answer import lenient_json
from gateway.holders import Holder
from gateway.protocols.protocol import Matched
from gateway.request.model_rules import is_allowed
from gateway.request.plan import Plan
from gateway.upstreams import Upstreams, choose
from usage.models import DEFAULT_PROFILE

Alias = dict[str, Any]


def aliases(plan: Plan, holder: Holder, upstreams: Upstreams, matched: Matched) -> list[Alias]:
    """Return the aliases that the token may call, as the list shows them."""
    profile = _profile(plan)
    return [
        {"id": alias, "object": "model", "created": 0, "owned_by": "alias"}
        for (own_profile, alias), model in sorted(holder.aliases.items())
        if own_profile == profile and _may_call(model, holder, upstreams, matched)
    ]


def _may_call(target: str, holder: Holder, upstreams: Upstreams, matched: Matched) -> bool:
    try:
        upstream, model = choose(upstreams, holder, target, matched=matched, is_alias=True)
    except errors.GatewayError:
        return False
    return is_allowed(model, holder.allowed_models, upstream=upstream.name)


def alias_named(id: str, aliases: Sequence[Alias], plan: Plan, holder: Holder) -> Alias | None:
    """Return the alias of this id; None for another model, and for the list.

    Raises ModelNotFound for a model that the token may not use.
    """
    if not id:
        return None
    for alias in aliases:
        if alias["id"] == id:
            return alias
    if not _may_use(id, plan, holder):
        raise errors.ModelNotFound(f"The token has no model {id[:200]!r}", param="model")
    return None


def seen_by(data: bytes, aliases: Sequence[Alias], plan: Plan, holder: Holder) -> bytes:
    """Return the list as the token sees it; anything but a list is returned as it was sent.

    Raises UpstreamBroken for an unreadable list if the token may not see every model.
    """
    try:
        reply = lenient_json.loads(data)
    except ValueError as error:
        if not data or holder.allowed_models is None:  # the answer to HEAD has no body
            return data
        raise errors.UpstreamBroken("The upstream's list of models cannot be read") from error
    seen = _seen(reply, aliases, plan, holder)
    return data if seen == reply else lenient_json.dumps(seen)


def _seen(reply: Any, aliases: Sequence[Alias], plan: Plan, holder: Holder) -> Any:
    """Return what a token sees of a list: of Together's, which is bare, and of `models`, too.

    llama.cpp has these beside OpenAI's. Where Ollama has no model, its list is null.
    """
    if isinstance(reply, list):
        return [*_usable(reply, plan, holder), *aliases]
    if not isinstance(reply, dict):
        return reply
    seen = dict(reply)
    if isinstance(reply.get("models"), list):
        seen["models"] = _usable(reply["models"], plan, holder)
    if isinstance(reply.get("data"), list) or (reply.get("object") == "list" and aliases):
        seen["data"] = [*_usable(reply.get("data") or [], plan, holder), *aliases]
    return seen


def _usable(models: list[Any], plan: Plan, holder: Holder) -> list[Any]:
    """Return the models of a list that the token may use; some name them otherwise."""
    return [
        model
        for model in models
        if isinstance(model, dict)
        and _may_use(model.get("id") or model.get("model") or model.get("name"), plan, holder)
    ]


def _may_use(id: Any, plan: Plan, holder: Holder) -> bool:
    if not isinstance(id, str) or (_profile(plan), id) in holder.aliases:
        return False  # an alias of that name is called instead
    return is_allowed(id, holder.allowed_models, upstream=plan.upstream.name)


def _profile(plan: Plan) -> str:
    return plan.profile or DEFAULT_PROFILE
