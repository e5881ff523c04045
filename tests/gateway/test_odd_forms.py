"""Forms as RFC 2046 allows them, and what their delimiters must not hide (C04)."""

import tempfile

import pytest
from urllib3 import HTTPHeaderDict, PoolManager

from gateway.request import forms
from tests.gateway.conftest import counts
from tests.gateway.test_access_cases import ALLOWED, FORBIDDEN, MODEL_FIELD, form
from tests.gateway.upstream import reply

FILE = ('name="file"; filename="a.mp3"', "ID3")
WHOLE = form(MODEL_FIELD, FILE) + b"--b--\r\n"
HIDDEN = form(('name="model"', FORBIDDEN))
USUAL = {
    "a preamble": b"This is a multi-part message in MIME format.\r\n" + WHOLE,
    "a preamble of many lines": b"- one\r\n\r\n--- two\r\n-" * 5_000 + b"\r\n" + WHOLE,
    "an empty line before": b"\r\n" + WHOLE,
    "an epilogue": WHOLE + b"Nothing follows.\r\n",
    "no line end behind": WHOLE.rstrip(),
    "spaces behind a delimiter": WHOLE.replace(b"ini\r\n--b", b"ini\r\n--b \t"),
}
CHECKED = {"allowed_models": [ALLOWED]}


def send(gateway, data, boundary="b"):
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return gateway.post("/v1/audio/transcriptions", data=data, headers=headers)


@pytest.fixture(autouse=True)
def script(mock):
    mock.script = reply({"text": "hello", "usage": {"type": "duration", "seconds": 11}})


@pytest.mark.parametrize("limits", [{}, CHECKED], ids=["passing", "checked"])
@pytest.mark.parametrize("size", [None, 1], ids=["at once", "bytes"])
@pytest.mark.parametrize("name", USUAL)
def test_a_usual_form_passes_as_it_is(gateway, mock, name, size, limits):
    gateway.use(**limits)
    data = USUAL[name][-3_000:] if size and name.startswith("a preamble") else USUAL[name]
    pieces = (data[start : start + size] for start in range(0, len(data), size)) if size else data
    assert send(gateway, pieces).status_code == 200
    assert mock.requests[0].body == data
    assert gateway.row.requested_model == ALLOWED
    assert counts(gateway.row)[0] == "settled"


def test_form_without_room_is_refused_and_not_sent(gateway, mock, monkeypatch, tmp_path):
    """A full disk, or a folder for temporary files that is gone, is no fault of the client."""
    gateway.use(**CHECKED)
    data = form(MODEL_FIELD, (FILE[0], "ID3" * 500_000)) + b"--b--\r\n"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    answer = send(gateway, data)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_room")
    assert "x-should-retry" not in answer.headers
    assert mock.requests == [] and gateway.rows == []
    monkeypatch.undo()
    assert send(gateway, data).status_code == 200
    assert mock.requests[0].body == data


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("name", USUAL)
def test_a_form_is_read_however_it_is_cut(name, size):
    """By the network, where clients and servers cannot say it."""
    data = USUAL[name][-500:]
    fields = forms.FormFields("multipart/form-data; boundary=b")
    for start in range(0, len(data), size):
        fields.feed(data[start : start + size])
    fields.check_whole()
    assert fields.values == {"model": [ALLOWED]}


@pytest.mark.parametrize("limits", [{}, CHECKED], ids=["passing", "checked"])
def test_a_field_may_be_a_recording(gateway, mock, limits):
    """OpenAI's `known_speaker_references`: up to ten seconds each, some 400 KB of a WAV file."""
    sound = ('name="known_speaker_references[]"', "data:audio/wav;base64," + "A" * 400_000)
    data = form(sound, sound, MODEL_FIELD, FILE) + b"--b--\r\n"
    assert send(gateway.use(**limits), data).status_code == 200
    assert mock.requests[0].body == data
    assert gateway.row.requested_model == ALLOWED


def test_a_form_may_have_as_many_files_as_a_skill(gateway, mock, own_key):
    """500, by OpenAI's API reference."""
    own_key()
    files = [("files[]", (f"skill/{number}.md", b"x")) for number in range(500)]
    assert gateway.use(**CHECKED).post("/v1/skills", files=files).status_code == 200
    assert mock.requests[0].body.count(b"files[]") == 500


@pytest.mark.parametrize(
    ("count", "length", "status"), [(199, 30, 200), (200, 1, 400), (9, 700, 400)]
)
def test_a_checked_form_has_so_many_fields_and_no_more(
    gateway, mock, monkeypatch, count, length, status
):
    """200 fields; here of 6,000 bytes, of which the model's name has eleven."""
    monkeypatch.setattr(forms, "_MAX_SIZE", 6_000)
    data = form(MODEL_FIELD, *[('name="x"', "x" * length)] * count, FILE) + b"--b--\r\n"
    assert send(gateway.use(**CHECKED), data).status_code == status
    assert len(mock.requests) == (status == 200)
    assert send(gateway.use(), data).status_code == 200  # where nothing is checked


AMBIGUOUS = {
    "in the preamble": b"x" + HIDDEN + WHOLE,
    "in the preamble, by another line end": b"x\n" + HIDDEN + WHOLE,
    "in a part": form(MODEL_FIELD, ('name="prompt"', "x\n" + HIDDEN.decode())) + b"--b--\r\n",
    "in a line of a file": form(MODEL_FIELD, (FILE[0], "x" + HIDDEN.decode())) + b"--b--\r\n",
    "behind the end": WHOLE + HIDDEN + b"--b--\r\n",
    "behind the end of nothing": b"--b--\r\n" + WHOLE,
}


