"""The usage object of OpenAI's APIs, and of the many that copied it.

Chat Completions say `prompt_tokens`, Responses say `input_tokens`; images, audio
and embeddings use either. Cached and written tokens are part of the prompt.
Reasoning is part of the completion at OpenAI and stands beside it at xAI and on
Google's compatible route; `total_tokens` decides which.
Source: docs/http-contract/usage.md, section "A provider's own usage object".
"""

from decimal import Decimal

from registry_proxy.tokens import Tokens
from usage.reports.cache_writes import split_by_lifetime
from usage.reports.members import Members, agreed_count
from usage.reports.placement import place
from usage.reports.provider_cost import read_cost
from usage.reports.reported_usage import Usage, as_modifiers, as_units

_PROMPT_DETAILS = (
    "prompt_tokens_details",
    "input_tokens_details",
    "input_token_details",  # transcriptions and Realtime
    "prompt_token_details",  # Mistral
    "inputTokenDetails",  # Vercel's AI SDK
)
_COMPLETION_DETAILS = (
    "completion_tokens_details",
    "output_tokens_details",
    "output_token_details",
    "outputTokenDetails",
)
# Beside the detail of OpenAI, LangChain and the AI SDK: DeepSeek, Moonshot, Mistral, LiteLLM,
# Codex, and the AI SDK again.
_CACHE_READ_DETAILS = ("cached_tokens", "cache_read", "cacheReadTokens")
_CACHE_READS = (
    "prompt_cache_hit_tokens",
    "cached_tokens",
    "num_cached_tokens",
    "cache_read_input_tokens",
    "cached_input_tokens",
    "cachedInputTokens",
)


_CACHE_WRITE_DETAILS = (
    "cache_write_tokens",
    "cache_creation_tokens",
    "cache_creation",
    "cacheWriteTokens",
)
# Members by which the AI SDK's usage differs from Bedrock's, which has `inputTokens` too.
AI_SDK_MEMBERS = ("cachedInputTokens", "reasoningTokens", "inputTokenDetails", "outputTokenDetails")
_AUDIO = ("audio_tokens", "audio")


def read_duration(usage: Members) -> Usage:
    """Read the usage of a transcription that is billed by the second and has no tokens."""
    return Usage(Tokens(), "openai_duration", as_units(audio_seconds=usage.amount("seconds")))


def read_chat(usage: Members, *, thinks_beside: bool) -> Usage:
    """Read `prompt_tokens` and `completion_tokens`; embeddings have no completion.

    Gateways may add the names of Responses, with 0 in one of the two.
    `thinks_beside`: the provider may count reasoning beside the completion.
    """
    prompt = usage.required_count("prompt_tokens", "input_tokens")
    completion = usage.count("completion_tokens", "output_tokens")
    return _read("openai_chat", usage, prompt, completion, thinks_beside=thinks_beside)


def read_responses(usage: Members, *, thinks_beside: bool) -> Usage:
    """Read `input_tokens` and `output_tokens`, both of which must be there."""
    prompt = usage.required_count("input_tokens")
    completion = usage.required_count("output_tokens")
    return _read("openai_responses", usage, prompt, completion, thinks_beside=thinks_beside)


def read_ai_sdk(usage: Members, *, thinks_beside: bool) -> Usage:
    """Read `inputTokens` and `outputTokens` as Vercel's AI SDK counts them, like Responses."""
    prompt = usage.required_count("inputTokens")
    completion = usage.required_count("outputTokens")
    return _read("ai_sdk", usage, prompt, completion, thinks_beside=thinks_beside)


def _read(form: str, usage: Members, prompt: int, completion: int, *, thinks_beside: bool) -> Usage:
    inputs, outputs = usage.part(*_PROMPT_DETAILS), usage.part(*_COMPLETION_DETAILS)
    cached = inputs.part("cached_tokens_details")
    thinking, includes_thinking = _thinking(usage, outputs, prompt, completion, thinks_beside)
    audio, image = inputs.count(*_AUDIO), _images(inputs)
    placement = place(
        dict(
            cache_read=agreed_count((inputs, _CACHE_READ_DETAILS), (usage, _CACHE_READS)),
            **_cache_writes(usage, inputs),
            thinking=thinking,
            audio_input=audio,
            audio_output=outputs.count(*_AUDIO),
            image_input=image,
            image_output=completion if _is_of_images(usage, outputs) else _images(outputs),
        ),
        prompt=prompt,
        completion=completion,
        includes_thinking=includes_thinking,
        thinks_beside=thinks_beside,
        cached_audio=min(cached.count("audio_tokens"), audio),
        cached_image=min(cached.count("image_tokens"), image),
    )
    return Usage(
        placement.tokens,
        placement.read_as(form),
        units=placement.units | _units(usage),
        modifiers=as_modifiers(service_tier=usage.text("service_tier")),
        cost=read_cost(usage),
    )


def _cache_writes(usage: Members, inputs: Members) -> dict[str, int]:
    total = agreed_count(
        (inputs, _CACHE_WRITE_DETAILS),
        (usage, ("cache_creation_input_tokens",)),
    )
    nested = inputs.part("cache_creation_token_details")  # LiteLLM
    return split_by_lifetime(total, usage.part("cache_creation"), nested, inputs)


def _images(details: Members) -> int:
    """Return the tokens of pictures; frames of a video are pictures."""
    return details.count("image_tokens") + details.count("video_tokens")


def _is_of_images(usage: Members, outputs: Members) -> bool:
    """Return whether this is an image route's usage, whose whole output is a picture.

    Only these routes split the prompt into text and image tokens without naming
    cached ones; older models of theirs do not split the output at all.
    """
    inputs = usage.part("input_tokens_details")
    is_split = outputs.has("text_tokens", "image_tokens", "reasoning_tokens")
    return inputs.has("image_tokens") and not inputs.has("cached_tokens") and not is_split


def _thinking(
    usage: Members, outputs: Members, prompt: int, completion: int, thinks_beside: bool
) -> tuple[int, bool | None]:
    """Return the reasoning tokens, and whether they are part of the completion, if known."""
    thinking = agreed_count(
        (outputs, ("reasoning_tokens", "thinking_tokens", "reasoning", "reasoningTokens")),
        (usage, ("reasoning_tokens", "reasoning_output_tokens", "reasoningTokens")),
    )
    surplus = usage.count("total_tokens", "totalTokens") - prompt - completion
    if thinks_beside and not thinking and surplus > 0:
        # Google's compatible route counts its thoughts in the total only.
        return surplus, False
    if thinking and surplus == thinking:
        return thinking, False
    if surplus == 0 and thinking <= completion:
        return thinking, True
    return thinking, None


def _units(usage: Members) -> dict[str, Decimal]:
    return as_units(
        audio_seconds=usage.amount("prompt_audio_seconds"),  # Mistral
        web_searches=agreed_count(
            (usage.part("server_tool_use"), ("web_search_requests",)),  # OpenRouter
            (usage, ("num_search_queries",)),  # Perplexity
        ),
        search_sources=usage.count("num_sources_used"),  # xAI
        citation_tokens=usage.count("citation_tokens"),  # Perplexity
    )
