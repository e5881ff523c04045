"""Lists of models, which the gateway edits: as the token may see them, or not at all (D01)."""

import gzip
import json

import pytest
import requests

from aliases.bindings import Binding, bind
from core.scoping import Caller
from tests.gateway.calls import azure, within_a_second
from tests.gateway.test_client_cases import MODELS, ids
from tests.gateway.upstream import chat, exactly, hang_up, head, reply

DATA = json.dumps(MODELS).encode()


@pytest.mark.parametrize("path", ["/openai/models", "/openai/v1/models"])
def test_d01_azures_list_is_the_same(gateway, mock, upstreams_file, path):
    azure(upstreams_file, mock)
    mock.script = reply(MODELS)
    gateway.bind_alias("fast", "azure:gpt-4o-mini")
    gateway.use(allowed_models=["gpt-4o-mini"])
    within_a_second(lambda: ids(gateway.get(path)) == ["gpt-4o-mini", "fast"])
    assert gateway.get(f"{path}/fast").json()["owned_by"] == "alias"
    assert gateway.get(f"{path}/gpt-4o").status_code == 404


def test_d01_a_compressed_list_is_seen_in_part_too(gateway, mock):
    mock.script = reply(gzip.compress(DATA), Content_Encoding="gzip", Cache_Control="public")
    gateway.use(allowed_models=["whisper-1"])
    for _ in range(2):  # from the upstream, and from the cache
        answer = gateway.get("/v1/models")
        assert ids(answer) == ["whisper-1"]
        assert "Content-Encoding" not in answer.headers
    assert len(mock.requests) == 1
    assert ids(gateway.use().get("/v1/models")) == ["gpt-4o", "gpt-4o-mini", "whisper-1"]


@pytest.mark.parametrize(
    "answer",
    [
        head(200, Content_Type="application/json", Content_Length="100000") + DATA[:40],
        head(200, Content_Type="application/json", Content_Encoding="br", Content_Length="4")
        + b"????",
    ],
    ids=["cut", "coding"],
)
def test_d01_a_list_that_cannot_be_edited_is_not_shown(gateway, mock, answer):
    mock.script = exactly(answer)
    refused = gateway.use(allowed_models=["whisper-1"]).get("/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_disconnected")
    assert b"gpt-4o" not in refused.content


ODDLY_WRITTEN = {
    "a byte order mark": b"\xef\xbb\xbf" + DATA,
    "NaN": DATA[:-1] + b', "score": NaN}',
    "half of a character": DATA[:-1] + rb', "note": "\ud83d"}',
    "UTF-16": json.dumps(MODELS).encode("utf-16"),
}


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "text/event-stream", "application/octet-stream"]
)
@pytest.mark.parametrize("name", ODDLY_WRITTEN)
def test_d01_a_list_is_seen_in_part_however_it_is_written(gateway, mock, name, kind):
    mock.script = reply(ODDLY_WRITTEN[name], Content_Type=kind)
    assert gateway.get("/v1/models").content == ODDLY_WRITTEN[name]
    assert ids(gateway.use(allowed_models=["whisper-1"]).get("/v1/models")) == ["whisper-1"]


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
@pytest.mark.parametrize("data", [DATA[:-2], b"<p>gpt-4o</p>", DATA + DATA], ids=len)
def test_d01_a_list_that_cannot_be_read_is_shown_to_who_may_see_all(gateway, mock, data, kind):
    """Without a length nobody knows whether it came whole; and it is not kept."""
    mock.script = exactly(head(200, Content_Type=kind, Cache_Control="public, max-age=60") + data)
    assert gateway.get("/v1/models").content == data
    gateway.use(allowed_models=["whisper-1"])
    refused = gateway.get("/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_disconnected")
    assert len(mock.requests) == 2
    assert requests.head(
        f"{gateway.url}/v1/models", headers={"Authorization": f"Bearer {gateway.token}"}, timeout=9
    ).ok


