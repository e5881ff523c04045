"""What a call reserves is never less than it can cost, however the request is written.

Prices of gpt-4o-mini: 0.15 US dollars per million tokens of the prompt, 0.60 of the answer.
Its prompt has at most 128,000 tokens and its answer 16,000, as the registry says.
"""

import asyncio
import json
from contextlib import suppress
from decimal import Decimal

import pytest

from accounts import audit
from gateway.request import prompt_sources
from registry_proxy import custom_prices
from registry_proxy.models import CustomPrice
from tests.gateway.bounds import assert_bound, assert_unbounded, size
from tests.gateway.upstream import chat, reply

MILLION = 1_000_000
INPUT, OUTPUT = Decimal("0.15") / MILLION, Decimal("0.60") / MILLION
CONTEXT, LARGEST = 128_000, 16_000
CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"


@pytest.fixture
def tools_limited(gateway, mock, upstreams_file):
    """The operator has said how often the upstream runs tools of its own."""
    openai = f"{{base_url: {mock.url}/v1, api_key: sk-server-key-0123456789, max_tool_calls: 2}}"
    upstreams_file(f"apis: {{openai: {openai}}}")


@pytest.fixture(autouse=True)
def answered(mock, own_key):
    own_key()
    mock.script = reply(chat())


@pytest.fixture
def price(gateway):
    """A function: the operator's price of a model."""

    def set_price(
        model: str,
        *,
        provider: str = "openai",
        modifier: str = "",
        priced_as: str = "",
        **prices,
    ) -> None:
        names = {"provider": provider, "model": model, "modifier": modifier}
        custom_prices.save(
            CustomPrice(**names, priced_as=priced_as, prices=prices),
            origin=audit.of_command("setprice"),
        )

    return set_price


def asking(path: str, **members) -> dict:
    prompt = {
        CHAT: {"messages": [{"role": "user", "content": "Hello"}]},
        COMPLETIONS: {"prompt": "Hello"},
        RESPONSES: {"input": "Hello"},
    }
    return {"model": "gpt-4o-mini", **prompt.get(path, {}), **members}


