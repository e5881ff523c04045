"""Models inside batch files, however a line or the upload writes them."""

import json

import pytest

from tests.gateway.upstream import reply

ALLOWED, FORBIDDEN = "gpt-4o-mini", "gpt-4o"


@pytest.fixture
def limited(gateway, mock, own_key):
    own_key()
    mock.script = reply({"id": "file-1", "object": "file"})
    return gateway.use(allowed_models=[ALLOWED])


def line(model: str, **members) -> bytes:
    request = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions"}
    return json.dumps({**request, "body": {"model": model, **members}}).encode() + b"\n"


PURPOSE = ('name="purpose"', b"batch")
FILE = 'name="file"; filename="batch.jsonl"'


def upload(gateway, *parts: tuple[str, bytes]):
    """Send parts by what their `Content-Disposition` says of them."""
    body = b"".join(
        b"--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (said.encode(), value)
        for said, value in parts
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return gateway.post("/v1/files", data=body + b"--b--\r\n", headers=headers)


def test_c08_models_inside_a_batch_file(limited, mock):
    lines = [line(ALLOWED)] * 1000
    assert upload(limited, PURPOSE, (FILE, b"".join(lines))).json()["id"] == "file-1"
    lines[700] = line(FORBIDDEN)

    refused = upload(limited, PURPOSE, (FILE, b"".join(lines)))

    assert refused.status_code == 403
    assert FORBIDDEN in refused.json()["error"]["message"]
    assert len(mock.requests) == 1
    unknown = {"input_file_id": "file-9", "endpoint": "/v1/chat/completions"}
    assert limited.post("/v1/batches", unknown).status_code == 403


BATCH = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}


@pytest.mark.parametrize(
    "limits", [{}, {"allowed_models": [ALLOWED]}, {"allowed_endpoints": ["/v1/*"]}], ids=str
)
def test_c08_a_batch_with_a_budget_is_refused_for_the_budget(gateway, mock, own_key, limits):
    own_key()
    refused = gateway.use(budget_usd=5, **limits).post("/v1/batches", BATCH)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cost_unbounded")
    assert refused.json()["error"]["message"].endswith("and the token has a budget")
    assert mock.requests == []


def test_c08_a_batch_without_a_bound_passes_where_the_operator_lets_it(
    gateway, mock, own_key, settings
):
    settings.GATEWAY_UNBOUNDED = True
    own_key()
    mock.script = reply({"id": "batch_1", "object": "batch"})
    assert gateway.use(budget_usd=5).post("/v1/batches", BATCH).status_code == 200
    assert gateway.row.usage_status == "unknown"


LINES = {
    "model twice": b'{"body":{"model":"gpt-4o","model":"gpt-4o-mini"}}',
    "body twice": b'{"body":{"model":"gpt-4o"},"body":{"model":"gpt-4o-mini"}}',
    "another body": b'{"Body":{"model":"gpt-4o"},"body":{"model":"gpt-4o-mini"}}',
    "another case": b'{"body":{"model":"gpt-4o-mini","Model":"gpt-4o"}}',
    "models": b'{"body":{"model":"gpt-4o-mini","models":["gpt-4o"]}}',
    "a tool": b'{"body":{"model":"gpt-4o-mini","tools":[{"type":"image_generation"}]}}',
    "a model by its id": line(ALLOWED, model_id=FORBIDDEN),
    "a preset": line(ALLOWED, preset="dear"),
    "no model": b'{"body":{}}',
    "no body": b'{"model":"gpt-4o-mini"}',
    "a carriage return": b'{"custom_id":\r{"body":{"model":"gpt-4o-mini"}}\r}',
    "two on a line": line(ALLOWED).strip() * 2,
    "byte order mark": b"\xef\xbb\xbf" + line(ALLOWED),
    "UTF-16": line(ALLOWED).decode().encode("utf-16"),
    "not UTF-8": b'{"body":{"model":"gpt-4o-mini","x":"\xff"}}',
    "no-break space": "\N{NO-BREAK SPACE}".encode() + line(ALLOWED),
    "not JSON": b"gpt-4o",
    "a list": b'[{"body":{"model":"gpt-4o-mini"}}]',
}


@pytest.mark.parametrize("name", LINES)
def test_c08_a_line_with_two_readings_does_not_pass(limited, mock, name):
    answer = upload(limited, PURPOSE, (FILE, line(ALLOWED) + LINES[name]))
    assert answer.status_code in (400, 403), answer.text
    if answer.status_code == 400:
        assert answer.json()["error"]["message"].startswith("Line 2 is not")
    assert "message" in answer.json()["error"]
    assert mock.requests == []


