"""Claims about all routes at once, from the OpenAPI document, so that new routes are covered."""

import io

import pytest
from django.core.management import call_command

from tests import openapi
from tests.client import ApiClient

PUBLIC = (
    *("/", "/health", "/live", "/ready", "/registry", "/registry.json"),
    *("/receipts/public-key.pem", "/receipts/public-key.jwk", "/receipts/public-keys.json"),
    *("/api/v1/receipts/public-key.pem", "/api/v1/receipts/public-keys.json"),
    "/api/v1/receipts/verify",
    *("/api/v1/register", "/api/v1/cli/register", "/api/v1/login", "/api/v1/verify-email"),
    *("/api/v1/password-reset", "/api/v1/password-reset/confirm"),
    "/api/v1/auth/change-email/confirm",
    *("/api/v1/auth/login/{provider}", "/api/v1/auth/callback/{provider}"),
)
SOME_ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


def operations():
    """Method and path of every operation, path parameters filled in."""
    for path, methods in openapi.document()["paths"].items():
        for method in methods:
            # Those below /v1 are the gateway's (tests/gateway), which is in front of Django.
            if not (path in PUBLIC or path.startswith(("/registry/", "/v1/"))):
                parts = (SOME_ID if part.startswith("{") else part for part in path.split("/"))
                yield method.upper(), "/".join(parts)


@pytest.mark.slow
def test_document_is_valid_and_made_without_warnings(db_all):
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)


def test_every_operation_says_what_it_is_for():
    for path, methods in openapi.document()["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary") and operation.get("tags"), (method, path)


@pytest.mark.slow
def test_every_route_but_the_public_ones_needs_a_key(anonymous):
    result = list(operations())
    assert len(result) >= 5
    for method, path in result:
        for spelling in (path, f"{path}/"):
            reply = anonymous.generic(method, spelling, content_type="application/json")
            assert reply.status_code == 401, (method, spelling)
            assert reply["WWW-Authenticate"] in ("ApiKey", "Session", "Bearer"), path


@pytest.mark.slow
def test_no_route_fails_on_an_empty_or_senseless_request(api):
    """Of rows that do not exist; tests/site/test_odd_requests.py has those that do."""
    for method, path in operations():
        for body in (None, "{", "[]", '{"a": "\\u0000"}', "x"):
            response = api.generic(method, path, body or "", content_type="application/json")
            assert response.status_code < 500, (method, path, body, response.content)


@pytest.mark.parametrize("path", ["/api/v1/logs", "/api/v1/stats"])
def test_unknown_key_sees_nothing(db_all, bridge_mode, path):
    assert ApiClient("nobody's").get(path).status_code == 200
