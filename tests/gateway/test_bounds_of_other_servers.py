"""What only other servers than OpenAI's know counts in a call's bound, too (C02).

Prices of gpt-4o-mini: 0.15 US dollars per million tokens of the prompt, 0.60 of the answer.
Its prompt has at most 128,000 tokens and its answer 16,000, as the registry says.
"""

from decimal import Decimal

import pytest

from tests.gateway.bounds import assert_bound, assert_unbounded, size
from tests.gateway.test_bounds import (
    CHAT,
    COMPLETIONS,
    CONTEXT,
    IMAGES,
    INPUT,
    MILLION,
    OUTPUT,
    RESPONSES,
    answered,
    asking,
    limited,
    price,
    tools_limited,
)

__all__ = ["answered", "limited", "price", "tools_limited"]  # fixtures
AT_X = "https://x.test/a"
FILES = {
    "a picture beside the messages": {"image": AT_X},
    "pictures beside the messages": {"images": [AT_X]},
    "files by their ids": {"file_ids": ["file-1"]},
    "documents": {"documents": [{"url": AT_X}]},
    "pictures of a message": {"messages": [{"role": "user", "content": "x", "images": ["iVBOR"]}]},
    "a template that may repeat the prompt": {"chat_template": "{% for i in range(9999) %}x"},
}


@pytest.mark.parametrize("name", FILES)
def test_c02_what_may_be_longer_than_the_body_is_bounded_by_the_context(gateway, name):
    sent = asking(CHAT, **{"max_tokens": 100, **FILES[name]})
    assert_bound(gateway, CHAT, sent, 100 * OUTPUT + CONTEXT * INPUT)


def test_c02_how_an_answer_is_to_sound_is_no_file(gateway):
    sent = asking(CHAT, max_tokens=100, audio={"voice": "alloy", "format": "mp3"})
    assert_bound(gateway, CHAT, sent, 100 * OUTPUT + size(sent) * INPUT)


@pytest.mark.parametrize("members", [{"image": AT_X}, {"image_url": AT_X}, {"images": [AT_X]}])
def test_c02_pictures_to_edit_are_not_in_the_body(gateway, limited, price, members):
    """The model has a limit of its answers alone: nobody says how many tokens they are."""
    price("gpt-image-1", input="5", image_input="10", image_output="40")
    sent = {"model": "gpt-image-1", "prompt": "a hat"}
    bound = (5000 * 40 + size(sent) * Decimal(10)) / MILLION
    assert_bound(gateway, IMAGES, sent, bound)
    assert_unbounded(gateway, "/v1/images/edits", {**sent, **members})


@pytest.mark.parametrize("file", [{"file": AT_X}, {"url": AT_X}, {}])
def test_c02_a_recording_that_is_not_sent_is_refused(gateway, mock, file):
    """In JSON as in a form: it may be of any length."""
    assert_unbounded(gateway, "/v1/audio/transcriptions", {"model": "gpt-4o-mini", **file})
    assert mock.requests == []


def test_c02_a_prompt_that_is_compacted_is_read_again(gateway, tools_limited):
    compacted = [{"type": "compaction", "compact_threshold": 1000}]
    sent = asking(RESPONSES, context_management=compacted, max_output_tokens=100)
    assert_bound(gateway, RESPONSES, sent, 3 * CONTEXT * INPUT + 100 * OUTPUT)


LLAMA_CPP = {
    "a limit that overrules the other": ({"n_predict": 500}, 500),
    "a smaller limit": ({"n_predict": 1}, 100),
    "no limit": ({"n_predict": -1}, 16_000),
    "choices under its own name": ({"n_cmpl": 3}, 300),
}


@pytest.mark.parametrize("name", LLAMA_CPP)
def test_c02_what_llama_cpp_reads_instead_of_openais_members_counts(gateway, name):
    members, tokens = LLAMA_CPP[name]
    sent = asking(CHAT, max_tokens=100, **members)
    assert_bound(gateway, CHAT, sent, tokens * OUTPUT + size(sent) * INPUT)


def test_c02_each_picture_to_embed_may_fill_the_context(gateway):
    pictures = [{"image": AT_X}, {"image": AT_X}, {"text": "a hat"}]
    sent = {"model": "gpt-4o-mini", "input": pictures}
    assert_bound(gateway, "/v1/embeddings", sent, 3 * CONTEXT * INPUT)