FORBIDDEN_FILE = (FILE, line(FORBIDDEN))
UPLOADS = {
    "purpose twice": (PURPOSE, ('name="purpose"', b"assistants"), FORBIDDEN_FILE),
    "purpose as a file": (('name="purpose"; filename=""', b"batch"), FORBIDDEN_FILE),
    "a blank after it": (('name="purpose"', b"batch "), FORBIDDEN_FILE),
    "capitals": (('name="Purpose"', b"Batch"), FORBIDDEN_FILE),
    "an unknown purpose": (('name="purpose"', b"batch_v2"), FORBIDDEN_FILE),
    "no purpose": (FORBIDDEN_FILE,),
    "purpose at the end": (FORBIDDEN_FILE, PURPOSE),
    "two files": (PURPOSE, (FILE, line(ALLOWED)), FORBIDDEN_FILE),
    "no file name": (PURPOSE, ('name="file"', line(FORBIDDEN))),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_c08_an_upload_with_two_readings_does_not_pass(limited, mock, name):
    assert upload(limited, *UPLOADS[name]).status_code == 403
    assert mock.requests == []


def test_c08_the_line_and_its_fault_are_named(limited):
    answer = upload(limited, PURPOSE, (FILE, line(ALLOWED) + b"\n" + LINES["model twice"]))
    message = 'Line 3 is not valid JSON: The member "model" occurs twice'
    assert answer.json()["error"]["message"] == message


@pytest.mark.parametrize("path", ["/v1/files", "/v1/uploads"])
def test_c08_a_batch_file_in_parts_cannot_be_checked(limited, mock, path):
    sent = {"purpose": "batch", "filename": "batch.jsonl", "bytes": 1, "mime_type": "text/jsonl"}
    assert limited.post(path, sent).status_code == 403
    assert mock.requests == []
    assert limited.post(path, {**sent, "purpose": "user_data"}).status_code == 200
    part = {"files": {"data": ("data", b"a part of anything")}}
    assert limited.post("/v1/uploads/upload_1/parts", **part).status_code == 200


def test_c08_what_is_no_batch_passes(limited, mock):
    text = (FILE, b"\xff\xfe any \r\n bytes")
    assert upload(limited, ('name="purpose"', b"assistants"), text).status_code == 200
    assert limited.get("/v1/files?purpose=batch").status_code == 200


@pytest.mark.slow
def test_c08_large_files_are_read_whole(limited, mock):
    """Lines that are longer than a piece that is read, with ends of other systems."""
    long = line(ALLOWED, messages=[{"role": "user", "content": "\\ " * 100_000}])
    lines = long.replace(b"\n", b"\r\n") + b"\r\n" + long * 10
    whole = upload(limited, PURPOSE, (FILE, lines + line(ALLOWED).strip()))
    assert whole.status_code == 200, whole.text
    assert lines in mock.requests[0].body
    assert upload(limited, PURPOSE, (FILE, lines + line(FORBIDDEN).strip())).status_code == 403


def test_c08_a_model_may_be_allowed_by_its_upstreams_name(limited, mock):
    limited.use(allowed_models=[f"openai:{ALLOWED}"])
    assert upload(limited, PURPOSE, (FILE, line(ALLOWED))).status_code == 200
    assert upload(limited, PURPOSE, (FILE, line(FORBIDDEN))).status_code == 403


def at(url, name: str = "url") -> bytes:
    return json.dumps({**json.loads(line(ALLOWED)), name: url}).encode()


@pytest.mark.parametrize(
    "sent",
    [
        at("/openai/deployments/gpt-4o/chat/completions"),
        at("/openai/deployments/large/chat/completions"),
        at("/v1/engines/large/completions"),
        at("/v1/chat/completions?model=gpt-4o"),
        at("https://theirs.test/v1/chat/completions"),
        at("/v1/chat/../models/large"),
        at("/v1/deployments%2Flarge"),
        at(["/v1/chat/completions"]),
        at("/v1/engines/large/completions", "URL"),
    ],
)
def test_c08_the_address_of_a_line_names_no_model(limited, mock, sent):
    refused = upload(limited, PURPOSE, (FILE, line(ALLOWED) + sent))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert "Line 2 has a url" in refused.json()["error"]["message"]
    assert mock.requests == []


@pytest.mark.parametrize("url", ["/v1/responses", "/v1/images/generations", "/chat/completions"])
def test_c08_the_address_of_an_endpoint_passes(limited, mock, url):
    assert upload(limited, PURPOSE, (FILE, at(url))).status_code == 200