def test_d01_lists_ask_the_breaker_and_tell_it(gateway, mock, upstreams_file):
    upstreams_file(f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k}}\n")
    mock.script = hang_up
    codes = [gateway.get("/v1/models").json()["error"]["code"] for _ in range(6)]
    assert codes == ["upstream_disconnected"] * 5 + ["upstream_suspended"]
    assert gateway.chat().json()["error"]["code"] == "upstream_suspended"


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_d01_heads_have_the_length_that_was_stated(gateway, mock, coding):
    mock.script = reply(MODELS, Content_Encoding=coding)
    answer = requests.head(
        f"{gateway.url}/v1/models", headers={"Authorization": f"Bearer {gateway.token}"}, timeout=9
    )
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(DATA)))


def test_d01_models_may_be_allowed_by_their_upstreams_name(gateway, mock):
    gateway.bind_alias("fast", "openai:gpt-4o-mini")
    gateway.bind_alias("plain", "gpt-4o-mini")
    gateway.bind_alias("large", "openai:gpt-4o")
    mock.script = reply(MODELS)
    gateway.use(allowed_models=["openai:gpt-4o-mini"])
    expected = ["gpt-4o-mini", "fast", "plain"]
    within_a_second(lambda: ids(gateway.get("/v1/models")) == expected)
    mock.script = reply(MODELS["data"][1])
    assert gateway.get("/v1/models/gpt-4o-mini").json() == MODELS["data"][1]
    assert gateway.get("/v1/models/gpt-4o").status_code == 404


def test_d01_a_token_of_one_upstream_sees_the_aliases_of_that(gateway, mock, upstreams_file):
    upstreams_file(
        f"apis:\n  openai: {{base_url: {mock.url}/v1, api_key: k1}}\n"
        f"  groq: {{base_url: {mock.url}/groq, api_key: k2}}\n"
    )
    gateway.bind_alias("fast", "groq:llama-3.3-70b")
    mock.script = reply(MODELS)
    within_a_second(lambda: ids(gateway.use().get("/v1/models"))[-1] == "fast")
    gateway.use(upstream="openai")
    assert gateway.chat("fast").status_code == 403
    assert ids(gateway.get("/v1/models")) == ["gpt-4o", "gpt-4o-mini", "whisper-1"]
    assert ids(gateway.use(upstream="groq").get("/v1/models"))[-1] == "fast"


def test_d01_aliases_are_those_of_the_profile(gateway, mock):
    caller = Caller(project_id=gateway.project.id)
    bind(caller, "dev", Binding("fast", "openai:gpt-4o-mini"))
    gateway.bind_alias("fast", "openai:gpt-4o")
    gateway.bind_alias("deep", "openai:gpt-4o")
    dev = {"X-LLMRing-Profile": "dev"}
    mock.script = reply(MODELS)
    within_a_second(lambda: ids(gateway.get("/v1/models"))[3:] == ["deep", "fast"])
    assert ids(gateway.get("/v1/models", headers=dev))[3:] == ["fast"]

    mock.script = reply(chat())
    for headers in ({}, dev):
        assert gateway.chat("fast", headers=headers).status_code == 200
    assert [seen.json["model"] for seen in mock.requests[-2:]] == ["gpt-4o", "gpt-4o-mini"]
    assert [row.profile for row in gateway.rows] == ["default", "dev"]


def test_d01_an_alias_of_a_models_name_is_listed_once(gateway, mock):
    gateway.bind_alias("gpt-4o", "openai:gpt-4o-mini")
    mock.script = reply(MODELS)
    expected = ["gpt-4o-mini", "whisper-1", "gpt-4o"]
    within_a_second(lambda: ids(gateway.get("/v1/models")) == expected)
    assert gateway.get("/v1/models").json()["data"][-1]["owned_by"] == "alias"
    gateway.use(allowed_models=["gpt-4o"])  # which nobody calls by this name
    assert gateway.chat("gpt-4o").status_code == 403
    assert ids(gateway.get("/v1/models")) == []
    assert gateway.get("/v1/models/gpt-4o").status_code == 404


def test_c06_a_model_is_deleted_by_who_may_use_it(gateway, mock, own_key):
    own_key()
    mock.script = reply({"id": "ft:gpt-4o-mini:ours", "deleted": True})
    gateway.use(allowed_models=["ft:gpt-4o-mini:*"])
    refused = gateway.send("DELETE", "/v1/models/ft:gpt-4o:ours")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert mock.requests == []
    assert gateway.send("DELETE", "/v1/models/ft:gpt-4o-mini:ours").status_code == 200


