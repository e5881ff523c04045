"""The usage object of OpenAI's APIs, and of the many that copied it.

Chat Completions say `prompt_tokens`, Responses say `input_tokens`; images, audio
and embeddings use either. Cached and written tokens are part of the prompt.
Reasoning is part of the completion at OpenAI and stands beside it at xAI and on
Google's compatible route; `total_tokens` decides which.
Source: docs/http-contract/usage.md, section "A provider's own usage object".
"""

from decimal import Decimal

from registry_proxy.tokens import Tokens
from usage.reports import openai_names as names
from usage.reports.cache_writes import split_by_lifetime
from usage.reports.members import Members, agreed_count
from usage.reports.placement import cached_tokens, place
from usage.reports.provider_cost import read_cost
from usage.reports.reported_usage import Usage, as_modifiers, as_units
from usage.reports.summed_prompts import range_of_requests
from usage.reports.tool_calls import read_tool_calls


def read_duration(usage: Members) -> Usage:
    """Read the usage of a transcription that is billed by the second and has no tokens."""
    return Usage(Tokens(), "openai_duration", as_units(audio_seconds=usage.amount("seconds")))


def read_chat(usage: Members, *, thinks_beside: bool) -> Usage:
    """Read `prompt_tokens` and `completion_tokens`; embeddings have no completion.

    A missing one is what the total has beyond the prompt. Gateways may add the names of
    Responses, with 0 in one of the two.
    `thinks_beside`: the provider may count reasoning beside the completion.
    """
    prompt = usage.required_count("prompt_tokens", "input_tokens")
    completion = usage.count("completion_tokens", "output_tokens")
    if not usage.has("completion_tokens", "output_tokens"):
        completion = max(usage.count("total_tokens") - prompt, 0)
    if usage.has("connector_tokens") and usage.count("total_tokens") != prompt + completion:
        prompt += usage.count("connector_tokens")  # results of Mistral's tools, beside the prompt
    return read_totals("openai_chat", usage, prompt, completion, thinks_beside=thinks_beside)


def read_responses(usage: Members, *, thinks_beside: bool) -> Usage:
    """Read `input_tokens` and `output_tokens`, both of which must be there."""
    prompt = usage.required_count("input_tokens")
    completion = usage.required_count("output_tokens")
    return read_totals("openai_responses", usage, prompt, completion, thinks_beside=thinks_beside)


def read_totals(
    form: str,
    usage: Members,
    prompt: int,
    completion: int,
    *,
    thinks_beside: bool,
    includes_cache: bool | None = None,
) -> Usage:
    """Read the parts of the two totals, by the names of all who count as OpenAI does.

    `includes_cache`: whether the prompt contains cached tokens; None: if they fit.
    """
    inputs, outputs = _details(usage)
    cached = inputs.part("cached_tokens_details")
    surplus = usage.count("total_tokens", "totalTokens") - prompt - completion
    thinking, includes_thinking = _thinking(usage, outputs, completion, surplus, thinks_beside)
    parts = {"thinking": thinking, **_parts(usage, inputs, outputs, completion)}
    if surplus > 0 and surplus == cached_tokens(parts) and includes_thinking is not False:
        # LangChain copies Bedrock's counts: only the total contains the cached tokens.
        includes_cache = False
    if _term(usage, "usage_semantic") == "anthropic":  # New API copies Anthropic's counts, too
        includes_cache = False
    placement = place(
        parts,
        prompt=prompt,
        completion=completion,
        includes_cache=includes_cache,
        includes_thinking=includes_thinking,
        thinks_beside=thinks_beside,
        cached_audio=min(
            agreed_count((cached, ("audio_tokens",)), (usage, ("cache_audio_read_tokens",))),
            parts["audio_input"],
        ),
        cached_image=min(cached.count("image_tokens"), parts["image_input"]),
    )
    return Usage(
        placement.tokens,
        placement.read_as(form),
        units=placement.units | _units(usage, inputs),
        modifiers=as_modifiers(
            service_tier=_tier(usage, inputs),
            # Of Anthropic's calls, as LiteLLM keeps them.
            speed=_term(usage, "speed"),
            region=_term(usage, "inference_geo"),
            prompts=range_of_requests(usage, placement.tokens.prompt),
        ),
        cost=read_cost(usage),
    )


def _details(usage: Members) -> tuple[Members, Members]:
    """Return the objects that divide the prompt and the completion."""
    if usage.has("inputTokensDetails"):  # OpenAI's Agents SDK for JavaScript, for each request
        return usage.sum_of_parts("inputTokensDetails"), usage.sum_of_parts("outputTokensDetails")
    if usage.is_list("input_tokens_details"):  # the one for Python, as it is written to JSON
        return (
            usage.sum_of_parts("input_tokens_details"),
            usage.sum_of_parts("output_tokens_details"),
        )
    return usage.part(*names.PROMPT_DETAILS), usage.part(*names.COMPLETION_DETAILS)