def test_c02_each_prompt_may_fill_the_context(gateway):
    sent = asking("/v1/completions", prompt=["a", "b"], image=AT_X, max_tokens=100)
    assert_bound(gateway, "/v1/completions", sent, 2 * (CONTEXT * INPUT + 100 * OUTPUT))


DEARER = [{"speed": "fast"}, {"inference_geo": "us"}, {"Speed": "fast"}]


@pytest.mark.parametrize("members", [*DEARER, {"extra_body": DEARER[0]}], ids=str)
def test_c02_what_makes_anthropics_models_dearer_is_refused(gateway, mock, members):
    assert_unbounded(gateway, CHAT, asking(CHAT, max_tokens=100, **members))
    assert mock.requests == []


@pytest.mark.parametrize("members", [{"speed": "standard"}, {"speed": 1.5}, {"speed": "1.5"}])
def test_c02_the_usual_speed_costs_what_it_does(gateway, members):
    sent = asking(CHAT, max_tokens=100, **members)
    assert_bound(gateway, CHAT, sent, 100 * OUTPUT + size(sent) * INPUT)


MERGED = {
    "choices": {"n": 8},
    "a longer answer": {"max_tokens": 9999},
    "a tier": {"provider": {"service_tier": "priority"}},
    "in another case": {"N": 8},
}


@pytest.mark.parametrize("name", MERGED)
def test_c02_members_for_another_server_that_count_are_refused(gateway, mock, name):
    """Some servers take them for members of the request itself, others do not."""
    assert_unbounded(gateway, CHAT, asking(CHAT, max_tokens=100, extra_body=MERGED[name]))
    assert mock.requests == []


def test_c02_other_members_for_another_server_pass(gateway):
    google = {"google": {"thinking_config": {"include_thoughts": True}}}
    sent = asking(CHAT, max_tokens=100, extra_body=google)
    assert_bound(gateway, CHAT, sent, 100 * OUTPUT + size(sent) * INPUT)


@pytest.mark.parametrize("name", ["preset", "Preset"])
def test_c02_a_preset_with_models_of_its_own_is_refused(gateway, mock, name):
    assert_unbounded(gateway, CHAT, asking(CHAT, max_tokens=100, **{name: "dear"}))
    assert mock.requests == []


def test_c02_pictures_of_a_group_of_tools_are_refused(gateway, mock):
    drawing = {"type": "image_generation", "model": "gpt-4o"}
    group = {"type": "namespace", "name": "n", "tools": [drawing]}
    assert_unbounded(gateway, RESPONSES, asking(RESPONSES, max_output_tokens=100, tools=[group]))
    assert mock.requests == []


def test_c02_what_is_paid_for_by_the_character_or_picture_is_refused(gateway, limited, price):
    price("tts-1", input="0", output="0", characters="0.000015")
    assert_unbounded(gateway, "/v1/audio/speech", {"model": "tts-1", "input": "x" * 4096})
    price("dall-e-3", input="0", image_output="0", images="0.04")
    assert_unbounded(gateway, IMAGES, {"model": "dall-e-3", "prompt": "a hat", "n": 10})


def test_c02_speech_is_bounded_by_the_price_of_sound(gateway, limited, price):
    price("silent-tts", input="1", output="2")
    price("tts", input="1", output="2", audio_output="12")
    sent = {"model": "tts", "input": "Hello", "stream_format": "sse"}
    assert_unbounded(gateway, "/v1/audio/speech", {**sent, "model": "silent-tts"})
    assert_bound(gateway, "/v1/audio/speech", sent, Decimal(5000 * 12 + size(sent)) / MILLION)


SEARCHING = ["some-search-preview", "perplexity/sonar-pro", "gpt-4o-mini:online"]


@pytest.mark.parametrize("model", SEARCHING)
def test_c02_a_model_that_searches_unasked_is_refused_where_searches_are_paid_for(
    gateway, limited, price, model
):
    price(model, input="1", output="2", web_searches="0.01")
    assert_unbounded(gateway, CHAT, asking(CHAT, model=model, max_tokens=100))


@pytest.mark.parametrize("model", SEARCHING)
def test_c02_searches_without_a_price_of_their_own_cost_nothing(gateway, limited, price, model):
    price(model, input="1", output="2")
    sent = asking(CHAT, model=model, max_tokens=100)
    assert_bound(gateway, CHAT, sent, Decimal(100 * 2 + size(sent)) / MILLION)


