"""What a token may not do: models in all places where one can stand, and where tokens stay."""

import gzip
import json
import logging
import time
from datetime import timedelta

import pytest
import requests
from django.utils import timezone
from urllib3 import HTTPHeaderDict, PoolManager

from accounts.models import Project
from gateway import upstream_config
from gateway.models import Token
from tests.gateway.calls import azure, raw_post, within_a_second
from tests.gateway.conftest import Gateway, counts
from tests.gateway.upstream import chat, reply
from tests.zstd import zstd

ALLOWED, FORBIDDEN = "gpt-4o-mini", "gpt-4o"


@pytest.fixture
def limited(gateway, mock):
    mock.script = reply(chat())
    return gateway.use(allowed_models=[ALLOWED])


def post(gateway, data: bytes, path="/v1/chat/completions", **headers):
    headers = {"Authorization": f"Bearer {gateway.token}", **headers}
    return requests.post(gateway.url + path, data=data, headers=headers, timeout=30)


def dumps(**members) -> bytes:
    return json.dumps({"messages": [], **members}).encode()


TWO_READINGS = {
    "twice": b'{"model":"gpt-4o-mini","messages":[],"model":"gpt-4o"}',
    "twice, reversed": b'{"model":"gpt-4o","messages":[],"model":"gpt-4o-mini"}',
    "escaped": b'{"model":"gpt-4o-mini","mod\\u0065l":"gpt-4o"}',
    "another case": b'{"model":"gpt-4o-mini","Model":"gpt-4o"}',
    "byte order mark": b"\xef\xbb\xbf" + dumps(model=FORBIDDEN),
    "UTF-16": json.dumps({"model": FORBIDDEN}).encode("utf-16"),
    "a second value": dumps(model=ALLOWED) + dumps(model=FORBIDDEN),
    "list": dumps(model=[FORBIDDEN]),
    "object": dumps(model={}),
    "null": dumps(model=None),
    "number": dumps(model=5),
    "blank before it": dumps(model=" gpt-4o-mini"),
    "NUL behind it": dumps(model="gpt-4o-mini\0"),
    "capitals": dumps(model="GPT-4O-MINI"),
    "missing": dumps(),
    "not JSON": b"model=gpt-4o-mini",
    "empty": b"",
}