ANSWERS = {
    "the limit of Responses in a chat": (CHAT, {"max_output_tokens": 1}, LARGEST),
    "the limit of chats in a completion": (COMPLETIONS, {"max_completion_tokens": 1}, LARGEST),
    "the limit of Responses in a completion": (COMPLETIONS, {"max_output_tokens": 1}, LARGEST),
    "the limit of chats in Responses": (RESPONSES, {"max_tokens": 1}, LARGEST),
    "a limit where there is none": ("/v1/responses/compact", {"max_output_tokens": 1}, LARGEST),
    "the own limit of Responses": (RESPONSES, {"max_output_tokens": 100}, 100),
    "no limit, as some write it": (CHAT, {"max_tokens": -1, "max_completion_tokens": 1}, LARGEST),
    "no limit, as others write it": (CHAT, {"max_tokens": 0}, LARGEST),
    "null beside a limit": (CHAT, {"max_tokens": None, "max_completion_tokens": 100}, 100),
    "a fraction": (CHAT, {"max_tokens": 1.5}, LARGEST),
    "true": (CHAT, {"max_tokens": True}, LARGEST),
    "a tenth more than the registry says": (CHAT, {"max_tokens": 17_600}, 17_600),
    "more than a tenth": (CHAT, {"max_tokens": 17_601}, LARGEST),
    "a limit with an exponent": (CHAT, {"max_tokens": 1e2}, 100),
    "a text with a huge exponent": (CHAT, {"max_tokens": "1e999999999"}, LARGEST),
    "choices as a fraction": (CHAT, {"max_tokens": 100, "n": 1.5}, 200),
    "choices as a text": (CHAT, {"max_tokens": 100, "n": " 8.0"}, 800),
    "no choices": (CHAT, {"max_tokens": 100, "n": 0}, 100),
    "several prompts of token numbers": (
        COMPLETIONS,
        {"prompt": [[1, 2], [3]], "max_tokens": 100, "n": 2},
        400,
    ),
    "one prompt of token numbers": (COMPLETIONS, {"prompt": [1, 2, 3], "max_tokens": 100}, 100),
    "prompts behind a token number": (COMPLETIONS, {"prompt": [1, "x"], "max_tokens": 100}, 200),
    # They are part of the answer, whose limit holds for them.
    "a prediction": (CHAT, {"prediction": {"type": "content", "content": "x" * 999}}, LARGEST),
    "probabilities": (CHAT, {"logprobs": True, "top_logprobs": 20, "max_tokens": 100}, 100),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_c02_the_answer_is_bounded_by_what_its_endpoint_reads(gateway, name):
    path, members, tokens = ANSWERS[name]
    sent = asking(path, **members)
    assert_bound(gateway, path, sent, tokens * OUTPUT + size(sent) * INPUT)


def part(**members) -> list:
    return [{"role": "user", "content": [members]}]


SCREENSHOT = {"type": "computer_screenshot", "image_url": "https://x.test/i.png"}
WEATHER = {"type": "function", "function": {"name": "weather"}}
CALLED = {"role": "assistant", "tool_calls": [{"id": "call_1", **WEATHER}]}
# What is sent, and 1 where it may fill the model's context, 0 where the body is the whole prompt.
PROMPTS = {
    "a reference without a type": (RESPONSES, {"input": [{"id": "msg_1"}]}, 1),
    "a reference of no type": (RESPONSES, {"input": [{"type": None, "id": "msg_1"}]}, 1),
    "a reference with a text": (RESPONSES, {"input": [{"id": "msg_1", "content": "x"}]}, 1),
    "kept reasoning": (RESPONSES, {"input": [{"type": "reasoning", "id": "rs_1"}]}, 1),
    "a kept picture": (RESPONSES, {"input": [{"type": "image_generation_call", "id": "ig_1"}]}, 1),
    "a message that is repeated": (
        RESPONSES,
        {"input": [{"type": "message", "id": "m", "role": "assistant", "content": "x"}]},
        0,
    ),
    "reasoning that is repeated": (
        RESPONSES,
        {"input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": "x"}]},
        0,
    ),
    "calls and results that are repeated": (
        RESPONSES,
        {
            "input": [
                {"type": "function_call", "id": "fc_1", "arguments": "{}"},
                {"type": "function_call_output", "id": "fco_1", "output": "x"},
                {"type": "custom_tool_call", "id": "ctc_1", "input": "x"},
            ]
        },
        0,
    ),
    "a stored prompt by its id": (RESPONSES, {"prompt_id": "pmpt_1"}, 1),
    "a screenshot": (
        RESPONSES,
        {"input": [{"type": "computer_call_output", "call_id": "c", "output": SCREENSHOT}]},
        1,
    ),
    "a file by its address": (RESPONSES, {"input": part(file_url="https://x.test/a.pdf")}, 1),
    "a file by its id": (CHAT, {"messages": part(type="text", file_id="file-1")}, 1),
    "a picture in the body": (
        CHAT,
        {"messages": part(type="image_url", image_url={"url": "data:image/png;base64,AA"})},
        1,
    ),
    "a part of an unknown type": (CHAT, {"messages": part(type="memory", memory="m_1")}, 1),
    "no picture": (CHAT, {"messages": part(type="text", text="x", image_url=None)}, 0),
    "an answer that was spoken": (
        CHAT,
        {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]},
        1,
    ),
    "the call of a function": (CHAT, {"messages": [CALLED]}, 0),
    "a search of OpenRouter": (CHAT, {"plugins": [{"id": "web"}]}, 1),
    "a cache of Gemini": (CHAT, {"extra_body": {"google": {"cached_content": "c/1"}}}, 1),
    "one where Vertex takes it": (CHAT, {"google": {"cached_content": "c/1"}}, 1),
    "how Vertex is to think": (CHAT, {"google": {"thinking_config": {"thinking_budget": 1}}}, 0),
    "a tool that only the upstream describes": (RESPONSES, {"tools": [{"type": "computer"}]}, 1),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_c02_what_lies_upstream_is_bounded_by_the_context(gateway, name):
    path, members, contexts = PROMPTS[name]
    sent = asking(path, **members)
    assert_bound(gateway, path, sent, LARGEST * OUTPUT + (contexts * CONTEXT or size(sent)) * INPUT)


