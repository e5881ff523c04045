"""The request that an upstream gets for a client's request."""

from dataclasses import replace
from urllib.parse import quote

from core import json_writer
from core.edge_request import Request
from gateway import errors, headers
from gateway.protocols.protocol import Matched
from gateway.request import forms, paths
from gateway.request.json_splice import with_member
from gateway.request.plan import Plan
from gateway.upstream_call import UpstreamRequest
from gateway.upstream_config import UpstreamConfig

_UNRESERVED = "/-._~:@!$&'()*+,;="


def without_body(
    request: Request,
    matched: Matched,
    upstream: UpstreamConfig,
    model: str,
    *,
    key: str,
    token: str,
    is_restricted: bool,
) -> UpstreamRequest:
    """Return method, address and headers of what is sent. Raises GatewayError."""
    sent = headers.to_upstream(
        request.raw_headers, token=token, request_id=request.id, is_restricted=is_restricted
    )
    sent.append(_credential_header(upstream, key))
    url = _url(upstream, matched, model, request.query_string)
    return UpstreamRequest(request.method, url, sent, None)


def with_body(made: Plan, request: Request) -> UpstreamRequest:
    """Return the plan's request with its body, which may ask for the usage of a stream."""
    body, sent = made.content, made.request
    if body.parts is not None or body.file is not None:
        data = body.parts if body.file is None else (lambda: forms.pieces(body.file))
        length = request.headers.get("Content-Length")
        more = [("Content-Length", length)] if length else []
        return replace(sent, headers=[*sent.headers, *more], body=data)
    if body.data is None:
        return sent
    data = body.data
    if made.endpoint.takes_usage_option and made.is_stream:
        data = _asking_for_usage(made, data)
    if body.is_checked:
        sent = replace(sent, headers=headers.of_json(sent.headers))
    return sent.with_body(data)


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