@pytest.mark.parametrize("name", TWO_READINGS)
def test_c04_a_body_with_two_readings_does_not_pass(limited, mock, name):
    answer = post(limited, TWO_READINGS[name])
    assert answer.status_code in (400, 403), answer.text
    assert "message" in answer.json()["error"]
    assert mock.requests == [] and limited.rows == []


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", None, "application/json; charset=utf-8", "application/x-www-form-urlencoded"],
)
def test_c04_any_content_type_is_checked_like_json(limited, mock, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    assert post(limited, dumps(model=FORBIDDEN), **headers).status_code == 403
    assert mock.requests == []
    assert post(limited, dumps(model=ALLOWED), **headers).status_code == 200


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_c05_compressed_bodies_are_read(limited, mock, coding, pack):
    allowed, forbidden = dumps(model=ALLOWED), dumps(model=FORBIDDEN)
    headers = {"Content-Encoding": coding}

    assert post(limited, pack(allowed), **headers).status_code == 200
    assert post(limited, pack(forbidden), **headers).status_code == 403

    [seen] = mock.requests
    assert (seen.body, seen.header("Content-Encoding")) == (allowed, None)
    assert seen.header("Content-Length") == str(len(allowed))


@pytest.mark.parametrize(
    ("coding", "data", "status"),
    [
        ("br", dumps(model=FORBIDDEN), 415),
        ("gzip, gzip", gzip.compress(gzip.compress(dumps(model=FORBIDDEN))), 415),
        ("foo", dumps(model=ALLOWED), 415),
        ("gzip", b"not gzip", 400),
        ("zstd", zstd.compress(dumps(model=ALLOWED))[:-3], 400),
    ],
    ids=["br", "gzip twice", "unknown", "corrupt", "cut off"],
)
def test_c05_what_cannot_be_unpacked_does_not_pass(limited, mock, coding, data, status):
    assert post(limited, data, **{"Content-Encoding": coding}).status_code == status
    assert mock.requests == []


@pytest.mark.parametrize("limits", [{}, {"allowed_models": [ALLOWED]}], ids=str)
def test_c05_a_compressed_form_is_refused_with_the_reason(gateway, mock, limits):
    gateway.use(**limits)
    mock.script = reply({"text": "Hello"})
    plain = form(MODEL_FIELD, ('name="file"; filename="a.mp3"', "ID3"))
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    def send(coding: str, data: bytes):
        return gateway.post(
            "/v1/audio/transcriptions", data=data, headers={**headers, "Content-Encoding": coding}
        )

    plain += b"--b--\r\n"
    refused = send("gzip", gzip.compress(plain))
    assert (refused.status_code, refused.headers["Accept-Encoding"]) == (415, "identity")
    assert refused.json()["error"]["message"] == "A form must have no Content-Encoding"
    assert mock.requests == []
    assert send("identity", plain).status_code == 200
    assert mock.requests[0].body == plain


@pytest.mark.slow
def test_c05_a_bomb_is_refused_quickly(limited):
    bomb = gzip.compress(b"\0" * 2**20 * 200)
    began = time.monotonic()
    assert post(limited, bomb, **{"Content-Encoding": "gzip"}).status_code == 413
    assert time.monotonic() - began < 2


OTHER_PLACES = {
    "models": dumps(model=ALLOWED, models=[ALLOWED, FORBIDDEN]),
    "fallbacks": dumps(model=ALLOWED, fallbacks=[FORBIDDEN]),
    "fallback objects": dumps(model=ALLOWED, fallbacks=[{"model": FORBIDDEN}]),
    "fallbacks by default": dumps(model=ALLOWED, fallbacks="default"),
    "tools": dumps(model=ALLOWED, tools=[{"type": "image_generation", "model": "gpt-image-1"}]),
    "a stored prompt": dumps(prompt={"id": "pmpt_1"}),
    "models in another case": dumps(model=ALLOWED, Models=[FORBIDDEN]),
    "a fallback that is no text": dumps(model=ALLOWED, fallbacks=[[FORBIDDEN]]),
    "OpenRouter's route": dumps(
        model=ALLOWED, models=[ALLOWED, FORBIDDEN], route="fallback", provider={"sort": "price"}
    ),
}


@pytest.mark.parametrize("name", OTHER_PLACES)
def test_c06_other_places_that_name_a_model(limited, mock, name):
    answer = post(limited, OTHER_PLACES[name], "/v1/responses")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
    assert mock.requests == []


def test_c06_a_model_in_the_query(limited, mock):
    path = f"/v1/chat/completions?model={FORBIDDEN}"
    answer = post(limited, dumps(model=ALLOWED), path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
    assert FORBIDDEN in answer.json()["error"]["message"]
    assert mock.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/fine_tuning/jobs",
        "/v1/fine_tuning/alpha/graders/run",
        "/v1/threads/runs",
        "/v1/evals",
        "/v1/evals/e/runs",
        "/v1/videos/v/remix",
        "/v1/agents/sessions",
        "/v1/agents/automations/a/invocations",
    ],
)
def test_c06_what_starts_calls_later_has_to_be_named(limited, mock, own_key, path):
    own_key()
    assert limited.post(path, {"model": ALLOWED}).status_code == 403
    limited.use(allowed_models=[ALLOWED], allowed_endpoints=[path])
    assert limited.post(path, {"model": FORBIDDEN}).status_code == 403
    assert mock.requests == []
    assert limited.post(path, {"model": ALLOWED}).status_code == 200


@pytest.mark.parametrize(
    ("sent", "relayed"),
    [
        (["application/json; charset=utf-7"], "application/json"),
        (["application/x-www-form-urlencoded"], "application/json"),
        (["multipart/form-data; boundary=b"], "application/json"),
        (["application/json", "application/json; charset=utf-16"], "application/json"),
        (["application/json"], "application/json"),
        (['Application/JSON ; charset="UTF-8"'], 'Application/JSON ; charset="UTF-8"'),
    ],
)
def test_c04_what_was_checked_as_json_is_sent_as_json(limited, mock, sent, relayed):
    """As UTF-7, which some servers decode, `+AG0-odel` is `model`."""
    types = HTTPHeaderDict()
    for each in sent:
        types.add("Content-Type", each)
    types["Authorization"] = f"Bearer {limited.token}"
    data = b'{"model":"gpt-4o-mini","messages":[],"+AG0-odel":"gpt-4o"}'
    url = limited.url + "/v1/chat/completions"
    answer = PoolManager().request("POST", url, body=data, headers=types, retries=False)
    assert answer.status == 200
    [request] = mock.requests
    types = [value for name, value in request.headers if name.lower() == "content-type"]
    assert types == [relayed]
    assert request.body == data