CONTEXTS = [
    # Its name with a date has 111,616 tokens of prompt in the registry, beside 16,384 of answer.
    ("gpt-4o-mini-2024-07-18", 128_000, "0.15", "0.6"),
    # 256,000 by one name; 1,014,788 and 1,014,808 beside 32,768 by others.
    ("gpt-4.1", 1_047_556, "2", "8"),
    # 100,000 beside 100,000
    ("o3-2025-04-16", 200_000, "2", "8"),
    # 922,000 beside 128,000; twice and 1.25 times 5 dollars, 1.5 times 30
    ("gpt-5.6-sol", 1_050_000, "12.5", "45"),
]


@pytest.mark.parametrize(("model", "context", "input", "output"), CONTEXTS)
def test_c02_a_short_answer_leaves_room_for_a_longer_prompt(gateway, model, context, input, output):
    """Of some entries of the registry the largest prompt is what the longest answer leaves."""
    sent = asking(RESPONSES, model=model, previous_response_id="resp_1", max_output_tokens=10)
    bound = (context * Decimal(input) + 10 * Decimal(output)) / MILLION
    assert_bound(gateway, RESPONSES, sent, bound)


TOOLS = {
    "a search": (RESPONSES, {"tools": [{"type": "web_search"}]}),
    "tools that are no list": (RESPONSES, {"tools": {"0": {"type": "web_search"}}}),
    "tools within the prompt": (
        RESPONSES,
        {"input": [{"type": "additional_tools", "tools": [{"type": "mcp"}]}]},
    ),
    "a stored prompt": (RESPONSES, {"prompt": {"id": "pmpt_1"}}),
    "a search of Gemini": (CHAT, {"tools": [{"google_search": {}}]}),
}


@pytest.mark.parametrize("name", TOOLS)
def test_c02_all_is_read_again_after_each_tool_that_the_upstream_runs(gateway, tools_limited, name):
    """And an answer may be written each time: only its own limit is of the whole call."""
    path, members = TOOLS[name]
    bound = 3 * CONTEXT * INPUT + 3 * LARGEST * OUTPUT
    assert_bound(gateway, path, asking(path, **members), bound)
    limit = {RESPONSES: "max_output_tokens", CHAT: "max_tokens"}[path]
    bound = 3 * CONTEXT * INPUT + 100 * OUTPUT
    assert_bound(gateway, path, asking(path, **members, **{limit: 100}), bound)


@pytest.mark.parametrize("name", TOOLS)
def test_c02_tools_of_the_upstream_without_a_limit_count_as_one_context(gateway, name):
    """Nobody can say how often they run, whatever the request says."""
    path, members = TOOLS[name]
    sent = asking(path, max_tool_calls=9, **members)
    assert_bound(gateway, path, sent, CONTEXT * INPUT + LARGEST * OUTPUT)


SEARCH = {"tools": [{"type": "web_search"}], "max_output_tokens": 100}
TOOL_LIMITS = [
    (0, 1),
    (4, 5),
    ("4", 5),
    (4.0, 5),
    *((odd, 3) for odd in (None, -1, 1.5, "x", True)),
]


@pytest.mark.parametrize("limit, readings", TOOL_LIMITS, ids=repr)
def test_c02_a_request_limits_the_tools_that_the_upstream_runs(
    gateway, tools_limited, limit, readings
):
    bound = readings * CONTEXT * INPUT + 100 * OUTPUT
    assert_bound(gateway, RESPONSES, asking(RESPONSES, max_tool_calls=limit, **SEARCH), bound)


def test_c02_chats_do_not_limit_tools_themselves(gateway, tools_limited):
    sent = asking(CHAT, max_tool_calls=0, tools=[{"type": "web_search"}], max_tokens=100)
    assert_bound(gateway, CHAT, sent, 3 * CONTEXT * INPUT + 100 * OUTPUT)


def test_c02_tools_are_explained_to_the_model_in_words_of_the_upstream(gateway):
    sent = asking(CHAT, tools=[WEATHER], max_tokens=100)
    assert_bound(gateway, CHAT, sent, 100 * OUTPUT + (size(sent) + 1000) * INPUT)


