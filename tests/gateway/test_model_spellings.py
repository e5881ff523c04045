"""A model may be named by an alias, or with its upstream: nothing else differs by that.

Whatever the call, and whatever limits its token has: what the upstream gets, the price, the
reservation, and the row are those of the model itself.
"""

import json
from decimal import Decimal

import pytest

from accounts.models import Allowance
from tests.gateway.upstream import DONE, chat, content, hang_up, in_turn, reply, stream

SPELLINGS = {
    "an alias": "fast",
    "an alias with the name of another model": "gpt-4o",
    "with its upstream": "openai:{}",
}
# Beside the path: the body, and an answer that does not name the model that served.
MESSAGES = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
NAMELESS = {"usage": USAGE}
NAMELESS_CHUNK = content("Hello", model=None)
NAMELESS_USAGE = content("", model=None, choices=[], usage=USAGE)
RESPONSE = {"usage": {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}}
EVENT = b"event: response.completed\ndata: " + json.dumps({"response": RESPONSE}).encode() + b"\n\n"
CALLS = {
    "a chat": ("/v1/chat/completions", MESSAGES, reply(NAMELESS)),
    "a chat that is not counted": ("/v1/chat/completions", MESSAGES, reply({"choices": []})),
    "a stream": (
        "/v1/chat/completions",
        {**MESSAGES, "stream": True},
        stream(NAMELESS_CHUNK, NAMELESS_USAGE, DONE),
    ),
    "a completion": ("/v1/completions", {"prompt": "Hello", "max_tokens": 100}, reply(NAMELESS)),
    "a response": ("/v1/responses", {"input": "Hello"}, reply(RESPONSE)),
    "a stream of a response": (
        "/v1/responses",
        {"input": "Hello", "stream": True},
        stream(EVENT),
    ),
    "embeddings": (
        "/v1/embeddings",
        {"input": "Hello"},
        reply({"usage": {"prompt_tokens": 1000, "total_tokens": 1000}}),
    ),
    "an answer that is lost": ("/v1/chat/completions", MESSAGES, hang_up),
}
LIMITS = {
    "none": {},
    "a budget and a list of models": {
        "budget_usd": 1,
        "allowed_models": ["gpt-4o-mini*", "text-embedding-3-small"],
    },
}
# Of the row: all that does not tell one call from another.
_SAME = ("model", "provider", "cost", "cost_source", "priced_as", "usage_status", "read_as")
_COUNTS = ("input_tokens", "output_tokens", "error", "upstream")


def called(gateway, mock, path: str, body: dict, limits: dict) -> tuple:
    """Make the call; return what came of it: answer, request, row, and the token's account."""
    gateway.use(**limits)
    answer = gateway.post(path, body)
    row = gateway.rows[-1]
    account = Allowance.objects.get(id=gateway.token_row.allowance_id)
    return (
        (answer.status_code, answer.content),
        (mock.requests[-1].target, mock.requests[-1].body),
        {name: getattr(row, name) for name in (*_SAME, *_COUNTS)},
        (account.spent_usd, account.reserved_usd),
    )


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_the_spelling_of_a_model_changes_nothing_else(gateway, mock, spelling, call, limits):
    path, body, mock.script = call
    model = "text-embedding-3-small" if path == "/v1/embeddings" else "gpt-4o-mini"
    name = spelling.format(model)
    is_alias = name == spelling
    expected = called(gateway, mock, path, {"model": model, **body}, limits)
    if is_alias:
        gateway.bind_alias(name, f"openai:{model}")

    assert called(gateway, mock, path, {"model": name, **body}, limits) == expected

    row = gateway.rows[-1]
    assert (row.model, row.requested_model, row.alias) == (model, name, name if is_alias else None)


def test_an_alias_is_priced_by_its_target(gateway, mock):
    gateway.bind_alias("gpt-4o", "openai:gpt-4o-mini")
    mock.script = reply(NAMELESS)
    gateway.chat("gpt-4o")
    # gpt-4o-mini: 0.15 and 0.60 dollars per million tokens
    assert gateway.row.cost == (1000 * Decimal("0.15") + 200 * Decimal("0.60")) / 1_000_000


def test_the_model_that_an_answer_names_is_the_one_that_served(gateway, mock):
    gateway.bind_alias("fast", "openai:gpt-4o")
    mock.script = in_turn(reply(chat()), reply({**chat(), "model": None}))
    gateway.chat("fast"), gateway.chat("fast")
    assert [row.model for row in gateway.rows] == ["gpt-4o-mini-2024-07-18", "gpt-4o"]