def test_c04_where_nothing_is_checked_the_type_is_relayed_as_it_is(gateway, mock):
    mock.script = reply(chat())
    data = dumps(model=ALLOWED)
    post(gateway, data, **{"Content-Type": "application/json; charset=iso-8859-1"})
    assert mock.requests[0].header("Content-Type") == "application/json; charset=iso-8859-1"


def form(*parts: tuple[str, str]) -> bytes:
    """Fields by what their `Content-Disposition` says of them."""
    return b"".join(f"--b\r\n{HEADER}{said}\r\n\r\n{value}\r\n".encode() for said, value in parts)


HEADER = "Content-Disposition: form-data; "
MODEL_FIELD = ('name="model"', ALLOWED)
FORMS = {
    "twice": form(MODEL_FIELD, ('name="model"', FORBIDDEN)),
    "twice, reversed": form(('name="model"', FORBIDDEN), MODEL_FIELD),
    "without quotes": form(MODEL_FIELD, ("name=model", FORBIDDEN)),
    "another case": form(MODEL_FIELD, ('name="Model"', FORBIDDEN)),
    "a list": form(MODEL_FIELD, ('name="model[]"', FORBIDDEN)),
    "a member": form(MODEL_FIELD, ('name="model.name"', FORBIDDEN)),
    "an encoded name": form(MODEL_FIELD, ("name*=utf-8''model", FORBIDDEN)),
    "a file": form(MODEL_FIELD, ('name="model"; filename="x"', FORBIDDEN)),
    "an empty file name": form(('name="model"; filename=""', FORBIDDEN), MODEL_FIELD),
    "two names": form(('name="x"; name="model"', FORBIDDEN), MODEL_FIELD),
    "two names, reversed": form(MODEL_FIELD, ('name="model"; name="x"', FORBIDDEN)),
    "two headers": form(MODEL_FIELD, (f'name="model"\r\n{HEADER}name="x"', FORBIDDEN)),
    "a header in two": form(MODEL_FIELD, (f"name=model\r\n{HEADER[:21]}x", FORBIDDEN)),
    "no header": b"--b\r\nContent-Type: text/plain\r\n\r\ngpt-4o\r\n" + form(MODEL_FIELD),
    "an escape": form(MODEL_FIELD, ('name="mod\\el"', FORBIDDEN)),
    "an escape in a file's name": form(MODEL_FIELD, (r'name="x"; filename="\"; name="y"', "x")),
    "a percent sign": form(MODEL_FIELD, ('name="mod%65l"', FORBIDDEN)),
    "single quotes": form(MODEL_FIELD, ("name='model'", FORBIDDEN)),
    "a null character": form(MODEL_FIELD, ('name="model\0"', FORBIDDEN)),
    "a null character in a name": form(MODEL_FIELD, ('name="model\0x"', FORBIDDEN)),
    "another form behind it": form(MODEL_FIELD) + b"--b--\r\n" + form(('name="model"', FORBIDDEN)),
    "none": form(('name="prompt"', "x")),
    "no end": form(MODEL_FIELD)[:-4],
}


@pytest.mark.parametrize("end", [b"--b--", b"--b--\r\n", b"--b-- \r\n\r\n"])
@pytest.mark.parametrize("size", [1, 9, 10_000])
def test_c04_the_end_of_a_form_may_come_in_pieces(limited, mock, size, end):
    mock.script = reply({"text": "hello", "usage": {"type": "duration", "seconds": 11}})
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    def send(whole: bytes) -> int:
        pieces = (whole[start : start + size] for start in range(0, len(whole), size))
        return post(limited, pieces, "/v1/audio/transcriptions", **headers).status_code

    assert send(form(MODEL_FIELD) + end) == 200
    assert send(form(MODEL_FIELD) + end + form(MODEL_FIELD)) == 400
    assert len(mock.requests) == 1


