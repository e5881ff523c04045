"""`/openai/v1/…`: Azure's newer paths, and those of Groq's own SDKs, which begin at the host."""

from decimal import Decimal

import pytest

from tests.gateway.calls import within_a_second
from tests.gateway.conftest import counts
from tests.gateway.test_client_cases import MODELS, ids
from tests.gateway.upstream import chat, reply

CHAT = "/openai/v1/chat/completions"
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
GROQ = {**BODY, "model": "groq:gpt-4o-mini"}


@pytest.fixture
def gateway(gateway, mock, upstreams_file):
    """One with Groq, whose key is the server's, beside the default."""
    upstreams_file(
        "apis:\n"
        f"  openai: {{base_url: {mock.url}/v1, api_key: openai-key}}\n"
        f"  groq: {{base_url: {mock.url}/openai/v1, api_key: groq-key, provider: openai}}\n"
    )
    mock.script = reply(chat())
    return gateway


@pytest.fixture
def with_azure(gateway, mock, upstreams_file):
    upstreams_file(
        "apis:\n"
        f"  openai: {{base_url: {mock.url}/v1, api_key: openai-key}}\n"
        f"  groq: {{base_url: {mock.url}/groq/v1, api_key: groq-key}}\n"
        f"  azure: {{base_url: {mock.url}/openai, api_key: azure-key, auth: api-key}}\n"
    )


@pytest.mark.parametrize(
    ("limits", "body"), [({"upstream": "groq"}, BODY), ({}, GROQ)], ids=["of the token", "named"]
)
def test_they_go_to_the_upstream_that_is_meant(gateway, mock, limits, body):
    assert gateway.use(**limits).post(CHAT, body).status_code == 200
    [seen] = mock.requests
    assert (seen.target, seen.json["model"]) == (CHAT, "gpt-4o-mini")
    assert seen.header("Authorization") == "Bearer groq-key"
    row = gateway.row
    assert (row.upstream, counts(row)) == ("groq", ("settled", 10, 0, 5, 0))
    # 10 × 0.15 + 5 × 0.6, per million
    assert row.cost == Decimal("0.0000045")


def test_without_azure_they_are_those_of_the_default(gateway, mock):
    assert gateway.post(CHAT, BODY).status_code == 200
    assert mock.requests[0].target == "/v1/chat/completions"
    assert gateway.row.upstream == "openai"
    refused = gateway.post("/openai/responses", {"model": "gpt-4o-mini", "input": "x"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "endpoint_not_found")


def test_with_azure_they_are_its_own_unless_another_upstream_is_meant(gateway, mock, with_azure):
    targets = {"": CHAT, "azure": CHAT, "groq": "/groq/v1/chat/completions"}
    for upstream, target in targets.items():
        assert gateway.use(upstream=upstream).post(CHAT, BODY).status_code == 200
        assert mock.requests[-1].target == target
    assert gateway.use().post(CHAT, GROQ).status_code == 200
    assert mock.requests[-1].target == "/groq/v1/chat/completions"
    assert [row.upstream for row in gateway.rows] == ["azure", "azure", "groq", "groq"]


def test_paths_of_azure_alone_are_not(gateway, mock, with_azure):
    gateway.use(upstream="groq")
    deployment = "/openai/deployments/gpt-4o-mini/chat/completions"
    for path in (deployment, "/openai/chat/completions"):
        refused = gateway.post(path, BODY)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert mock.requests == [] and gateway.rows == []


def test_a_tokens_limits_hold(gateway, mock):
    gateway.use(upstream="groq", allowed_models=["gpt-4o"])
    assert gateway.post(CHAT, BODY).json()["error"]["code"] == "model_not_allowed"
    gateway.use(upstream="groq", allowed_endpoints=["/v1/chat/completions"])
    assert gateway.post(CHAT, BODY).json()["error"]["code"] == "endpoint_not_allowed"
    gateway.use(upstream="groq")
    assert gateway.get("/openai/v1/files").json()["error"]["code"] == "shared_upstream_key"
    assert mock.requests == []


def test_the_list_of_models_has_the_upstreams_aliases(gateway, mock):
    mock.script = reply(MODELS)
    gateway.bind_alias("fast", "groq:gpt-4o-mini")
    gateway.bind_alias("other", "openai:gpt-4o-mini")
    gateway.use(upstream="groq", allowed_models=["gpt-4o-mini"])
    within_a_second(lambda: ids(gateway.get("/openai/v1/models")) == ["gpt-4o-mini", "fast"])
    assert mock.requests[-1].target == "/openai/v1/models"
