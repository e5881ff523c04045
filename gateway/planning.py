"""From a request to what is sent upstream: checked, resolved, and bounded in its cost.

Nothing here calls an upstream, and nothing has been counted yet.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import IO, Any
from urllib.parse import parse_qs, quote
from uuid import UUID

from django.conf import settings

from core import bridge, media, request_checks, schemas
from core.edge import MAX_PARSED_ON_LOOP, Request
from core.errors import BodyTooLarge, InvalidInput
from gateway import bounds, errors, forms, headers, model_rules, policies, upstreams
from gateway.forms import FormFields, PassingForm
from gateway.holders import Holder
from gateway.json_splice import with_member
from gateway.protocols.protocol import Billing, Body, Endpoint, Matched
from gateway.upstream_call import UpstreamRequest
from gateway.upstream_config import UpstreamConfig
from gateway.upstreams import Upstreams, UpstreamState
from registry_proxy import pricing
from usage.reports.reported_usage import UsageStatus
from usage.schemas import LogEntry

_LABELS = ("alias", "profile", "origin", "metadata")
_OBJECT_MEMBERS = frozenset({"file_id", "file_ids", "vector_store_ids", "container"})
_UNRESERVED = "/-._~:@!$&'()*+,;="


@dataclass(slots=True)
class Content:
    """The body of a request. `value` is its JSON; `fields` those of a form."""

    data: bytes | None = None
    value: dict[str, Any] = field(default_factory=dict)
    fields: FormFields | None = None
    file: IO[bytes] | None = None
    parts: PassingForm | None = None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the call, of a JSON body or of a form."""
        return self.fields.values if self.fields is not None else self.value

    def close(self) -> None:
        """Give up what was held of it."""
        if self.file is not None:
            self.file.close()


@dataclass(slots=True)
class Plan:
    """A call that may be made."""

    endpoint: Endpoint
    upstream: UpstreamConfig
    state: UpstreamState
    request: UpstreamRequest
    content: Content
    project_id: UUID
    model: str = ""
    requested_model: str = ""
    alias: str | None = None
    profile: str | None = None
    origin: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    is_stream: bool = False
    asks_for_usage: bool = False  # on our own account: the client does not see the answer
    reserved: Decimal = Decimal(0)
    without_usage_option: bytes | None = None  # the body for an upstream that does not know it


async def plan(request: Request, matched: Matched, holder: Holder, path: str, token: str) -> Plan:
    """Return what is sent for a request. Raises GatewayError, ClientDisconnected."""
    labels = _labels(request)
    content = await _content(request, matched.endpoint, holder)
    try:
        return await _plan(request, matched, holder, path, token, content, labels)
    except BaseException:
        content.close()
        raise


async def _plan(
    request: Request,
    matched: Matched,
    holder: Holder,
    path: str,
    token: str,
    content: Content,
    labels: dict[str, Any],
) -> Plan:
    endpoint = matched.endpoint
    all_upstreams = await upstreams.current()
    named = matched.deployment or content.params.get("model")
    if isinstance(named, list):  # a form may have a field twice
        named = named[-1] if content.fields is not None else None
    if isinstance(named, str) and "\0" in named:
        raise errors.GatewayError("The model must not contain null characters", param="model")
    alias, resolved = _resolve(named, holder, labels["profile"])
    upstream, model = upstreams.choose(all_upstreams, holder, resolved, is_azure=matched.is_azure)
    policies.check_upstream(upstream, request.method, path, request.headers)
    if content.fields is not None and isinstance(named, str) and model != named:
        raise errors.GatewayError(
            f"In a form the model is named itself: {model[:200]!r}", param="model"
        )
    policies.check_params(upstream, content.params)
    policies.check_params(upstream, parse_qs(request.query_string, keep_blank_values=True))
    if holder.is_restricted:
        _check_models(
            request,
            endpoint,
            content,
            holder,
            model,
            upstream,
            is_in_path=matched.deployment is not None,
        )
    key, is_shared = upstreams.credential(upstream, holder)
    if is_shared and not upstream.shared_objects:
        _refuse_shared(endpoint, content.value)
    state = upstreams.state_of(upstream.name)
    made = Plan(
        endpoint=endpoint,
        upstream=upstream,
        state=state,
        request=UpstreamRequest(
            request.method,
            _url(upstream, matched, model, request.query_string),
            [
                *headers.to_upstream(request.raw_headers, token=token, request_id=request.id),
                _credential_header(upstream, key),
            ],
            None,
        ),
        content=content,
        project_id=holder.caller.project_id,
        model=model,
        requested_model=str(named)[:255] if isinstance(named, str) else "",
        is_stream=content.value.get("stream") is True
        or (content.fields is not None and content.fields.last("stream") in ("true", "True", "1")),
        **{**labels, "alias": labels["alias"] or alias},
    )
    made.request = _with_body(made, request, is_renamed=model != named)
    if holder.has_budget and endpoint.billing is not Billing.FREE:
        made.reserved = await _bound(made, holder)
    return made