@pytest.mark.parametrize("name", FORMS)
def test_c04_a_form_with_two_readings_does_not_pass(limited, mock, name):
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    end = b"" if name == "no end" else b"--b--\r\n"
    answer = post(limited, FORMS[name] + end, "/v1/audio/transcriptions", **headers)
    assert answer.status_code in (400, 403), answer.text
    assert mock.requests == [] and limited.rows == []


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=b; boundary=c",
        "multipart/form-data; boundary*=utf-8''b",
        "multipart/form-data",
        "multipart/mixed; boundary=b",
        "text/plain",
        "application/x-www-form-urlencoded",
        None,
    ],
)
def test_c04_a_form_is_of_one_type(limited, mock, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    body = form(MODEL_FIELD) + b"--b--\r\n"
    answer = post(limited, body, "/v1/audio/transcriptions", **headers)
    assert answer.status_code == 400
    assert mock.requests == []


@pytest.mark.parametrize(
    "file",
    [
        """name="file"; filename="say 'hi'; 100%.mp3\"""",
        "name=\"file\"; filename*=utf-8''Gr%C3%BC%C3%9Fe.mp3",
        "name=file; filename=a.mp3; filename*=utf-8''a.mp3",  # as .NET writes it
    ],
)
def test_c04_a_usual_form_passes(limited, mock, file):
    mock.script = reply({"text": "hello", "usage": {"type": "duration", "seconds": 11}})
    parts = form(MODEL_FIELD, (file, "ID3"))
    headers = {"Content-Type": 'Multipart/Form-Data; boundary="b"'}
    answer = post(limited, parts + b"--b--\r\n", "/v1/audio/transcriptions", **headers)
    assert answer.status_code == 200
    assert mock.requests[0].body == parts + b"--b--\r\n"


def test_c04_odd_names_pass_where_nothing_is_checked(gateway, mock):
    mock.script = reply({"text": "hello", "usage": {"type": "duration", "seconds": 11}})
    parts = form((r'name="file"; filename="a\"b.mp3"', "ID3"), MODEL_FIELD) + b"--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert post(gateway, parts, "/v1/audio/transcriptions", **headers).status_code == 200
    assert gateway.row.requested_model == ALLOWED


def test_c06_an_alias_is_checked_by_its_target(limited, mock):
    limited.bind_alias("fast", f"openai:{ALLOWED}")
    limited.bind_alias("deep", f"openai:{FORBIDDEN}")
    refused = limited.chat("deep")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert limited.chat("fast", temperature=0.5).status_code == 200
    [seen] = mock.requests
    # Only the model is replaced, and every other byte is as it was sent.
    assert seen.body == (
        b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], '
        b'"temperature": 0.5}'
    )
    assert (limited.row.alias, limited.row.requested_model) == ("fast", "fast")


def test_c06_an_alias_is_replaced_wherever_it_is_written(limited, mock):
    limited.bind_alias(FORBIDDEN, f"openai:{ALLOWED}")
    body = b'{"messages":[],"mod\\u0065l":"gpt-4o"}'
    within_a_second(lambda: post(limited, body).status_code == 200)
    assert mock.requests[-1].body == b'{"messages":[],"mod\\u0065l":"gpt-4o-mini"}'


def test_c06_an_alias_in_a_form_is_not_its_target(limited, mock):
    """What is checked is what the upstream gets: forms are relayed as they are."""
    limited.bind_alias(FORBIDDEN, f"openai:{ALLOWED}")
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    data = form(('name="model"', FORBIDDEN)) + b"--b--\r\n"
    within_a_second(
        lambda: post(limited, data, "/v1/audio/transcriptions", **headers).status_code == 400
    )
    assert mock.requests == []


def test_c07_azure_names_the_model_in_the_path(limited, mock, upstreams_file):
    azure(upstreams_file, mock)
    path = "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21"
    headers = {"api-key": limited.token}

    answer = requests.post(
        limited.url + path, data=dumps(model=ALLOWED), headers=headers, timeout=30
    )

    assert answer.status_code == 200
    [seen] = mock.requests
    assert seen.target == path
    assert seen.header("api-key") == "azure-key"
    assert limited.token not in str(seen.headers)
    assert (limited.row.model, limited.row.requested_model) == (
        "gpt-4o-mini-2024-07-18",
        "gpt-4o-mini",
    )
    responses = "/openai/responses?api-version=2025-04-01-preview"
    assert post(limited, dumps(model=ALLOWED), responses).status_code == 200


