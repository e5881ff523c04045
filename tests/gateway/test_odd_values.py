"""Odd values of clients and upstreams: a clear answer, and a row for each call that was made."""

import json

import pytest
import requests

from gateway.models import Call
from tests.gateway.conftest import counts
from tests.gateway.upstream import (
    DONE,
    USAGE_CHUNK,
    chat,
    content,
    in_turn,
    reply,
    stop,
    stream,
)


def send(gateway, data: bytes, **headers):
    headers = {"Authorization": f"Bearer {gateway.token}", **headers}
    url = gateway.url + "/v1/chat/completions"
    return requests.post(url, data=data, headers=headers, timeout=30)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


LABELS = {
    "NUL": ("Metadata", b'{"a":"\\u0000"}'),
    "NUL in a name": ("Metadata", b'{"a\\u0000":1}'),
    "lone surrogate": ("Metadata", b'{"a":"\\ud800"}'),
    "depth": ("Metadata", b'{"a":' + b"[" * 500 + b"]" * 500 + b"}"),
    "NaN": ("Metadata", b'{"a":NaN}'),
    "no object": ("Metadata", b"[1]"),
    "large": ("Metadata", b'{"a":"' + b"x" * 60_000 + b'"}'),
    "long origin": ("Origin", b"x" * 256),
    "long profile": ("Profile", b"x" * 65),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_that_the_ledger_cannot_hold_are_refused(gateway, mock, settings, name):
    settings.MAX_METADATA_BYTES = 50_000
    header, value = LABELS[name]
    answer = send(
        gateway, b'{"model":"gpt-4o-mini","messages":[]}', **{f"X-LLMRing-{header}": value}
    )
    assert code(answer) == (400, "invalid_request")
    assert mock.requests == [] and Call.objects.count() == 0


def test_labels_are_read_as_utf8(gateway, mock):
    mock.script = reply(chat())
    labels = {
        "X-LLMRing-Origin": "Grüße".encode(),
        "X-LLMRing-Metadata": '{"wo": "Zürich", "n": 12345678901234567890123}'.encode(),
    }
    answer = gateway.chat(headers=labels)
    assert answer.status_code == 200, answer.text
    assert gateway.row.origin == "Grüße"
    assert gateway.row.metadata == {"wo": "Zürich", "n": 12345678901234567890123}


BODIES = {
    "NUL in the model": b'{"model":"gpt\\u0000","messages":[]}',
    "surrogate in the model": b'{"model":"gpt-\\ud800","messages":[]}',
    "list": b"[]",
    "null": b"null",
    "depth": b'{"model":"gpt-4o-mini","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "NaN": b'{"model":"gpt-4o-mini","temperature":NaN}',
    "infinite": b'{"model":"gpt-4o-mini","max_tokens":1e400}',
    "digits": b'{"model":"gpt-4o-mini","max_tokens":' + b"9" * 5000 + b"}",
    "not UTF-8": b'{"model":"gpt-4o-mini","messages":["\xff"]}',
    "empty": b"",
    "blank": b" \n ",
}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b" ", "A JSON object is required"),
        (b"{", "The body is not valid JSON: unexpected end of data at character 1"),
        (b"[]", "A JSON object is required"),
        (b'{"model":"\xff"}', "The body is not UTF-8"),
        ('{"model":"gpt-4o"}'.encode("utf-16"), "The body is not UTF-8"),
    ],
)
def test_fault_in_a_body_is_named(gateway, data, message):
    error = send(gateway, data).json()["error"]
    assert (error["message"], error["code"]) == (message, "invalid_request")


@pytest.mark.parametrize("limits", [{}, {"budget_usd": 1}, {"allowed_models": ["gpt*"]}], ids=str)
@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_cannot_be_read_are_refused(gateway, mock, name, limits):
    gateway.use(**limits)
    answer = send(gateway, BODIES[name])
    # A model of which nobody knows the price, or that is not on the list, is 403.
    assert answer.status_code in (400, 403), answer.text
    assert answer.json()["error"]["message"]
    assert mock.requests == [] and Call.objects.count() == 0


@pytest.mark.parametrize("count", [1e300, 10**30, "8" * 30])
def test_a_call_beyond_all_money_is_refused_for_a_budget(gateway, mock, count):
    gateway.use(budget_usd=5)
    assert code(gateway.chat(n=count)) == (429, "budget_exceeded")
    assert mock.requests == []


ODD_TEXTS = {
    "NUL in the model": chat(model="a\0b"),
    "long model": chat(model="m" * 5000),
    "model is a number": chat(model=5),
    "NUL in the tier": chat(service_tier="a\0"),
    "long tier": chat(service_tier="a" * 5000),
    "NUL in the id": chat(id="a\0", status="queued"),
    "long id": chat(id="a" * 5000, status="queued"),
}


@pytest.mark.parametrize("name", ODD_TEXTS)
def test_odd_texts_of_an_answer_are_relayed_and_settled(gateway, mock, own_key, name):
    own_key()
    mock.script = reply(ODD_TEXTS[name])
    gateway.use(budget_usd=1)
    assert gateway.chat(background=True).json() == ODD_TEXTS[name]
    assert counts(gateway.row) == ("settled", 10, 0, 5, 0)
    assert "\0" not in gateway.row.model and len(gateway.row.model) <= 255
    assert gateway.pending == 0


@pytest.mark.parametrize("error", ["a\0b", "x" * 5000, 7, ["x"], {"code": "a\0"}, {"code": {}}])
def test_odd_errors_of_an_answer_are_relayed_and_failed(gateway, mock, error):
    mock.script = reply({"error": error})
    assert gateway.chat().json() == {"error": error}
    assert counts(gateway.row)[0] in ("failed", "estimated")
    assert Call.objects.count() == 0


def test_odd_texts_of_a_stream(gateway, mock):
    odd = USAGE_CHUNK.replace(b"gpt-4o-mini-2024-07-18", b"a\\u0000b")
    pieces = [content("x", model="a\0b"), stop()]
    mock.script = stream(*pieces, odd, DONE)
    assert gateway.chat(stream=True).content == b"".join(pieces) + DONE
    assert counts(gateway.row) == ("settled", 176, 1024, 340, 0)
    assert Call.objects.count() == 0


def test_an_odd_result_of_a_background_call(gateway, mock, own_key):
    own_key()
    mock.script = in_turn(reply({"id": "a\0", "status": "completed"}))
    assert gateway.get("/v1/responses/resp_1").json()["id"] == "a\0"


def test_an_odd_model_of_a_form(gateway, mock):
    mock.script = reply({"text": "hello", "usage": {"type": "duration", "seconds": 11}})
    files = {"file": ("speech.mp3", b"ID3", "audio/mpeg")}
    answer = gateway.post("/v1/audio/transcriptions", files=files, data={"model": "whisper\0"})
    assert answer.status_code == 200
    assert gateway.row.usage_status == "settled"
    assert gateway.row.requested_model == "whisper\N{REPLACEMENT CHARACTER}"
    assert json.dumps(gateway.row.units_and_modifiers["units"]) == '{"audio_seconds": 11}'