def _parts(usage: Members, inputs: Members, outputs: Members, completion: int) -> dict[str, int]:
    """Return the counts of single classes but for thinking."""
    is_of_images = _is_of_images(usage, outputs)
    return {
        "cache_read": agreed_count((inputs, names.CACHE_READ_DETAILS), (usage, names.CACHE_READS)),
        **_cache_writes(usage, inputs),
        "audio_input": agreed_count((inputs, names.AUDIO), (usage, names.AUDIO_INPUT)),
        "audio_output": agreed_count((outputs, names.AUDIO), (usage, names.AUDIO_OUTPUT)),
        "image_input": _images(inputs),
        "image_output": completion if is_of_images else _images(outputs),
    }


def _cache_writes(usage: Members, inputs: Members) -> dict[str, int]:
    counts, splits = names.CACHE_WRITE_DETAILS, [usage, usage.part("cache_creation"), inputs]
    splits.append(inputs.part("cache_creation_token_details"))  # LiteLLM
    splits.append(inputs.part("cached_write_token_details"))  # Bifrost
    if inputs.is_object("cache_creation"):  # Qwen
        splits.append(inputs.part("cache_creation"))
    else:  # LangChain
        counts = (*counts, "cache_creation")
    return split_by_lifetime(agreed_count((inputs, counts), (usage, names.CACHE_WRITES)), *splits)


def _tier(usage: Members, inputs: Members) -> str | None:
    """Return the service tier, which LangChain says by the names of the details."""
    if tier := usage.text("service_tier"):
        return tier
    if usage.has("num_model_requests") and usage.flag("batch"):  # OpenAI's sums by day
        return "batch"
    if usage.is_object("extra_properties"):  # Vertex AI
        google = usage.part("extra_properties")
        tier = google.part("google").text("traffic_type") if google.is_object("google") else None
        return tier and tier.casefold().removeprefix("on_demand_")
    return next((tier for tier in names.TIERS if inputs.has(tier, f"{tier}_cache_read")), None)


def _term(usage: Members, name: str) -> str | None:
    """Return a term of the price; servers of open models have other things by these names."""
    return usage.text(name) if usage.is_text(name) else None


def _images(details: Members) -> int:
    """Return the tokens of pictures; frames of a video are pictures."""
    return details.count("image_tokens", "imageTokens", "image") + details.count("video_tokens")


def _is_of_images(usage: Members, outputs: Members) -> bool:
    """Return whether this is an image route's usage, whose whole output is a picture.

    Only these routes split the prompt into text and image tokens without naming
    cached ones; older models of theirs do not split the output at all.
    """
    inputs = usage.sum_of_parts("input_tokens_details")
    is_split = outputs.has("text_tokens", "image_tokens", "reasoning_tokens")
    is_of_chat = inputs.has("cached_tokens") or usage.has("image_tokens")  # the latter: Qwen
    return inputs.has("image_tokens") and not is_of_chat and not is_split


def _thinking(
    usage: Members, outputs: Members, completion: int, surplus: int, thinks_beside: bool
) -> tuple[int, bool | None]:
    """Return the reasoning tokens, and whether they are part of the completion, if known.

    `surplus` is what the stated total has beside prompt and completion.
    """
    places = [(outputs, names.THINKING_DETAILS), (usage, names.THINKING)]
    if usage.is_object("details"):
        places.append((usage.part("details"), names.THINKING_OF_PYDANTIC_AI))
    thinking = agreed_count(*places)
    if thinks_beside and not thinking and surplus > 0:
        # Google's compatible route counts its thoughts in the total only.
        return surplus, False
    if thinking and surplus == thinking:
        return thinking, False
    if surplus == 0 and thinking <= completion:
        return thinking, True
    return thinking, None


def _audio_seconds(usage: Members) -> Decimal | None:
    """Return Mistral's seconds of audio, which are an empty object where there is no audio."""
    names = ("prompt_audio_seconds", "promptAudioSeconds")  # the latter: its SDK for TypeScript
    return None if any(usage.is_object(name) for name in names) else usage.amount(*names)


def _units(usage: Members, inputs: Members) -> dict[str, Decimal]:
    units = as_units(
        audio_seconds=_audio_seconds(usage),
        web_searches=agreed_count(
            (usage.part("server_tool_use_details"), ("web_search_requests",)),  # OpenRouter
            (usage.part("server_tool_use"), ("web_search_requests",)),
            (usage, ("num_search_queries",)),  # Perplexity
            (inputs, ("web_search_requests",)),  # LiteLLM
        ),
        search_sources=usage.count("num_sources_used"),  # xAI
        citation_tokens=usage.count("citation_tokens"),  # Perplexity
    )
    return units | read_tool_calls(usage)