@pytest.mark.parametrize(
    ("deployment", "model"),
    [
        (FORBIDDEN, ALLOWED),
        (ALLOWED, FORBIDDEN),
        ("gpt%2D4o", ALLOWED),
        ("gpt-4o-mini%2F..%2Fgpt-4o", ALLOWED),
        ("gpt-4o-mini%2f..%2fgpt-4o", ALLOWED),
        ("..%5Cgpt-4o", ALLOWED),
        ("gpt-4o-mini%252F..", ALLOWED),
        ("..;x", ALLOWED),
    ],
)
def test_c07_path_and_body_are_both_checked(limited, mock, upstreams_file, deployment, model):
    azure(upstreams_file, mock)
    path = f"/openai/deployments/{deployment}/chat/completions"
    assert post(limited, dumps(model=model), path).status_code in (400, 403)
    assert mock.requests == []


@pytest.mark.parametrize("step", ["..", ".", "%2e%2e", "..;", "..%3Bx=1", "..%20", "..%09;", ".;"])
def test_c07_no_path_leads_an_upstream_elsewhere(gateway, mock, own_key, step):
    """What is free here would be a chat there, without a row or a budget."""
    own_key()
    gateway.use(budget_usd=1)
    body = {"model": ALLOWED, "messages": []}
    got = raw_post(gateway, body, f"/v1/files/{step}/chat/completions")
    assert got.startswith(b"HTTP/1.1 400 ") and b'"The path is ambiguous"' in got
    assert mock.requests == []


@pytest.mark.parametrize("name", ["...", "a..b", "..a;b", "a;..", ";"])
def test_c07_other_names_of_objects_pass(gateway, mock, own_key, name):
    own_key()
    mock.script = reply({})
    assert raw_post(gateway, {}, f"/v1/files/{name}/content").startswith(b"HTTP/1.1 200 ")
    assert mock.requests[0].target == f"/v1/files/{name}/content"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/files", None),
        ("GET", "/v1/batches", None),
        ("GET", "/v1/files/file-1/content", None),
        ("DELETE", "/v1/files/file-1", None),
        ("GET", "/v1/responses/resp_1", None),
        ("POST", "/v1/responses", {"model": ALLOWED, "previous_response_id": "resp_1"}),
        (
            "POST",
            "/v1/responses",
            {"model": ALLOWED, "input": [{"content": [{"type": "input_file", "file_id": "f"}]}]},
        ),
        (
            "POST",
            "/v1/responses",
            {"model": ALLOWED, "input": [{"type": "item_reference", "id": "msg_1"}]},
        ),
        (
            "POST",
            "/v1/responses",
            {
                "model": ALLOWED,
                "input": "x",
                "tools": [{"type": "code_interpreter", "container": "cntr_1"}],
            },
        ),
        ("POST", "/v1/images/edits", {"model": ALLOWED, "images": [{"file_id": "file-1"}]}),
        ("POST", "/v1/batches", {"input_file_id": "file-1"}),
        ("POST", "/v1/vector_stores", {"name": "x"}),
    ],
)
def test_c09_objects_of_a_shared_key_are_not_served(gateway, mock, own_key, method, path, body):
    mock.script = reply({"id": "x"})
    other = Project.objects.create(name="another tenant")

    shared = gateway.send(method, path, body)
    assert (shared.status_code, shared.json()["error"]["code"]) == (403, "shared_upstream_key")
    assert mock.requests == []
    own_key("sk-the-same-key-0123456789")
    within_a_second(lambda: gateway.send(method, path, body).status_code == 200)
    own_key("sk-the-same-key-0123456789", to=other)
    within_a_second(lambda: gateway.send(method, path, body).status_code == 403)
    for seen in mock.requests:
        assert seen.header("Authorization") == "Bearer sk-the-same-key-0123456789"


