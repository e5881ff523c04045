"""Models that stand in other places than `model`, and what only looks like one."""

import pytest
import requests

from tests.gateway.upstream import chat, reply

ALLOWED, FORBIDDEN = "gpt-4o-mini", "gpt-4o"
IMAGE = {"type": "image_generation", "model": "gpt-image-1"}
NAMESPACE = {"type": "namespace", "name": "n"}
OTHER = {**IMAGE, "model": FORBIDDEN}


@pytest.fixture
def limited(gateway, mock):
    mock.script = reply(chat())
    return gateway.use(allowed_models=[ALLOWED, "gpt-image-1"])


def assert_refused(answer, mock) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
    assert mock.requests == []


PLACES = {
    "a tool without a model": {"tools": [{"type": "image_generation"}]},
    "a tool whose model is null": {"tools": [{**IMAGE, "model": None}]},
    "an OpenRouter tool": {"tools": [{"type": "openrouter:image_generation"}]},
    "the parameters of a tool": {
        "tools": [{"type": "openrouter:fusion", "parameters": {"analysis_models": [FORBIDDEN]}}]
    },
    "the author of an SVG": {"tools": [{**IMAGE, "svg": {"model": FORBIDDEN}}]},
    "a namespace of tools": {"tools": [{**NAMESPACE, "tools": [OTHER]}]},
    "tools by number": {"tools": {"0": OTHER}},
    "tools that were added": {"input": [{"type": "additional_tools", "tools": [OTHER]}]},
    "moderation": {"moderation": {"model": FORBIDDEN}},
    "a plugin": {"plugins": [{"id": "fusion", "model": FORBIDDEN}]},
    "members for another server": {"extra_body": {"model": FORBIDDEN}},
    "a model of some kind": {"draft_model": FORBIDDEN},
    "camel case": {"fallbackModels": [FORBIDDEN]},
    "fallbacks by model": {"fallbacks": [{ALLOWED: [FORBIDDEN]}]},
    "one fallback": {"fallback": FORBIDDEN},
    "fallbacks for long prompts": {"context_window_fallback_dict": {ALLOWED: FORBIDDEN}},
    "an id": {"model_id": FORBIDDEN},
    "an id in camel case": {"modelId": FORBIDDEN},
    "an id with a hyphen": {"model-id": FORBIDDEN},
    "ids": {"model_ids": [FORBIDDEN]},
    "a name": {"model_name": FORBIDDEN},
    "a name in camel case": {"modelName": FORBIDDEN},
    "names": {"model_names": [FORBIDDEN]},
    "a deployment": {"deployment": FORBIDDEN},
    "a deployment's id": {"deployment_id": FORBIDDEN},
    "the deployment that embeds": {
        "data_sources": [{"parameters": {"embedding_dependency": {"deployment_name": FORBIDDEN}}}]
    },
    "a preset": {"preset": "dear"},
    "the preset of a plugin": {"plugins": [{"id": "fusion", "preset": "dear"}]},
    "a null character in a name": {"model\0x": FORBIDDEN},
    "deep within": {"a": [{"b": {"Model ": FORBIDDEN}}]},
}


@pytest.mark.parametrize("name", PLACES)
def test_c06_a_model_is_one_wherever_it_stands(limited, mock, name):
    sent = {"model": ALLOWED, "input": "x", **PLACES[name]}
    assert_refused(limited.post("/v1/responses", sent), mock)


def test_c06_a_large_body_is_checked_as_well(limited, mock):
    text = [{"role": "user", "content": "x" * 100_000}]
    sent = {"model": ALLOWED, "input": text, "moderation": {"model": FORBIDDEN}}
    assert_refused(limited.post("/v1/responses", sent), mock)
    del sent["moderation"]
    assert limited.post("/v1/responses", sent).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/moderations", {"input": "x", "model": FORBIDDEN}),
        ("/v1/moderations", {"input": "x", "model": [FORBIDDEN]}),
        ("/v1/moderations?model=gpt-4o", {"input": "x"}),
        ("/v1/images/generations", {"model": "gpt-image-1", "svg": {"model": FORBIDDEN}}),
        ("/v1/chat/completions?models=gpt-4o", {"model": ALLOWED}),
        ("/v1/chat/completions?model[]=gpt-4o", {"model": ALLOWED}),
        ("/v1/chat/completions?deployment-id=gpt-4o", {"model": ALLOWED}),
        ("/v1/chat/completions?x=1;model=gpt-4o", {"model": ALLOWED}),
    ],
)
def test_c06_every_endpoint_is_checked(limited, mock, path, body):
    assert_refused(limited.post(path, body), mock)


@pytest.mark.parametrize(
    "path", ["/v1/fine_tuning/jobs", "/v1/threads/runs", "/v1/videos", "/v1/assistants"]
)
def test_c06_a_model_is_checked_where_an_endpoint_was_opened(limited, mock, own_key, path):
    own_key()
    limited.use(allowed_models=[ALLOWED], allowed_endpoints=[path])
    assert_refused(limited.post(path, {"model": FORBIDDEN}), mock)
    assert limited.post(path, {"model": ALLOWED}).status_code == 200


CHOOSING = {
    "X-Model": FORBIDDEN,
    "X-Portkey-Config": f'{{"override_params": {{"model": "{FORBIDDEN}"}}}}',
    "Helicone-Fallbacks": f'[{{"bodyKeyOverride": {{"model": "{FORBIDDEN}"}}}}]',
    "x-litellm-model-id": "1",
}


