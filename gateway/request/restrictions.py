"""What of a request may not pass: models, and objects that other projects may own.

Source: docs/gateway.md, sections "What cannot be checked" and "Endpoints".
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from core.edge_request import Request
from gateway import errors
from gateway.holders import Holder
from gateway.protocols.protocol import Billing, Endpoint, Matched
from gateway.request import batch_files, model_rules
from gateway.request.content import Content
from gateway.request.json_objects import containers, objects

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


async def check_models(
    request: Request,
    matched: Matched,
    content: Content,
    holder: Holder,
    model: str,
    *,
    upstream: str,
) -> None:
    """Raise ModelNotAllowed for models that the token may not use, or that nobody can know.

    `model` is the requested one, as this upstream names it.
    """
    if holder.allowed_models is None:
        return
    is_opened = holder.allowed_endpoints is not None  # the operator named it
    if matched.endpoint.billing is Billing.LATER and not is_opened:
        raise errors.ModelNotAllowed(
            "The models that this starts cannot be checked: the token's allowed_endpoints must "
            "name it",
            param=None,
        )
    rule = partial(model_rules.check, allowed=holder.allowed_models, upstream=upstream)
    check = partial(_check, request, matched, content, model, rule)
    await content.examine(check)


def _check(
    request: Request,
    matched: Matched,
    content: Content,
    model: str,
    check_model: Callable[[Any], None],
) -> None:
    if model:
        check_model(model)
    elif matched.endpoint.has_model:
        raise errors.ModelNotAllowed("The request names no model that could be checked")
    if matched.model_id and not matched.endpoint.lists_models:
        check_model(matched.model_id)
    for name in _named(request, content):
        check_model(name)
    if matched.endpoint.name in ("files", "uploads"):
        batch_files.check_upload(content, check_model, is_whole=matched.endpoint.name == "files")


def _named(request: Request, content: Content) -> Iterator[Any]:
    """Yield what a request names as models, besides the deployment in its path."""
    yield from model_rules.named_in_query(request.query_string)
    if content.fields is not None:
        yield from model_rules.named_in_form(content.fields.values)
    else:
        yield from model_rules.named_in_body(content.value)


def refuse_shared(endpoint: Endpoint, value: dict[str, Any]) -> None:
    """Raise ObjectsShared for objects of an upstream key that several projects have."""
    uses = [name for name in ("conversation", "background") if value.get(name)]
    what = endpoint.name if endpoint.is_stateful else uses[0] if uses else _stored_object(value)
    if not what:
        return
    raise errors.ObjectsShared(
        f"{what}: objects stored upstream are not served with a key that several projects "
        "share; give this project an upstream key of its own"
    )


def _stored_object(body: dict[str, Any]) -> str:
    """Return the member or type by which a request names an object stored upstream."""
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