def test_c09_names_of_objects_in_schemas_and_labels_are_harmless(gateway, mock):
    mock.script = reply(chat())
    schema = {"type": "object", "properties": {"file_id": {"type": "string"}, "container": {}}}
    tool = {"type": "function", "function": {"name": "read", "parameters": schema}}
    sent = {"tools": [tool], "metadata": {"file_id": "mine"}}
    assert gateway.chat(**sent).status_code == 200
    answer = gateway.post(
        "/v1/responses",
        {
            "model": ALLOWED,
            "input": "x",
            "tools": [{"type": "code_interpreter", "container": {"type": "auto"}}],
        },
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "place",
    [
        ("Authorization", "Bearer {}"),
        ("Authorization", "bearer {}"),
        ("api-key", "{}"),
        ("x-api-key", "{}"),
        ("x-goog-api-key", "{}"),
    ],
    ids=str,
)
def test_c10_where_a_token_may_be(gateway, mock, caplog, place):
    caplog.set_level(logging.DEBUG)
    mock.script = reply(chat())
    name, form = place
    wrong = "sk-" + "x" * 22

    def call(token):
        headers = {name: form.format(token), "Referer": f"http://x.test/?key={token}"}
        return requests.post(
            gateway.url + "/v1/chat/completions",
            data=dumps(model=ALLOWED),
            headers=headers,
            timeout=30,
        )

    assert call(gateway.token).status_code == 200
    assert call(wrong).status_code == 401
    [seen] = mock.requests
    assert gateway.token not in seen.target + str(seen.headers)
    assert seen.header("Authorization") == "Bearer sk-upstream-key-0123456789"
    for secret in (gateway.token, wrong, "sk-upstream-key-0123456789"):
        assert secret not in ours(caplog)


def test_c10_a_bearer_without_a_token_hides_no_other(gateway, mock):
    mock.script = reply(chat())
    headers = {"Authorization": "Bearer", "api-key": gateway.token}
    assert gateway.chat(headers=headers).status_code == 200


_PEERS = ("urllib3", "uvicorn")  # this test's client; the server does not use the other's log


def ours(caplog) -> str:
    """What was logged by this project and what it calls with."""
    return "\n".join(r.getMessage() for r in caplog.records if r.name.split(".")[0] not in _PEERS)


@pytest.mark.parametrize("path", ["/v1/files/{}", "/v1/models/{}", "/v1/chat/completions?a={}"])
def test_c10_a_token_in_the_address_goes_nowhere(gateway, mock, own_key, settings, caplog, path):
    own_key()
    settings.ACCESS_LOG = True
    caplog.set_level(logging.DEBUG)
    method = "POST" if "chat" in path else "GET"
    answer = gateway.send(method, path.format(gateway.token), {"model": ALLOWED})
    assert answer.status_code == 400
    assert gateway.token not in answer.text + ours(caplog)
    assert mock.requests == []


@pytest.mark.parametrize("dash", ["%2D", "%252d", "%25252D"])
def test_c10_a_token_goes_nowhere_however_a_query_escapes_it(gateway, mock, dash):
    query = f"?next=https://a.test/%3Fkey={gateway.token.replace('-', dash)}"
    assert gateway.post("/v1/chat/completions" + query, {"model": ALLOWED}).status_code == 400
    assert mock.requests == []