@pytest.mark.parametrize(
    "members",
    [
        {"N": 8},
        {"max_output_tokens": 1, "MAX_OUTPUT_TOKENS": 5000},
        {"Service_Tier": "priority"},
        {"max_tool_calls": 1, "Max_Tool_Calls": 9},
    ],
    ids=repr,
)
def test_c02_what_nobody_can_count_is_refused(gateway, mock, members):
    assert_unbounded(gateway, RESPONSES, asking(RESPONSES, **members))
    assert mock.requests == []


@pytest.mark.parametrize("members", [{"models": ["gpt-4o"]}, {"fallbacks": [{"model": "gpt-4o"}]}])
def test_c02_the_dearest_model_counts_of_all_that_are_named(gateway, members):
    sent = asking(CHAT, max_tokens=100, **members)
    # gpt-4o: 2.50 and 10 dollars per million
    assert_bound(gateway, CHAT, sent, (100 * 10 + size(sent) * Decimal("2.5")) / MILLION)


@pytest.mark.parametrize("alias", ["fast", "gpt-4o"], ids=["a new name", "that of a dearer model"])
def test_c02_an_alias_costs_what_its_target_does(gateway, mock, alias):
    gateway.bind_alias(alias, "openai:gpt-4o-mini")
    sent, relayed = asking(CHAT, model=alias, max_tokens=100), asking(CHAT, max_tokens=100)
    assert_bound(gateway, CHAT, sent, 100 * OUTPUT + size(relayed) * INPUT)
    assert json.loads(mock.requests[-1].body) == relayed


def test_c02_a_model_costs_the_same_by_its_upstreams_name(gateway):
    sent, relayed = asking(CHAT, model="openai:gpt-4o-mini"), asking(CHAT)
    assert_bound(gateway, CHAT, sent, LARGEST * OUTPUT + size(relayed) * INPUT)


def test_c02_an_alias_of_a_model_without_a_price_is_refused(gateway, mock):
    gateway.bind_alias("gpt-4o", "openai:no-such-model")
    assert_unbounded(gateway, CHAT, asking(CHAT, model="gpt-4o"))
    assert mock.requests == []


def test_c02_a_further_model_without_a_price_is_refused(gateway):
    assert_unbounded(gateway, CHAT, asking(CHAT, models=["no-such-model"]))


# gpt-5: 1.25 and 10 dollars per million; twice that at OpenAI's priority, which is also "fast"
@pytest.mark.parametrize("tier", ["fast", "priority", "auto", "scale", "Priority", ["fast"]])
def test_c02_any_tier_but_the_standard_may_be_the_dearest(gateway, tier):
    sent = asking(CHAT, model="gpt-5", service_tier=tier, max_completion_tokens=1000)
    assert_bound(gateway, CHAT, sent, (1000 * 20 + size(sent) * Decimal("2.5")) / MILLION)


@pytest.mark.parametrize("tier", ["default", "flex", None])
def test_c02_the_standard_tier(gateway, tier):
    sent = asking(CHAT, model="gpt-5", service_tier=tier, max_completion_tokens=1000)
    assert_bound(gateway, CHAT, sent, (1000 * 10 + size(sent) * Decimal("1.25")) / MILLION)


def test_c02_a_tier_with_a_price_of_the_operator(gateway, price):
    price("gpt-5", modifier="service_tier=scale", input="5", output="40")
    sent = asking(CHAT, model="gpt-5", service_tier="scale", max_completion_tokens=1000)
    assert_bound(gateway, CHAT, sent, (1000 * 40 + size(sent) * Decimal(5)) / MILLION)


def test_c02_a_projects_own_price_above_the_registrys(gateway, api, other_api):
    price = {"provider": "openai", "model": "gpt-4o-mini", "prices": {"input": 5, "output": 40}}
    sent = asking(CHAT, max_tokens=1000)
    other_api.send("POST", "/api/v1/prices", price)
    assert_bound(gateway, CHAT, sent, 1000 * OUTPUT + size(sent) * INPUT)
    api.send("POST", "/api/v1/prices", price)
    assert_bound(gateway, CHAT, sent, (1000 * 40 + size(sent) * Decimal(5)) / MILLION)


