"""The gateway's own route in the OpenAPI document: Django, which describes all others, has none.

What is relayed is described by the upstream.
"""

from core.openapi import json_schema
from core.openapi_errors import json_response
from gateway.schemas.token_info import OpenAIError, TokenInfo

_SCHEME = "GatewayToken"
_REFUSALS = {
    400: "The address is ambiguous, or has the token",
    401: "Token missing, unknown, revoked or expired",
    403: "The project is inactive",
    429: "A limit is reached",
    503: "The database does not answer",
}


def with_token_info(result, generator, request, public):
    """Add `GET /v1/token` to the document."""
    components = result["components"]
    components["securitySchemes"][_SCHEME] = {
        "type": "http",
        "scheme": "bearer",
        "description": "`sk-…`, a token of the gateway.",
    }
    for model in (TokenInfo, OpenAIError):
        schema, inner = json_schema(model, "serialization")
        components["schemas"] |= {model.__name__: schema, **inner}
    reply = json_response("TokenInfo", 200, "")
    [example] = components["schemas"]["TokenInfo"]["examples"]
    reply["content"]["application/json"]["examples"] = {"example 1": {"value": example}}
    refusals = {
        str(status): json_response("OpenAIError", status, text)
        for status, text in _REFUSALS.items()
    }
    result["paths"]["/v1/token"] = {
        "get": {
            "operationId": "v1_token_retrieve",
            "summary": "Show what a token may do, and what is left of it",
            "description": "For its holder: the token is the authorization. Free, and no part "
            "of the token's limits.",
            "tags": ["gateway"],
            "security": [{_SCHEME: []}],
            "responses": {"200": reply} | refusals,
        }
    }
    return result
