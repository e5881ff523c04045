"""Vectors: nothing is read from them, so they are not read at all."""

import json

import pytest

from gateway.answer import number_lists
from tests.gateway.conftest import counts
from tests.gateway.upstream import chat, reply

VECTOR = [-0.012345678, 1, 2.5e-07, 0] * 20  # 640 bytes, or more
SHORT = [0.5] * 20
USAGE = {"prompt_tokens": 9, "total_tokens": 9}


def answer(vector: list) -> dict:
    data = [{"object": "embedding", "index": place, "embedding": vector} for place in range(200)]
    return {"data": data, "scores": SHORT, "usage": USAGE, "model": "text-embedding-3-small"}


@pytest.mark.parametrize("indent", [None, 2])
def test_long_lists_are_emptied_and_the_rest_stays(indent):
    data = json.dumps(answer(VECTOR), indent=indent).encode()
    assert json.loads(number_lists.emptied(data)) == answer([])


@pytest.mark.parametrize(
    "value",
    [
        [SHORT] * 1000,
        [[1]] * 1000,
        {"content": "[" + "1" * 500, "more": "2]"},
        {"content": "x" * 500},
        [["x" * 500], {"a": 1}],
        [[*VECTOR, None], [VECTOR[0], "1"] * 100],
        "]" * 300,
    ],
)
def test_whatever_is_no_long_list_of_numbers_stays(value):
    data = json.dumps(value).encode()
    assert number_lists.emptied(data) == data


def test_a_list_that_breaks_off_stays():
    data = json.dumps([VECTOR, VECTOR]).encode()[:-3]
    assert number_lists.emptied(data) == b"[[], " + json.dumps(VECTOR).encode()[:-2]


def test_the_usage_of_large_answers_is_read(gateway, mock):
    data = json.dumps(answer(VECTOR)).encode()
    assert len(data) > 100_000
    mock.script = reply(data)
    request = {"model": "text-embedding-3-small", "input": "text"}
    assert gateway.post("/v1/embeddings", request).content == data
    assert counts(gateway.row) == ("settled", 9, 0, 0, 0)


def test_numbers_in_a_text_are_text(gateway, mock):
    text = "[" + "1," * 49_999 + "1]"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    mock.script = reply(chat(choices=[choice], usage=None))
    assert gateway.chat().json()["choices"][0]["message"]["content"] == text
    # 100,001 characters, four to a token
    assert (gateway.row.usage_status, gateway.row.output_tokens) == ("estimated", 25_001)