def test_c02_flex_with_a_price_of_the_operator_above_the_standard(gateway, price):
    price("gpt-4o-mini", modifier="service_tier=flex", input="5", output="40")
    sent = asking(CHAT, service_tier="flex", max_tokens=1000)
    assert_bound(gateway, CHAT, sent, (1000 * 40 + size(sent) * Decimal(5)) / MILLION)
    sent = asking(CHAT, max_tokens=1000)
    assert_bound(gateway, CHAT, sent, 1000 * OUTPUT + size(sent) * INPUT)


def test_c02_a_tier_whose_price_is_the_only_one_of_a_model(gateway, limited, price):
    price("local", modifier="service_tier=scale", input="3", output="4")
    sent = asking(CHAT, model="local", service_tier="scale", max_tokens=1000)
    assert_bound(gateway, CHAT, sent, (1000 * 4 + size(sent) * Decimal(3)) / MILLION)
    assert_unbounded(gateway, CHAT, asking(CHAT, model="local", max_tokens=1000))


def test_c02_a_tier_that_is_priced_as_another_model(gateway, price):
    """gpt-4o: 2.50 and 10 dollars per million."""
    price("gpt-4o-mini", modifier="service_tier=scale", priced_as="openai:gpt-4o")
    sent = asking(CHAT, service_tier="scale", max_tokens=1000)
    assert_bound(gateway, CHAT, sent, (1000 * 10 + size(sent) * Decimal("2.5")) / MILLION)


def test_c02_a_tier_that_is_priced_as_a_model_of_longer_answers(gateway, price):
    """gpt-5: an answer has at most 128,000 tokens, 10 dollars per million."""
    price("gpt-4o-mini", modifier="service_tier=scale", priced_as="openai:gpt-5")
    sent = asking(CHAT, service_tier="scale")
    assert_bound(gateway, CHAT, sent, (128_000 * 10 + size(sent) * Decimal("1.25")) / MILLION)


def test_c02_a_tier_without_a_price(gateway):
    """gpt-4o-mini has no published one: only "auto" may still mean the standard."""
    assert_unbounded(gateway, CHAT, asking(CHAT, service_tier="fast"))
    sent = asking(CHAT, service_tier="auto", max_tokens=100)
    assert_bound(gateway, CHAT, sent, 100 * OUTPUT + size(sent) * INPUT)


def test_c02_long_prompts_and_cache_writes_may_be_the_dearest(gateway):
    """gpt-5.6-sol: 5 and 30 dollars; long prompts twice and 1.5 times that; writes 1.25 times."""
    sent = asking(CHAT, model="gpt-5.6-sol", max_completion_tokens=1000)
    assert_bound(gateway, CHAT, sent, (1000 * 45 + size(sent) * Decimal("12.5")) / MILLION)


UPSTREAM = """
apis:
  openai: {{base_url: {url}/v1, api_key: sk-server-key-0123456789, max_output_tokens: 5000}}
"""
PICTURE = {"model": "gpt-image-1", "prompt": "a cat"}
IMAGES = "/v1/images/generations"


@pytest.fixture
def limited(mock, upstreams_file):
    """The operator has said what the longest answer is of models that the registry lacks."""
    upstreams_file(UPSTREAM.format(url=mock.url))


def test_c02_pictures_are_bounded_by_their_own_price(gateway, limited, price):
    price("gpt-image-1", input="5", image_input="10", image_output="40")
    sent = PICTURE | {"n": 2}
    assert_bound(gateway, IMAGES, sent, (2 * 5000 * 40 + size(sent) * Decimal(10)) / MILLION)


@pytest.mark.parametrize("prices", [{"input": "5"}, {"input": "5", "output": "10"}])
def test_c02_pictures_without_a_price_of_their_own_are_refused(gateway, limited, price, prices):
    price("gpt-image-1", **prices)
    assert_unbounded(gateway, IMAGES, PICTURE)


def test_c02_answers_without_a_price_are_refused(gateway, limited, price):
    price("local", input="1")
    assert_unbounded(gateway, CHAT, asking(CHAT, model="local"))


def test_c02_answers_without_a_known_limit_are_refused_whatever_the_request_says(gateway, price):
    price("local", input="3", output="4")
    for limits in ({}, {"max_tokens": 100}):
        assert_unbounded(gateway, CHAT, asking(CHAT, model="local", **limits))