def test_c10_failures_show_no_secret(gateway, settings, caplog):
    from gateway import upstreams

    caplog.set_level(logging.DEBUG)
    settings.OPENAI_API_URL = "https://127.0.0.1:9"
    upstreams.forget()
    in_query = gateway.post("/v1/chat/completions?key=" + gateway.token, {"model": ALLOWED})
    assert in_query.status_code == 400
    answer = gateway.chat()
    assert answer.status_code == 502
    for secret in (gateway.token, "sk-upstream-key-0123456789"):
        assert secret not in ours(caplog) + answer.text + in_query.text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_token"),
        ("llmr_pk_" + "0" * 32, "invalid_token"),
        ("sk-short", "invalid_token"),
        ("sk-" + "A" * 22, "token_not_found"),
    ],
)
def test_no_other_text_opens_a_project(gateway, mock, bridge_mode, text, code):
    before = Project.objects.count()
    answer = post(gateway, dumps(model=ALLOWED), Authorization=f"Bearer {text}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert Project.objects.count() == before
    assert mock.requests == []


@pytest.mark.parametrize("key", ["llmr_pk_" + "0" * 32, "sk-proj-" + "A" * 40, "gsk_" + "A" * 52])
def test_who_sends_another_key_is_told_what_the_gateway_takes(gateway, key):
    refused = post(gateway, dumps(model=ALLOWED), Authorization=f"Bearer {key}")
    message = "Invalid token: the gateway takes tokens of its own, and no API keys"
    assert (refused.status_code, refused.json()["error"]["message"]) == (401, message)
    assert key not in refused.text


def test_a_token_that_is_sent_twice_is_told_so(gateway):
    twice = f"Bearer {gateway.token},Bearer {gateway.token}"
    refused = post(gateway, dumps(model=ALLOWED), Authorization=twice)
    message = "Invalid token: it must be sent once"
    assert (refused.status_code, refused.json()["error"]["message"]) == (401, message)


def test_revoked_expired_and_archived(gateway, mock):
    mock.script = reply(chat())
    assert gateway.chat().status_code == 200

    Token.objects.filter(id=gateway.token_row.id).revoke()
    assert_refused_within_a_second(gateway, 401, "token_inactive")

    gateway.use(expires_at=timezone.now() - timedelta(seconds=1))
    assert gateway.chat().json()["error"]["code"] == "token_expired"

    gateway.use()
    assert gateway.chat().status_code == 200
    Project.objects.filter(id=gateway.project.id).update(archived_at=timezone.now())
    assert_refused_within_a_second(gateway, 403, "project_inactive")


def assert_refused_within_a_second(gateway: Gateway, status: int, code: str) -> None:
    within_a_second(lambda: gateway.chat().status_code != 200)
    answer = gateway.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_token_of_one_origin_and_endpoint(gateway, mock):
    mock.script = reply(chat())
    gateway.use(allowed_endpoints=["/v1/chat/*"], allowed_origins=["https://app.test"])
    headers = {"Origin": "https://app.test"}
    assert gateway.chat(headers=headers).status_code == 200
    assert gateway.chat().json()["error"]["code"] == "origin_not_allowed"
    other = gateway.post("/v1/embeddings", {"model": "x", "input": "x"}, headers=headers)
    assert other.json()["error"]["code"] == "endpoint_not_allowed"


WHITELIST = """
apis:
  openai:
    base_url: {url}
    api_key: k
    param_whitelist:
      model: [gpt-4o, "gpt-4.1-*"]
    allowed_origins: [https://www.example.com]
    required_headers: [origin]
"""


def test_the_seeds_configuration(gateway, mock, upstreams_file):
    upstreams_file(WHITELIST.format(url=mock.url))
    mock.script = reply(chat())
    origin = {"Origin": "https://www.example.com"}

    def code(answer):
        return answer.json()["error"]["code"]

    assert gateway.chat("gpt-4o", headers=origin).status_code == 200
    assert gateway.chat("gpt-4.1-mini", headers=origin).status_code == 200
    assert code(gateway.chat("gpt-4o-mini", headers=origin)) == "param_not_allowed"
    assert code(gateway.chat("gpt-4o")) == "origin_required"
    assert (
        code(gateway.chat("gpt-4o", headers={"Origin": "https://x.test"})) == "origin_not_allowed"
    )
    form = {"files": {"file": ("a", b"x")}, "data": {"model": "whisper-1"}}
    assert code(gateway.post("/v1/audio/transcriptions", headers=origin, **form)) == (
        "param_not_allowed"
    )
    assert len(mock.requests) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apis:\n  openai: [", "line 2"),
        ("apis:\n  openai:\n    param_whitelsit: {}\n", "line 3: apis.openai.param_whitelsit"),
        ("apis:\n  groq:\n    api_key: k\n", "apis.groq: base_url is missing"),
        ("default_api: nowhere\n", "no upstream 'nowhere'"),
        ("apis:\n  groq:\n    base_url: ftp://x\n", "line 3: apis.groq.base_url"),
        ("apis:\n  groq:\n    base_url: http://x\n    timeouts: {idle: soon}\n", "line 4"),
        ("apis:\n  openai: {}\napis: {}\n", "line 3: apis occurs twice"),
        (
            "apis:\n  openai:\n    allowed_methods: [GET]\n    allowed_methods: [POST]\n",
            "line 4: allowed_methods occurs twice",
        ),
        ("apis: &a\n  openai: *a\n", "apis.openai"),  # leads back to itself
        ("apis:\n  groq:\n    base_url:\n", "apis.groq: base_url is missing"),
        ("apis:\n  openai:\n    api_key: sk 1\n", "line 3: apis.openai.api_key: should have"),
        ("apis:\n  openai:\n    api_key: ${X_KEY}\n", "line 3: apis.openai.api_key: should have"),
        ("apis:\n  openai:\n    api_key: ${X:-k}\n", "api_key: should name variables as ${NAME}"),
        ("apis:\n  openai:\n    base_url: http://x/v1#a\n", "line 3: apis.openai.base_url"),
        ("apis:\n  openai:\n    base_url: http://x y/v1\n", "line 3: apis.openai.base_url"),
        ("apis:\n  openai:\n    base_url: http://x:70000\n", "line 3: apis.openai.base_url"),
        ("apis:\n  openai:\n    allowed_origins: ['*']\n", "should be an origin such as"),
        ("apis:\n  openai:\n    allowed_methods: [get, gte]\n", "allowed_methods.1: Input should"),
        ("apis: {openai: {retries: 6}}", "apis.openai.retries: Input should be less"),
        ("apis: {openai: {timeouts: {idle: 0s}}}", "apis.openai.timeouts.idle: Input should be g"),
        ("apis: {openai: {timeouts: {idle: 5x}}}", "should be a duration such as 90s"),
        ("apis: {openai: {drain: {megabytes: 0}}}", "apis.openai.drain.megabytes: Input should"),
        ("apis: {openai: {max_output_tokens: 0}}", "apis.openai.max_output_tokens: Input should"),
        ("apis: {openai: {max_tool_calls: -1}}", "apis.openai.max_tool_calls: Input should be g"),
        ("apis: {openai: {auth: basic}}", "apis.openai.auth: Input should be 'bearer' or"),
        ("apis: {openai: {protocol: gemini}}", "apis.openai.protocol: Input should be 'openai'"),
        ("apis: {openai: {provider: ''}}", "apis.openai.provider: String should have at least 1"),
        ("apis: {a b: {base_url: http://x}}", "should be a name of letters, digits"),
        (
            "apis:\n  openai:\n    allowed_methods:\n    - get\n    - gte\n",
            "line 5: apis.openai.allowed_methods.1: Input should",
        ),
        ("apis:\n  openai:\n    required_headers: [X Team]\n", "should be the name of a header"),
    ],
)
def test_a_broken_configuration_refuses_to_start(upstreams_file, monkeypatch, text, expected):
    from gateway.checks import check_upstreams

    monkeypatch.setenv("X_KEY", "pw-secret\nX-Other: 1")
    upstreams_file(text)
    [error] = check_upstreams(None)
    assert expected in error.msg
    assert "pw-secret" not in error.msg