def test_d01_a_list_is_edited_whatever_its_status(gateway, mock):
    mock.script = reply(MODELS, 206, Content_Range="bytes 0-99/100", Accept_Ranges="bytes")
    gateway.use(allowed_models=["whisper-1"])
    answer = gateway.get("/v1/models", headers={"Range": "bytes=0-99", "If-Range": '"a"'})
    assert ids(answer) == ["whisper-1"]
    assert {mock.requests[0].header(name) for name in ("Range", "If-Range")} == {None}
    assert not {"Content-Range", "Accept-Ranges"} & answer.headers.keys()


def test_d01_an_unchanged_list_of_the_upstream_may_have_changed_here(gateway, mock):
    mock.script = reply(MODELS, ETag='"a"', Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")
    first = gateway.get("/v1/models")
    assert not {"ETag", "Last-Modified"} & first.headers.keys()
    conditions = {
        "If-None-Match": '"a"',
        "If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT",
    }
    gateway.get("/v1/models", headers=conditions)
    assert {mock.requests[1].header(name) for name in conditions} == {None}

    mock.script = reply(MODELS["data"][0], ETag='"b"')  # a model is sent as it is
    answer = gateway.get("/v1/models/gpt-4o", headers=conditions)
    assert answer.headers["ETag"] == '"b"'
    assert mock.requests[2].header("If-None-Match") == '"a"'


def test_d01_other_lists_than_openais_are_seen_in_part_too(gateway, mock):
    """Together's is bare; llama.cpp's has its models twice; Ollama's is null if it has none."""
    bare = [{"id": "gpt-4o"}, {"id": "whisper-1"}]
    double = {"models": [{"name": "gpt-4o"}, {"model": "whisper-1"}], **MODELS}
    empty = {"object": "list", "data": None}
    gateway.bind_alias("fast", "openai:whisper-1")
    gateway.use(allowed_models=["whisper-1"])
    mock.script = reply(MODELS)
    within_a_second(lambda: ids(gateway.get("/v1/models")) == ["whisper-1", "fast"])

    mock.script = reply(bare)
    assert [model["id"] for model in gateway.get("/v1/models").json()] == ["whisper-1", "fast"]
    mock.script = reply(double)
    assert gateway.get("/v1/models").json()["models"] == [{"model": "whisper-1"}]
    assert ids(gateway.get("/v1/models")) == ["whisper-1", "fast"]
    mock.script = reply(empty)
    assert ids(gateway.get("/v1/models")) == ["fast"]


@pytest.mark.parametrize("body", [{"object": "list", "data": None}, {}, {"models": None}, "x"])
def test_d01_what_has_no_models_is_shown_as_it_is(gateway, mock, body):
    mock.script = reply(json.dumps(body).encode())
    assert gateway.use(allowed_models=["x"]).get("/v1/models").json() == body


def test_d01_a_slash_in_a_models_id_may_be_escaped(gateway, mock):
    """As OpenAI's SDKs do; the id is checked as the model that it names."""
    mock.script = reply({"id": "meta-llama/Llama-3.3-70B", "object": "model"})
    gateway.use(allowed_models=["meta-llama/*"])
    assert raw_get(gateway, "/v1/models/meta-llama%2FLlama-3.3-70B").status_code == 200
    assert mock.requests[-1].target == "/v1/models/meta-llama/Llama-3.3-70B"
    mock.requests.clear()
    assert raw_get(gateway, "/v1/models/openai%2Fgpt-4o").status_code == 404
    for path in ("/v1/models/..%2Ffiles", "/v1/models%2Fx", "/v1/models/a%5Cb", "/v1/files/a%2Fb"):
        assert raw_get(gateway, path).status_code == 400
    assert mock.requests == []


def raw_get(gateway, path: str) -> requests.Response:
    """Send a path as it is written."""
    request = requests.Request(
        "GET", gateway.url, headers={"Authorization": f"Bearer {gateway.token}"}
    )
    prepared = request.prepare()
    prepared.url = gateway.url + path
    with requests.Session() as session:
        return session.send(prepared)