# --- The body ----------------------------------------------------------------


async def _content(request: Request, endpoint: Endpoint, holder: Holder) -> Content:
    if endpoint.body is Body.NONE or request.method in ("GET", "HEAD", "DELETE"):
        return Content()
    content_type = request.headers.get("Content-Type", "")
    if endpoint.body is Body.FORM and not (content_type and schemas.is_json(content_type)):
        return await _form(request, content_type, holder)
    data = await _decoded(request)
    if not data and endpoint.is_stateful:
        return Content(data=b"")
    is_checked = holder.is_restricted or _is_checked(await upstreams.current())
    return Content(data=data, value=await _object(data, unique=is_checked))


async def _decoded(request: Request) -> bytes:
    try:
        return await request.body(limit=settings.GATEWAY_MAX_BODY_BYTES)
    except BodyTooLarge as error:
        raise errors.RequestTooLarge(str(error)) from error
    except (request_checks.MalformedBody, request_checks.MalformedLength) as error:
        raise errors.GatewayError(str(error)) from error


async def _object(data: bytes, *, unique: bool) -> dict[str, Any]:
    load = schemas.loads
    try:
        if len(data) > MAX_PARSED_ON_LOOP:
            value = await bridge.in_thread(load, data, unique_members=unique)
        else:
            value = load(data, unique_members=unique)
    except InvalidInput as error:
        raise errors.GatewayError(f"The body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise errors.GatewayError("The body must be a JSON object")
    return value


async def _form(request: Request, content_type: str, holder: Holder) -> Content:
    if request.headers.get("Content-Encoding"):
        raise request_checks.UnsupportedCoding
    parts = request.parts(limit=settings.GATEWAY_MAX_BODY_BYTES)
    if not holder.is_restricted and not _is_checked(await upstreams.current()):
        try:
            fields = FormFields(content_type)
        except errors.GatewayError:
            fields = None  # the upstream's to refuse
        return Content(fields=fields, parts=PassingForm(parts, fields))
    fields = FormFields(content_type)
    try:
        file = await forms.held(parts, fields)
    except BodyTooLarge as error:
        raise errors.RequestTooLarge(str(error)) from error
    return Content(fields=fields, file=file)


def _is_checked(all_upstreams: Upstreams) -> bool:
    return any(each.param_whitelist for each in all_upstreams.by_name.values())


def _with_body(made: Plan, request: Request, *, is_renamed: bool) -> UpstreamRequest:
    content, sent = made.content, made.request
    if content.parts is not None or content.file is not None:
        body = content.parts if content.file is None else (lambda: forms.pieces(content.file))
        length = request.headers.get("Content-Length")
        return _replaced(sent, body, [("Content-Length", length)] if length else [])
    if content.data is None:
        return sent
    data = content.data
    if is_renamed and "model" in content.value:
        data = with_member(data, "model", media.dumps(made.model))
    if made.endpoint.name == "chat_completions" and made.is_stream:
        data = _asking_for_usage(made, data)
    return _replaced(sent, lambda: data, [])


def _replaced(sent: UpstreamRequest, body: Any, more: list[tuple[str, str]]) -> UpstreamRequest:
    return UpstreamRequest(sent.method, sent.url, [*sent.headers, *more], body)


def _asking_for_usage(made: Plan, data: bytes) -> bytes:
    """Return a streaming chat that asks for its usage, unless the upstream refuses that."""
    options = made.content.value.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage") is True:
        return data
    if made.state.refuses_usage_option or not made.upstream.include_usage:
        return data
    if not (options is None or isinstance(options, dict)):
        return data  # the upstream's to refuse
    made.asks_for_usage = True
    made.without_usage_option = data
    asked = {**(options or {}), "include_usage": True}
    return with_member(data, "stream_options", media.dumps(asked))


# --- Where to, and as whom -----------------------------------------------------


def _resolve(named: Any, holder: Holder, profile: str | None) -> tuple[str | None, str]:
    """Return the alias that a model's name is, if it is one, and the model that is meant."""
    if not isinstance(named, str):
        return None, ""
    target = holder.aliases.get((profile or "default", named))
    return (None, named) if target is None else (named, target)


def _url(upstream: UpstreamConfig, matched: Matched, model: str, query: str) -> str:
    base, rest = upstream.base_url, matched.rest
    if matched.is_azure:
        for ending in ("/v1", "/openai"):
            base = base.removesuffix(ending)
        base += "/openai"
    return base + quote(rest, safe=_UNRESERVED) + (f"?{query}" if query else "")


def _credential_header(upstream: UpstreamConfig, key: str) -> tuple[str, str]:
    if upstream.auth == "api-key":
        return "api-key", key
    return "Authorization", f"Bearer {key}"


def _labels(request: Request) -> dict[str, Any]:
    sent = {name: _text(request.headers.get(f"X-LLMRing-{name}")) for name in _LABELS}
    labels = {**sent, "metadata": _metadata(sent["metadata"])}
    if any(labels.values()):
        _check_labels(labels)
    return labels


def _check_labels(labels: dict[str, Any]) -> None:
    """Refuse now what the ledger would refuse when the call has been made."""
    report = {"provider": "any", "model": "any", "usage_status": UsageStatus.UNKNOWN}
    try:
        schemas.validate(LogEntry, report | labels)
    except InvalidInput as error:
        name = str(error.issues[0]["loc"][1]).title()
        raise errors.GatewayError(f"X-LLMRing-{name}: {error}") from error


def _text(value: str | None) -> str | None:
    """Return the text of a header: UTF-8 where it is that, as most clients write it."""
    if not value:
        return None
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _metadata(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = schemas.loads(text.encode())
    except InvalidInput:
        value = None
    if not isinstance(value, dict):
        raise errors.GatewayError("X-LLMRing-Metadata must be a JSON object")
    return value


# --- What may not pass ---------------------------------------------------------


def _check_models(
    request: Request,
    endpoint: Endpoint,
    content: Content,
    holder: Holder,
    model: str,
    upstream: UpstreamConfig,
    *,
    is_in_path: bool,
) -> None:
    """Raise ModelNotAllowed for models that the token may not use, or that nobody can know."""
    allowed = holder.allowed_models
    if not endpoint.has_model:
        _check_other(endpoint, content, holder)
        return
    if allowed is None:
        return
    model_rules.check_names(content.params)
    for name in [*model_rules.named_in_body(content.value), *_fields(content, "model")[:-1]]:
        model_rules.check(name, allowed)
    for name in model_rules.named_in_query(request.query_string):
        model_rules.check(name, allowed)
    in_body = content.value.get("model")
    if in_body is not None and (is_in_path or not isinstance(in_body, str)):
        model_rules.check(in_body, allowed)
    if not model:
        raise errors.ModelNotAllowed("The request names no model that could be checked")
    model_rules.check(model, allowed, f"{upstream.name}:{model}")


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


def _refuse_shared(endpoint: Endpoint, value: dict[str, Any]) -> None:
    """Raise ObjectsShared for objects of an upstream key that several projects have."""
    uses = [
        name for name in ("previous_response_id", "conversation", "background") if value.get(name)
    ]
    what = endpoint.name if endpoint.is_stateful else uses[0] if uses else _stored_object(value)
    if not what:
        return
    raise errors.ObjectsShared(
        f"{what}: objects that lie upstream are not served with a key that several projects "
        "share; give this project an upstream key of its own"
    )


def _stored_object(value: dict[str, Any]) -> str:
    """Return the member by which a request names an object that lies upstream."""
    stack = [part for name, part in value.items() if name != "metadata"]
    while stack:
        match stack.pop():
            case dict() as part:
                if part.get("type") == "item_reference":
                    return "item_reference"
                for name in _OBJECT_MEMBERS & part.keys():
                    # A tool's schema may have a parameter of that name: an object.
                    if part[name] and isinstance(part[name], str | list):
                        return name
                stack += part.values()
            case list() as parts:
                stack += parts
    return ""


async def _bound(made: Plan, holder: Holder) -> Decimal:
    """Return the most that the call can cost. Raises Unbounded."""
    content = made.content
    arguments = {
        "size": len(content.data or b""),
        "has_answer": made.endpoint.has_answer,
        "provider": made.upstream.priced_as,
        "model": made.model,
        "default_output": made.upstream.max_output_tokens,
        "project_id": holder.caller.project_id,
    }
    if content.fields is not None or made.endpoint.billing is Billing.LATER:
        bound = None
    elif pricing.is_loaded():
        bound = bounds.bound(content.value, **arguments)
    else:
        bound = await bridge.in_thread(bounds.bound, content.value, **arguments)
    if bound is None and not settings.GATEWAY_UNBOUNDED:
        raise errors.Unbounded(
            f"The cost of {made.model or made.endpoint.name!r} has no known bound, "
            "and the token has a budget",
            param="model",
        )
    return bound or Decimal(0)