def test_what_the_older_proxys_file_may_have_is_accepted(upstreams_file):
    upstreams_file(
        "apis:\n  openai:\n    timeouts: {idle_connection: 90s, flush_interval: 100ms}\n"
        "    connection: {max_idle_conns: 100, max_idle_conns_per_host: 20}\n    retries: 5\n"
    )
    assert upstream_config.configured().upstreams["openai"].retries == 5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1h1m30s", 3690), ("45", 45)],
)
def test_times_of_a_configuration_have_units_or_are_seconds(upstreams_file, text, seconds):
    upstreams_file(f"apis:\n  openai: {{timeouts: {{idle: {text}}}}}\n")
    assert upstream_config.configured().upstreams["openai"].timeouts.idle == seconds


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DEFAULT_API_PROVIDER", "nowhere", "DEFAULT_API_PROVIDER: there is no upstream 'nowhere'"),
        ("OPENAI_API_URL", "https://me:pw-secret@h", "OPENAI_API_URL should have no user name"),
        ("API_CONFIG_PATH", "no.yaml", "API_CONFIG_PATH: no.yaml cannot be read: No such file"),
    ],
)
def test_variable_that_cannot_be_followed_is_named(upstreams_file, settings, name, value, expected):
    from gateway.checks import check_upstreams

    upstreams_file("default_api: openai\n")
    setattr(settings, name, value)
    [error] = check_upstreams(None)
    assert expected in error.msg and "pw-secret" not in error.msg


def test_several_upstreams(gateway, mock, upstreams_file):
    upstreams_file(
        f"apis:\n  groq: {{base_url: {mock.url}/openai/v1, api_key: groq-key}}\n"
        f"  local: {{base_url: {mock.url}/v1, api_key: local-key}}\n"
    )
    mock.script = reply(chat())
    assert gateway.chat("groq:llama-3.3-70b").status_code == 200
    assert gateway.use(upstream="local").chat("llama3:8b").status_code == 200
    first, second = mock.requests
    assert (first.target, first.json["model"]) == ("/openai/v1/chat/completions", "llama-3.3-70b")
    assert first.header("Authorization") == "Bearer groq-key"
    assert (second.target, second.json["model"]) == ("/v1/chat/completions", "llama3:8b")
    assert [row.upstream for row in gateway.rows] == ["groq", "local"]
    assert counts(gateway.rows[0])[0] == "settled"