def test_c02_a_model_that_searches_unasked_does_so_as_often_as_the_operator_says(
    gateway, mock, upstreams_file, price
):
    known = f"base_url: {mock.url}/v1, api_key: none, max_output_tokens: 5000, max_tool_calls: 2"
    upstreams_file(f"apis: {{openai: {{{known}}}}}")
    price("perplexity/sonar-pro", input="1", output="2", web_searches="0.01")
    sent = asking(CHAT, model="perplexity/sonar-pro", max_tokens=100)
    bound = Decimal(100 * 2 + size(sent)) / MILLION + 2 * Decimal("0.01")
    assert_bound(gateway, CHAT, sent, bound)


THINKING = {
    "the old limit": (CHAT, {"max_tokens": 100}, 5000),
    "the new limit": (CHAT, {"max_completion_tokens": 100}, 100),
    "both": (CHAT, {"max_tokens": 700, "max_completion_tokens": 100}, 100),
    "the only limit of completions": (COMPLETIONS, {"max_tokens": 100}, 100),
    "the limit of Responses": (RESPONSES, {"max_output_tokens": 100}, 100),
}


@pytest.mark.parametrize("provider", ["xai", "Perplexity", "dashscope"])
@pytest.mark.parametrize("name", THINKING)
def test_c02_thoughts_may_go_beyond_the_old_limit_of_chats(
    gateway, mock, upstreams_file, price, provider, name
):
    known = f"base_url: {mock.url}/v1, api_key: none, max_output_tokens: 5000, provider: {provider}"
    upstreams_file(f"apis: {{openai: {{{known}}}}}")
    price("thinker", provider=provider, input="1", output="2")
    path, limits, answer = THINKING[name]
    sent = asking(path, model="thinker", **limits)
    assert_bound(gateway, path, sent, Decimal(answer * 2 + size(sent)) / MILLION)


def test_c02_flex_without_a_published_price_is_the_standard(gateway, mock, upstreams_file, price):
    known = f"base_url: {mock.url}/v1, api_key: none, max_output_tokens: 5000, provider: groq"
    upstreams_file(f"apis: {{openai: {{{known}}}}}")
    price("fast", provider="groq", input="1", output="2")
    sent = asking(CHAT, model="fast", service_tier="flex", max_tokens=100)
    assert_bound(gateway, CHAT, sent, Decimal(100 * 2 + size(sent)) / MILLION)


def test_c02_a_time_to_answer_with_a_price_above_the_standard(gateway, price):
    price("gpt-4o-mini", modifier="completion_window=1h", input="5", output="40")
    sent = asking(RESPONSES, max_output_tokens=1000)
    sent["background_options"] = {"completion_window": "1h"}
    assert_bound(gateway, RESPONSES, sent, (1000 * 40 + size(sent) * Decimal(5)) / MILLION)
    sent["background_options"] = {"completion_window": "24h"}
    assert_bound(gateway, RESPONSES, sent, 1000 * OUTPUT + size(sent) * INPUT)


FAULTS = {
    "model": {"model": "no-such-model"},
    "service_tier": {"service_tier": "priority"},
    "tools": {"tools": [{"type": "image_generation", "model": "gpt-4o"}]},
    "multi_agent": {"multi_agent": True},
    "extra_body": {"extra_body": {"n": 8}},
    "preset": {"preset": "dear"},
}


@pytest.mark.parametrize("param", FAULTS)
def test_c02_the_member_at_fault_is_named(gateway, param):
    gateway.use(budget_usd=1)
    error = gateway.post(RESPONSES, asking(RESPONSES, **FAULTS[param])).json()["error"]
    assert (error["code"], error["param"]) == ("cost_unbounded", param)
    assert error["message"].endswith(", and the token has a budget")


def test_c02_a_request_without_a_model_is_told_so(gateway):
    gateway.use(budget_usd=1)
    error = gateway.post(RESPONSES, {"prompt": {"id": "pmpt_1"}}).json()["error"]
    assert error["message"] == "The request names no model, and the token has a budget"
    assert (error["code"], error["param"]) == ("cost_unbounded", "model")


def test_c02_the_member_at_fault_is_named_as_it_was_written(gateway):
    gateway.use(budget_usd=1)
    error = gateway.post(RESPONSES, asking(RESPONSES, Service_Tier="flex")).json()["error"]
    assert (error["code"], error["param"]) == ("cost_unbounded", "Service_Tier")