@pytest.mark.parametrize("name", CHOOSING)
def test_c06_a_header_chooses_no_model(limited, mock, name):
    """Where bodies are checked; else it is between the client and the upstream."""
    headers = {name: CHOOSING[name], "X-Team": "a"}
    for limits in ({"allowed_models": [ALLOWED]}, {"budget_usd": 1}, {}):
        assert limited.use(**limits).chat(headers=headers).status_code == 200
    assert [request.header(name) for request in mock.requests] == [None, None, CHOOSING[name]]
    assert {request.header("X-Team") for request in mock.requests} == {"a"}


def test_c06_models_that_are_allowed_pass_in_every_place(limited, mock):
    tools = [{**IMAGE, "svg": {"model": ALLOWED}}, {**NAMESPACE, "tools": [IMAGE]}]
    sent = {
        "model": ALLOWED,
        "input": "x",
        "models": [ALLOWED],
        "fallbacks": [{"model": ALLOWED}],
        "moderation": {"model": ALLOWED},
        "tools": tools,
        "tool_choice": {"type": "image_generation"},
    }
    assert limited.post("/v1/responses", sent).status_code == 200
    assert limited.post("/v1/moderations", {"input": "x"}).status_code == 200
    limited.use(allowed_models=[f"openai:{ALLOWED}"])
    assert limited.chat(models=[ALLOWED]).status_code == 200


@pytest.mark.parametrize("limits", [{"allowed_models": [ALLOWED]}, {"budget_usd": 1}], ids=str)
def test_c06_what_only_switches_something_is_no_model(limited, mock, limits):
    limited.use(**limits)
    provider = {"order": ["azure"], "allow_fallbacks": False}
    answer = limited.chat(provider=provider, disable_fallbacks=True, preset=None)
    assert answer.status_code == 200, answer.text


def test_c06_what_only_looks_like_a_model_passes(limited, mock):
    """Of a car dealer: schemas, texts, arguments and labels have members of that name."""
    schema = {
        "type": "object",
        "properties": {"model": {"type": "string", "enum": ["Polo"]}},
        "required": ["model"],
        "$defs": {"CarModel": {"properties": {"model": {"$ref": "#"}}}},
        "examples": [{"model": "Polo"}],
    }
    function = {"name": "find", "parameters": schema}
    answer = limited.chat(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": '{"model": "Polo"}'}]},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "find", "arguments": {"model": "Polo"}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": {"model": "Polo"}},
        ],
        tools=[{"type": "function", "function": function}],
        functions=[function],
        response_format={"type": "json_schema", "json_schema": {"name": "car", "schema": schema}},
        guided_json=schema,
        metadata={"model": "Polo"},
    )
    assert answer.status_code == 200, answer.text
    answer = limited.post(
        "/v1/responses",
        {
            "model": ALLOWED,
            "prompt": {"id": "pmpt_1", "variables": {"model": "Polo"}},
            "input": [
                {"type": "function_call_output", "call_id": "c", "output": [{"model": "Polo"}]},
                {"type": "image_generation_call", "result": "x", "svg_usage": {"model": "o4"}},
                {"type": "mcp_list_tools", "tools": [{"name": "find", "input_schema": schema}]},
            ],
            "text": {"format": {"type": "json_schema", "name": "car", "schema": schema}},
        },
    )
    assert answer.status_code == 200, answer.text


def upload(gateway, path: str, **fields: str):
    files = {"file": ("a.wav", b"RIFF"), **{name: (None, text) for name, text in fields.items()}}
    headers = {"Authorization": f"Bearer {gateway.token}"}
    return requests.post(gateway.url + path, files=files, headers=headers, timeout=30)


@pytest.mark.parametrize("name", ["svg[model]", "svg.model", "models", "image_model", "Models[]"])
def test_c06_fields_of_a_form_are_checked(limited, mock, name):
    path = "/v1/images/edits"
    assert_refused(upload(limited, path, model="gpt-image-1", **{name: FORBIDDEN}), mock)
    assert upload(limited, path, model="gpt-image-1", **{name: ALLOWED}).status_code == 200


def test_c07_the_form_of_a_deployment_is_checked(limited, mock, upstreams_file):
    upstreams_file(
        f"apis:\n  azure: {{base_url: {mock.url}/openai, api_key: azure-key, auth: api-key,"
        " provider: openai}\n"
    )
    mock.script = reply({"text": "hello", "usage": {"type": "duration", "seconds": 11}})
    limited.use(allowed_models=["whisper"])
    path = "/openai/deployments/whisper/audio/transcriptions?api-version=2024-10-21"
    assert_refused(upload(limited, path, model="gpt-4o-transcribe"), mock)
    assert upload(limited, path, model="whisper").status_code == 200
    assert upload(limited, path).status_code == 200
    assert [row.requested_model for row in limited.rows] == ["whisper"] * 2


def test_c06_models_may_be_allowed_by_their_upstreams_name(limited, mock):
    limited.use(allowed_models=["openai:gpt-4o*", "groq:*"])
    assert limited.chat("gpt-4o-mini", models=["gpt-4o"]).status_code == 200
    assert limited.chat("gpt-4o-mini", models=["llama-3.3-70b"]).status_code == 403


def test_c06_a_pattern_of_models_covers_no_upstreams_name(limited, mock):
    limited.use(allowed_models=["o*"])
    assert_refused(limited.chat("gpt-4o"), mock)
    assert limited.chat("o3").status_code == 200
    assert limited.use(allowed_models=["*:gpt-4o"]).chat("gpt-4o").status_code == 200