def test_c02_the_operators_limit_holds_where_the_request_has_none(gateway, limited, price):
    """Nobody says that the upstream refuses more than that."""
    price("local", input="1", output="2")
    for members, tokens in (({}, 5000), ({"max_tokens": 9000}, 9000), ({"max_tokens": 100}, 100)):
        sent = asking(CHAT, model="local", **members)
        assert_bound(gateway, CHAT, sent, Decimal(tokens * 2 + size(sent)) / MILLION)


def test_c02_speech_is_bounded_by_its_own_price(gateway, price):
    spoken = asking(CHAT, modalities=["text", "audio"], max_tokens=100)
    heard = asking(CHAT, messages=part(type="input_audio", input_audio={"data": "AA"}))
    assert_unbounded(gateway, CHAT, spoken)
    assert_unbounded(gateway, CHAT, heard)

    price("gpt-4o-mini", audio_input="40", audio_output="80")
    for modalities in (["text", "audio"], "Audio"):
        spoken["modalities"] = modalities
        assert_bound(gateway, CHAT, spoken, Decimal(100 * 80 + size(spoken) * 40) / MILLION)
    assert_bound(gateway, CHAT, heard, Decimal(LARGEST * 80 + CONTEXT * 40) / MILLION)


def test_c02_cached_speech_may_be_the_dearest(gateway, price):
    """50 dollars per million, as it is a unit; a unit that costs nothing needs no limit."""
    speech = {"audio_input": "40", "cached_audio_tokens": "0.00005", "audio_seconds": "0"}
    price("gpt-4o-mini", **speech)
    heard = asking(CHAT, messages=part(type="input_audio", input_audio={"data": "AA"}))
    assert_bound(gateway, CHAT, heard, LARGEST * OUTPUT + Decimal(CONTEXT * 50) / MILLION)


def test_c02_searches_that_are_paid_for_are_refused(gateway, price):
    """No answer's limit says how many there are."""
    price("gpt-4o-mini", web_searches="0.01")
    assert_unbounded(gateway, CHAT, asking(CHAT, web_search_options={}))
    sent = asking(CHAT, max_tokens=100)
    assert_bound(gateway, CHAT, sent, 100 * OUTPUT + size(sent) * INPUT)


def test_c02_searches_that_are_limited_are_bounded_by_their_price(gateway, tools_limited, price):
    price("gpt-4o-mini", web_searches="0.01")
    bound = 4 * CONTEXT * INPUT + 100 * OUTPUT + 3 * Decimal("0.01")
    assert_bound(gateway, RESPONSES, asking(RESPONSES, max_tool_calls=3, **SEARCH), bound)


def test_c02_searches_without_a_tool_are_as_many_as_the_operator_says(
    gateway, tools_limited, price
):
    price("gpt-4o-mini", web_searches="0.01")
    sent = asking(CHAT, web_search_options={}, max_tokens=100)
    assert_bound(gateway, CHAT, sent, CONTEXT * INPUT + 100 * OUTPUT + 2 * Decimal("0.01"))


def test_c02_what_else_is_paid_for_beside_tokens_is_refused(gateway, tools_limited, price):
    price("gpt-4o-mini", search_sources="0.025")
    assert_unbounded(gateway, CHAT, asking(CHAT, search_parameters={"mode": "on"}))