@pytest.mark.parametrize("size", [None, 1], ids=["at once", "bytes"])
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_c04_no_delimiter_stands_where_servers_differ(gateway, mock, name, size):
    gateway.use(**CHECKED)
    data = AMBIGUOUS[name]
    pieces = (data[start : start + size] for start in range(0, len(data), size)) if size else data
    answer = send(gateway, pieces)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert mock.requests == [] and gateway.rows == []


def test_c04_a_preamble_hides_no_model(gateway, mock):
    gateway.use(**CHECKED)
    data = b"Preamble\r\n" + form(('name="model"', FORBIDDEN), FILE) + b"--b--\r\n"
    answer = send(gateway, data)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
    assert mock.requests == []


def test_a_preamble_without_a_form_is_the_upstreams_to_refuse(gateway, mock):
    mock.script = reply({"error": {"message": "no form"}}, 400)
    assert send(gateway, b"Preamble only").status_code == 400
    assert mock.requests[0].body == b"Preamble only"
    assert counts(gateway.row)[0] == "failed"


def with_boundary(boundary: bytes, model: str) -> bytes:
    data = form(('name="model"', model), FILE) + b"--b--\r\n"
    return data.replace(b"--b", b"--" + boundary)


TWO_READINGS = {
    "two boundaries": "a; boundary=b",
    "another charset's": "a; boundary*=utf-8''b",
    "in parts": "a; boundary*0=b",
    "a list": "a, b",
    "quotes within": '"a; boundary=b"',
    "an escape": '"a\\b"',
    "single quotes": "'b'",
    "a charset that hides fields": "b; charset=utf-7",
}


@pytest.mark.parametrize("is_reversed", [False, True], ids=["as it is", "reversed"])
@pytest.mark.parametrize("name", TWO_READINGS)
def test_c04_a_type_with_two_readings_does_not_pass(gateway, mock, name, is_reversed):
    """Whichever boundary is looked for, one of the two forms names an allowed model."""
    models = (ALLOWED, FORBIDDEN)[:: -1 if is_reversed else 1]
    data = with_boundary(b"b", models[0]) + with_boundary(b"a", models[1])
    gateway.use(**CHECKED)
    assert send(gateway, data, TWO_READINGS[name]).status_code in (400, 403)
    assert mock.requests == [] and gateway.rows == []


@pytest.mark.parametrize("is_reversed", [False, True], ids=["as it is", "reversed"])
def test_c04_a_form_has_one_type(gateway, mock, is_reversed):
    gateway.use(**CHECKED)
    types = HTTPHeaderDict({"Authorization": f"Bearer {gateway.token}"})
    for boundary in "ab"[:: -1 if is_reversed else 1]:
        types.add("Content-Type", f"multipart/form-data; boundary={boundary}")
    data = with_boundary(b"a", ALLOWED) + with_boundary(b"b", FORBIDDEN)
    url = gateway.url + "/v1/audio/transcriptions"
    answer = PoolManager().request("POST", url, body=data, headers=types, retries=False)
    assert answer.status == 400
    assert mock.requests == [] and gateway.rows == []


@pytest.mark.parametrize(
    "boundary",
    [
        "----WebKitFormBoundaryAbC123",
        '"----=_Part_1_2.3"',
        "----=_Part_1_2.3",
        "b; charset=UTF-8",
        'b ; charset="utf-8"',
    ],
)
def test_the_type_of_a_form_passes_as_clients_write_it(gateway, mock, boundary):
    gateway.use(**CHECKED)
    data = with_boundary(boundary.partition(" ")[0].strip(';"').encode(), ALLOWED)
    assert send(gateway, data, boundary).status_code == 200
    assert mock.requests[0].header("Content-Type") == f"multipart/form-data; boundary={boundary}"


def part(headers: str, value: str, name: str = "x") -> bytes:
    said = f'Content-Disposition: form-data; name="{name}"'
    return f"--b\r\n{said}\r\n{headers}\r\n\r\n{value}\r\n".encode()


CODED = {
    "base64": part("Content-Transfer-Encoding: base64", "Z3B0LTRv"),
    "quoted-printable": part("Content-Transfer-Encoding: Quoted-Printable", "gpt=2D4o"),
    "UTF-7": part("Content-Type: text/plain; charset=utf-7", "+AG0-odel"),
    "UTF-16 in quotes": part('Content-Type: text/plain; charset="UTF-16"', "x"),
    "a field that says so": form(('name="_charset_"', "utf-16")),
}


@pytest.mark.parametrize("name", CODED)
def test_c04_a_part_that_some_servers_decode_does_not_pass(gateway, mock, name):
    data = CODED[name] + WHOLE
    assert send(gateway.use(**CHECKED), data).status_code == 400
    assert mock.requests == [] and gateway.rows == []
    assert send(gateway.use(), data).status_code == 200  # where nothing is checked


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Type: text/plain; charset=UTF-8",
        "Content-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit",
        "Content-Transfer-Encoding: binary\r\nContent-Length: 2",
        "Content-Type: application/json",
    ],
)
def test_the_headers_of_a_part_pass_as_clients_write_them(gateway, mock, headers):
    data = part(headers, "{}") + form(('name="_charset_"', "UTF-8")) + WHOLE
    assert send(gateway.use(**CHECKED), data).status_code == 200
    assert mock.requests[0].body == data
