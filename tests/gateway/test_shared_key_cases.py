"""What a project may not reach with an upstream key that it shares, and what it still may."""

import pytest

from accounts.models import Project
from tests.gateway.conftest import Gateway
from tests.gateway.upstream import chat, reply

MODEL = "gpt-4o-mini"
SHELL = {"type": "shell", "environment": {"type": "container_reference", "container_id": "cntr_1"}}
SKILL = {"type": "skill_reference", "skill_id": "skill_1"}
STORED_OBJECTS = {
    "a conversation": {"conversation": "conv_1"},
    "a conversation as an object": {"conversation": {"id": "conv_1"}},
    "an answer in the background": {"background": True},
    "an item by its id": {"input": [{"id": "msg_1"}]},
    "an item without a type": {"input": [{"type": None, "id": "msg_1"}]},
    "an item with a role alone": {"input": [{"id": "msg_1", "role": "assistant"}]},
    "an item after others": {"input": [{"role": "user", "content": "x"}, {"id": "rs_1"}]},
    "an image by its id": {"input": [{"type": "image_generation_call", "id": "ig_1"}]},
    "a container": {"tools": [SHELL]},
    "a container of a call": {"input": [{"type": "code_interpreter_call", "container_id": "c"}]},
    "a skill": {
        "tools": [{"type": "shell", "environment": {"type": "container_auto", "skills": [SKILL]}}]
    },
    "a skill at the top": {"skills": [SKILL]},
    "a response to compare": {"comparison_response_id": "resp_1"},
    "a response to compare, nested": {"prompt_cache_options": {"comparison_response_id": "resp_1"}},
    "an earlier audio": {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]},
    "a custom voice": {"audio": {"format": "wav", "voice": {"id": "voice_1"}}},
    "a tunnel": {"tools": [{"type": "mcp", "server_label": "x", "tunnel_id": "tunnel_1"}]},
    "a mask": {"tools": [{"type": "image_generation", "input_image_mask": {"file_id": "file-1"}}]},
}


@pytest.mark.parametrize("name", STORED_OBJECTS)
def test_c09_objects_are_found_wherever_they_are_named(gateway, mock, name):
    path = "/v1/chat/completions" if "audio" in name or "voice" in name else "/v1/responses"
    answer = gateway.post(path, {"model": MODEL, "input": "x", **STORED_OBJECTS[name]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "shared_upstream_key")
    assert mock.requests == []


SENT_BACK = [
    {"role": "user", "content": "x"},
    {"id": "msg_1", "role": "assistant", "content": "y"},
    {
        "id": "msg_2",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "y", "annotations": []}],
    },
    {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
    {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": None},
    {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_1",
        "name": "read",
        "arguments": '{"file_id": "mine"}',
    },
    {"type": "function_call_output", "call_id": "call_1", "output": "z"},
    {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "aGk="},
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"query": "q"}},
]


def test_c09_what_clients_send_back_whole_passes(gateway, mock):
    mock.script = reply(chat())
    sent = {"model": MODEL, "store": False, "include": ["reasoning.encrypted_content"]}
    answer = gateway.post("/v1/responses", {**sent, "input": SENT_BACK})
    assert answer.status_code == 200, answer.text


def test_c09_how_an_answer_is_to_sound_is_no_object(gateway, mock):
    mock.script = reply(chat())
    sound = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    assert gateway.chat(**sound).status_code == 200


def test_c09_examples_of_a_schema_are_no_objects(gateway, mock):
    mock.script = reply(chat())
    schema = {
        "type": "object",
        "properties": {"container": {"type": "string", "default": "box"}},
        "$defs": {"File": {"properties": {"file_id": {"examples": ["file-1"]}}}},
        "examples": [{"file_id": "file-1", "container": "box"}],
    }
    tool = {"type": "function", "function": {"name": "read", "parameters": schema}}
    assert gateway.chat(tools=[tool]).status_code == 200


def test_c09_token_numbers_hide_no_object(gateway, mock):
    body = {"model": "text-embedding-3-small", "input": [1] * 1000 + [{"file_id": "file-1"}]}
    answer = gateway.post("/v1/embeddings", body)
    assert answer.json()["error"]["code"] == "shared_upstream_key"


def two_names(mock, **keys: str) -> str:
    """One account under two names, with the server's keys of them."""
    return "apis:\n" + "".join(
        f"  {name}: {{base_url: {mock.url}/v1, api_key: {keys.get(name, 'null')}}}\n"
        for name in ("openai", "mirror")
    )


KEY = "sk-one-account-0123456789"


def test_c09_a_key_is_shared_under_whatever_name(gateway, mock, upstreams_file, own_key):
    upstreams_file(two_names(mock))
    other = Gateway(gateway.url, Project.objects.create(name="another tenant"))
    own_key(KEY)
    own_key("sk-another-0123456789", to=other.project, upstream="mirror")
    gateway.use()
    other.use(upstream="mirror")
    assert (gateway.get("/v1/files").status_code, other.get("/v1/files").status_code) == (200, 200)

    own_key(KEY, to=other.project, upstream="mirror")
    gateway.use()
    other.use(upstream="mirror")

    for each in (gateway, other):
        assert each.get("/v1/files").json()["error"]["code"] == "shared_upstream_key"


def test_c09_a_project_may_use_its_key_under_two_names(gateway, mock, upstreams_file, own_key):
    upstreams_file(two_names(mock))
    own_key(KEY)
    own_key(KEY, upstream="mirror")
    for name in ("openai", "mirror"):
        assert gateway.use(upstream=name).get("/v1/files").status_code == 200


def test_c09_the_servers_key_is_shared_under_whatever_name(gateway, mock, upstreams_file, own_key):
    upstreams_file(two_names(mock, mirror=KEY))
    own_key(KEY)
    answer = gateway.use().get("/v1/files")
    assert answer.json()["error"]["code"] == "shared_upstream_key"


def test_c09_the_operator_may_let_projects_share(gateway, mock, upstreams_file):
    mock.script = reply(chat())
    upstreams_file(f"apis: {{openai: {{base_url: {mock.url}, api_key: k, shared_objects: true}}}}")
    assert gateway.get("/v1/files").status_code == 200
    sent = {"model": MODEL, "input": "x", "previous_response_id": "resp_1"}
    assert gateway.post("/v1/responses", sent).status_code == 200
