"""Deployments in Azure's paths (C07): the model that is checked is the one that is called."""

from decimal import Decimal

import pytest

from tests.gateway.bounds import assert_bound, size
from tests.gateway.calls import azure, within_a_second
from tests.gateway.upstream import chat, reply

BODY = {"messages": [{"role": "user", "content": "Hello"}]}


def path_of(deployment: str) -> str:
    return f"/openai/deployments/{deployment}/chat/completions"


@pytest.fixture
def gateway(gateway, mock, upstreams_file):
    azure(upstreams_file, mock)
    mock.script = reply(chat())
    return gateway


@pytest.mark.parametrize("target", ["azure:gpt-4o-mini", "gpt-4o-mini"])
def test_c07_an_alias_in_the_path_is_its_target_there(gateway, mock, target):
    gateway.bind_alias("gpt-4o", target)
    gateway.use(allowed_models=["gpt-4o-mini"])
    body = {"model": "gpt-4o", **BODY}  # as Azure's SDK sends it
    within_a_second(lambda: gateway.post(path_of("gpt-4o"), body).status_code == 200)
    seen = mock.requests[-1]
    assert seen.target == path_of("gpt-4o-mini")
    assert seen.json["model"] == "gpt-4o-mini"
    assert gateway.rows[-1].requested_model == "gpt-4o"


def test_c07_an_alias_of_a_forbidden_model_is_refused(gateway, mock):
    gateway.bind_alias("gpt-4o-mini", "azure:gpt-4o")
    gateway.use(allowed_models=["gpt-4o-mini"])
    within_a_second(lambda: gateway.post(path_of("gpt-4o-mini"), BODY).status_code == 403)
    mock.requests.clear()
    assert gateway.post(path_of("gpt-4o-mini"), BODY).status_code == 403
    assert mock.requests == []


@pytest.mark.parametrize("target", ["azure:../../files", "azure:.."])
def test_c07_an_alias_does_not_lead_out_of_the_deployments(gateway, mock, target):
    gateway.bind_alias("out", target)
    within_a_second(lambda: gateway.post(path_of("out"), BODY).status_code == 400)
    assert not any("files" in seen.target for seen in mock.requests)


def test_c07_another_upstreams_model_is_not_called_there(gateway, mock):
    gateway.bind_alias("fast", "openai:gpt-4o-mini")
    within_a_second(lambda: gateway.post(path_of("fast"), BODY).status_code == 403)


def test_c07_the_upstreams_name_is_not_part_of_the_models(gateway, mock):
    body = {"model": "azure:gpt-4o-mini", "input": "x"}
    assert gateway.post("/openai/responses", body).status_code == 200
    assert mock.requests[-1].json["model"] == "gpt-4o-mini"


def test_c07_a_token_of_another_upstream_does_not_call_azure(gateway, mock):
    refused = gateway.use(upstream="openai").post(path_of("gpt-4o-mini"), BODY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert mock.requests == []
    assert gateway.use(upstream="azure").post(path_of("gpt-4o-mini"), BODY).status_code == 200


def whitelist(upstreams_file, mock) -> None:
    listed = "param_whitelist: {model: [gpt-4o-mini]}"
    upstreams_file(
        f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k, {listed}}}\n"
        f"  azure: {{base_url: {mock.url}/openai, api_key: k, auth: api-key, {listed}}}\n"
    )


def test_c06_a_whitelist_is_of_the_model_that_is_called(gateway, mock, upstreams_file):
    whitelist(upstreams_file, mock)
    gateway.bind_alias("gpt-4o-mini", "openai:gpt-4o")
    gateway.bind_alias("ok", "openai:gpt-4o-mini")
    within_a_second(lambda: gateway.chat("gpt-4o-mini").status_code == 400)
    assert gateway.chat("ok").status_code == 200
    assert gateway.chat("openai:gpt-4o-mini").status_code == 200
    assert gateway.chat("openai:gpt-4o").json()["error"]["code"] == "param_not_allowed"
    assert {seen.json["model"] for seen in mock.requests} == {"gpt-4o-mini"}


def test_c06_a_whitelist_is_of_deployments_too(gateway, mock, upstreams_file):
    whitelist(upstreams_file, mock)
    assert gateway.post(path_of("gpt-4o"), BODY).json()["error"]["code"] == "param_not_allowed"
    both = {"model": "gpt-4o", **BODY}
    assert gateway.post(path_of("gpt-4o-mini"), both).status_code == 400
    assert mock.requests == []
    assert gateway.post(path_of("gpt-4o-mini"), BODY).status_code == 200


def test_c02_an_alias_in_the_path_costs_what_its_target_does(gateway, mock):
    gateway.bind_alias("gpt-4o", "gpt-4o-mini")
    sent = {"model": "gpt-4o", **BODY, "max_tokens": 100}
    relayed = {**sent, "model": "gpt-4o-mini"}
    # gpt-4o-mini: 0.15 and 0.60 dollars per million
    bound = (100 * Decimal("0.60") + size(relayed) * Decimal("0.15")) / 1_000_000
    assert_bound(gateway, path_of("gpt-4o"), sent, bound)


AUDIO = {"file": ("a.wav", b"RIFF")}


@pytest.mark.parametrize("limits", [{}, {"allowed_models": ["whisper-1"]}])
def test_c07_the_path_of_a_form_may_name_an_alias(gateway, mock, limits):
    gateway.bind_alias("ears", "azure:whisper-1")
    gateway.use(**limits)
    mock.script = reply({"text": "x", "usage": {"type": "duration", "seconds": 11}})
    path = "/openai/deployments/{}/audio/transcriptions"
    within_a_second(lambda: gateway.post(path.format("ears"), files=AUDIO).status_code == 200)
    assert mock.requests[-1].target == path.format("whisper-1")
    row = gateway.rows[-1]
    assert (row.model, row.requested_model, row.alias) == ("whisper-1", "ears", "ears")


@pytest.mark.parametrize("limits", [{}, {"allowed_models": ["gpt-4o*"]}])
def test_c07_the_path_says_which_model_a_form_calls(gateway, mock, limits):
    usage = {"input_tokens": 50, "output_tokens": 100, "total_tokens": 150}
    mock.script = reply({"text": "x", "usage": usage})
    gateway.use(**limits)
    path = "/openai/deployments/gpt-4o/audio/transcriptions"
    gateway.post(path, files=AUDIO, data={"model": "gpt-4o-mini"})
    row = gateway.row
    # 50 * 2.50 + 100 * 10, per million
    assert (row.model, row.requested_model, row.cost) == ("gpt-4o", "gpt-4o", Decimal("0.001125"))


def test_c07_a_body_that_names_another_model_than_the_path_is_relayed_as_it_is(gateway, mock):
    gateway.bind_alias("fast", "gpt-4o-mini")
    gateway.use(allowed_models=["gpt-4o*"])
    assert gateway.post(path_of("fast"), {"model": "gpt-4o", **BODY}).status_code == 200
    assert mock.requests[-1].json["model"] == "gpt-4o"
    gateway.use(allowed_models=["gpt-4o-mini"])
    assert gateway.post(path_of("fast"), {"model": "gpt-4o", **BODY}).status_code == 403
