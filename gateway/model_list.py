"""`GET /v1/models`: the upstream's list, as far as the token may use it, and the aliases."""

from typing import Any

import orjson

from core import media
from gateway import errors
from gateway.holders import Holder
from gateway.model_rules import is_allowed
from gateway.planning import Plan

DEFAULT_PROFILE = "default"


def alias_named(id: str, plan: Plan, holder: Holder) -> dict[str, Any] | None:
    """Return the alias of this id; None for another model, and for the list.

    Raises ModelNotFound for a model that the token may not use.
    """
    if not id:
        return None
    for alias in _aliases(plan, holder):
        if alias["id"] == id:
            return alias
    if not is_allowed(id, holder.allowed_models):
        raise errors.ModelNotFound(f"The token has no model {id[:200]!r}", param="model")
    return None


def seen_by(data: bytes, plan: Plan, holder: Holder) -> bytes:
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
