"""Tokens of a prompt, where no upstream counts them."""

import json

import pytest

from gateway.answer.estimates import prompt_tokens


@pytest.mark.parametrize(
    "prompt, tokens",
    [
        ({"input": [[1212, 318], [257, 1332]]}, 4),  # A10
        ({"prompt": [1, 2, 3]}, 3),
        ({"prompt": []}, 0),
        ({"input": ["four", "four more"]}, 1 + 3),
        ({"messages": [{"role": "user", "content": "Hello"}]}, 1 + 2),
        ({"input": "日本 ok"}, 2 + 1),
        ({"input": "data:image/png;base64,AAAA"}, 0),
        ({"prompt": "four", "suffix": "four"}, 2),
        ({"input": "four", "instructions": "four"}, 2),
        ({"messages": [], "system": "four"}, 1),
        ({"input": "four", "questions": [{"instructions": "four"}]}, 2),
        ({"messages": [], "tools": [{"name": "four"}], "functions": [{"name": "four"}]}, 2),
        ({"model": "four", "user": "four"}, 0),
        ({"input": [{"text": "four", "detail": None, "strict": True}]}, 1),
    ],
    ids=json.dumps,
)
def test_a10_a_prompt_is_estimated_by_its_texts_and_token_numbers(prompt, tokens):
    assert prompt_tokens(prompt) == tokens