SEARCHING = {
    "a tool": (RESPONSES, {"tools": [{"type": "web_search"}]}),
    "a tool that the prompt brings": (
        RESPONSES,
        {"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]},
    ),
    "a stored prompt": (RESPONSES, {"prompt": {"id": "pmpt_1"}}),
    "a plugin": (CHAT, {"plugins": [{"id": "web"}]}),
    "xAI's parameters": (CHAT, {"search_parameters": {"mode": "auto"}}),
}


@pytest.mark.parametrize("name", SEARCHING)
def test_c02_all_that_may_search_is_refused(gateway, price, name):
    path, members = SEARCHING[name]
    price("gpt-4o-mini", web_searches="0.01")
    assert_unbounded(gateway, path, asking(path, **members))


def test_c02_where_searches_are_paid_for_pictures_are_only_pictures(gateway, price):
    """They lie upstream, as an earlier answer does, and search nothing."""
    price("gpt-4o-mini", web_searches="0.01")
    bound = (LARGEST * OUTPUT) + CONTEXT * INPUT
    seen = part(type="image_url", image_url={"url": "https://x.test/i.png"})
    assert_bound(gateway, CHAT, asking(CHAT, messages=seen), bound)
    answer = {"type": "input_file", "file_url": "https://x.test/a.pdf"}
    sent = asking(RESPONSES, input=[{"role": "user", "content": [answer]}])
    assert_bound(gateway, RESPONSES, sent, bound)


DRAWING = {"type": "image_generation", "model": "gpt-4o"}


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [DRAWING]},
        {"tools": [{"type": "image_generation"}]},
        {"tools": [{**DRAWING, "type": "openrouter:image_generation"}]},
        {"input": [{"type": "additional_tools", "tools": [DRAWING]}]},
    ],
    ids=["with a model", "without one", "of OpenRouter", "that the prompt brings"],
)
def test_c02_pictures_that_another_model_makes_are_refused(gateway, mock, settings, members):
    """Their number and size have no limit, and they cost more than the text about them."""
    sent = asking(RESPONSES, max_output_tokens=100, **members)
    assert_unbounded(gateway, RESPONSES, sent)
    assert mock.requests == []

    settings.GATEWAY_UNBOUNDED = True
    assert gateway.post(RESPONSES, sent).status_code == 200


@pytest.mark.parametrize(
    "agents", [{"enabled": True}, {"enabled": True, "max_concurrent_subagents": 1}, True]
)
def test_c02_agents_that_a_model_creates_are_refused(gateway, agents):
    """Nothing limits how many there are; each has a prompt and an answer of its own."""
    assert_unbounded(gateway, RESPONSES, asking(RESPONSES, multi_agent=agents))
    assert_unbounded(gateway, RESPONSES, asking(RESPONSES, Multi_Agent=agents))


OPENING = [
    {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "64g"}},
    {"type": "code_interpreter"},
    {"type": "shell", "environment": {"type": "container_auto"}},
    {"type": "shell"},
]


@pytest.mark.parametrize("tool", OPENING, ids=str)
def test_c02_containers_that_a_tool_opens_are_refused(gateway, mock, tool):
    """Up to 1.92 dollars each, of which no answer and no usage says anything."""
    assert_unbounded(gateway, RESPONSES, asking(RESPONSES, tools=[tool]))
    within = [{"type": "additional_tools", "tools": [tool]}]
    assert_unbounded(gateway, RESPONSES, asking(RESPONSES, input=within))
    assert mock.requests == []


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "code_interpreter", "container": "cntr_1"},
        {"type": "shell", "environment": {"type": "container_reference", "container_id": "c"}},
        {"type": "shell", "environment": {"type": "local"}},
    ],
    ids=str,
)
def test_c02_a_container_that_is_there_costs_nothing_more(gateway, tool):
    sent = asking(RESPONSES, tools=[tool], max_output_tokens=100)
    assert_bound(gateway, RESPONSES, sent, CONTEXT * INPUT + 100 * OUTPUT)


@pytest.mark.parametrize("agents", [None, {"enabled": False}])
def test_c02_agents_that_are_switched_off_cost_nothing(gateway, agents):
    sent = asking(RESPONSES, max_output_tokens=100, multi_agent=agents)
    assert_bound(gateway, RESPONSES, sent, 100 * OUTPUT + size(sent) * INPUT)


@pytest.mark.parametrize("count, is_on_loop", [(10, True), (100_000, False)])
def test_a_large_body_is_bounded_in_a_thread(gateway, monkeypatch, count, is_on_loop):
    """Other streams of the worker go on meanwhile."""
    seen = []
    read = prompt_sources.read

    def watched(body):
        loop = None
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
        seen.append(loop is not None)
        return read(body)

    monkeypatch.setattr(prompt_sources, "read", watched)
    sent = {"model": "text-embedding-3-small", "input": [[1] * count]}
    # 0.02 dollars per million tokens, of which the body has at most as many as bytes
    assert_bound(gateway, "/v1/embeddings", sent, size(sent) * Decimal("0.02") / MILLION)
    assert seen == [is_on_loop] * 2
