"""What of a request may not pass: models, and objects that other projects may own.

Source: docs/gateway.md, sections "What cannot be checked" and "Endpoints".
"""

from typing import Any

from core.edge import Request
from gateway import errors, forms, model_rules
from gateway.content import Content
from gateway.holders import Holder
from gateway.json_objects import containers, objects
from gateway.protocols.protocol import Billing, Endpoint, Matched

_OBJECT_MEMBERS = frozenset(
    {
        "comparison_response_id",
        "container",
        "container_id",
        "file_id",
        "file_ids",
        "previous_response_id",
        "skill_id",
        "tunnel_id",
        "vector_store_ids",
    }
)
_HOLDERS_OF_IDS = frozenset({"audio", "voice"})  # an earlier answer's, and a custom one


def check_models(
    request: Request, matched: Matched, content: Content, holder: Holder, *spellings: str
) -> None:
    """Raise ModelNotAllowed for models that the token may not use, or that nobody can know.

    `spellings` are the names of the requested model: that of the upstream, and others.
    """
    allowed = holder.allowed_models
    if not matched.endpoint.has_model:
        _check_other(matched.endpoint, content, holder)
        return
    if allowed is None:
        return
    model_rules.check_names(content.params)
    for name in [*model_rules.named_in_body(content.value), *_fields(content, "model")[:-1]]:
        model_rules.check(name, allowed)
    for name in model_rules.named_in_query(request.query_string):
        model_rules.check(name, allowed)
    in_body = content.value.get("model")
    if in_body is not None and matched.deployment not in (None, in_body):
        model_rules.check(in_body, allowed)
    model, *others = spellings
    if not model:
        raise errors.ModelNotAllowed("The request names no model that could be checked")
    model_rules.check(model, allowed, *others)


def _fields(content: Content, name: str) -> list[str]:
    return content.fields.values.get(name, []) if content.fields is not None else []


def _check_other(endpoint: Endpoint, content: Content, holder: Holder) -> None:
    """Refuse what starts calls of models that are not in the request itself."""
    if endpoint.name == "files" and content.fields is not None:
        if content.fields.last("purpose") == "batch" and holder.allowed_models is not None:
            for body in forms.batch_lines(content.file):
                named = body.get("model") if isinstance(body, dict) else None
                model_rules.check(named, holder.allowed_models)
        return
    is_opened = holder.allowed_endpoints is not None  # the operator named it
    if endpoint.billing is Billing.LATER and not is_opened:
        raise errors.ModelNotAllowed(
            "The models that this starts cannot be checked: the token's allowed_endpoints must "
            "name it",
            param=None,
        )


def refuse_shared(endpoint: Endpoint, value: dict[str, Any]) -> None:
    """Raise ObjectsShared for objects of an upstream key that several projects have."""
    uses = [name for name in ("conversation", "background") if value.get(name)]
    what = endpoint.name if endpoint.is_stateful else uses[0] if uses else _stored_object(value)
    if not what:
        return
    raise errors.ObjectsShared(
        f"{what}: objects that lie upstream are not served with a key that several projects "
        "share; give this project an upstream key of its own"
    )


def _stored_object(body: dict[str, Any]) -> str:
    """Return the member or type by which a request names an object that lies upstream."""
    items = body.get("input")
    if isinstance(items, list) and any(map(_is_reference, containers(items))):
        return "item_reference"
    for part in objects(body):
        for name in _OBJECT_MEMBERS & part.keys():
            if part[name] and isinstance(part[name], str | list):
                return name
        for name in _HOLDERS_OF_IDS & part.keys():
            if isinstance(part[name], dict) and part[name].get("id"):
                return name
        kind = part.get("type")
        if kind == "item_reference" or (kind == "image_generation_call" and not part.get("result")):
            return kind
    return ""


def _is_reference(item: Any) -> bool:
    """Return whether an item names a stored one. Messages may lack a type as well."""
    return (
        isinstance(item, dict)
        and bool(item.get("id"))
        and item.get("type") is None
        and not {"role", "content"} <= item.keys()
    )
