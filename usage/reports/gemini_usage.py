"""Gemini's `usageMetadata`, as the API writes it or as Google's SDK for Python does.

The Interactions API counts the same under names of its own, and so do the statistics of
Gemini's command line, which are those of a session.

Cached tokens are part of the prompt; results of tools stand beside it, thoughts
beside the candidates. The total is the sum of the four, and zeros are left out.
Source: https://ai.google.dev/api/generate-content#UsageMetadata
"""

from dataclasses import replace

from usage.reports.members import Members
from usage.reports.placement import place
from usage.reports.reported_usage import Usage, as_modifiers, as_units
from usage.reports.spellings import spellings
from usage.reports.summed_prompts import as_range

# After the names of `usageMetadata` those of the Interactions API, then of the command line.
_PROMPT = (*spellings("promptTokenCount"), "total_input_tokens", "prompt")
_CACHED = (*spellings("cachedContentTokenCount"), "total_cached_tokens", "cached")
_TOOL_RESULTS = (*spellings("toolUsePromptTokenCount"), "total_tool_use_tokens", "tool")
_CANDIDATES = (
    *spellings("candidatesTokenCount", "responseTokenCount"),  # the latter: Live
    "total_output_tokens",
    "candidates",
)
_THOUGHTS = (*spellings("thoughtsTokenCount"), "total_thought_tokens", "thoughts")
_TOTAL = (*spellings("totalTokenCount"), "total_tokens", "total")
_PROMPT_DETAILS = (*spellings("promptTokensDetails"), "input_tokens_by_modality")
_CACHED_DETAILS = (*spellings("cacheTokensDetails"), "cached_tokens_by_modality")
_TOOL_DETAILS = (*spellings("toolUsePromptTokensDetails"), "tool_use_tokens_by_modality")
_OUTPUT_DETAILS = (
    *spellings("candidatesTokensDetails", "responseTokensDetails"),
    "output_tokens_by_modality",
)
_TIERS = spellings("serviceTier", "trafficType")
_ENTRY = ("tokenCount", "token_count", "tokens")
_COMMAND_LINE = ("prompt", "candidates", "thoughts")
OWN_MEMBERS = tuple(
    name
    for name in (*_PROMPT, *_CANDIDATES, *_THOUGHTS, *spellings("totalTokenCount"))
    if name not in _COMMAND_LINE
)


def is_of_command_line(usage: Members) -> bool:
    """Return whether these are the statistics of Gemini's command line."""
    return usage.has("prompt") and usage.has("candidates")


def read_session(usage: Members) -> Usage:
    """Read the statistics of a session, whose requests each have some of its prompt."""
    session = read_metadata(usage)
    prompts = as_modifiers(prompts=as_range([0, session.tokens.prompt]))
    return replace(session, modifiers=session.modifiers | prompts)


def read_metadata(usage: Members) -> Usage:
    """Read the usage of a Gemini call; one count that is missing comes from the total.

    Raises ReportError.
    """
    prompt, tools, candidates, thoughts = _four_counts(usage)
    prompt_media, output_media = _media(usage, _PROMPT_DETAILS), _media(usage, _OUTPUT_DETAILS)
    tool_media, cached_media = _media(usage, _TOOL_DETAILS), _media(usage, _CACHED_DETAILS)
    placement = place(
        {
            "cache_read": usage.count(*_CACHED),
            "thinking": thoughts,
            "audio_input": prompt_media["audio"] + tool_media["audio"],
            "image_input": prompt_media["image"] + tool_media["image"],
            "audio_output": output_media["audio"],
            "image_output": output_media["image"],
        },
        prompt=prompt + tools,
        completion=candidates + thoughts,
        includes_thinking=True,
        cached_audio=min(cached_media["audio"], prompt_media["audio"]),
        cached_image=min(cached_media["image"], prompt_media["image"]),
    )
    searches = sum(entry.count("count") for entry in usage.parts("grounding_tool_count"))
    tier = next((tier for name in _TIERS if (tier := usage.text(name))), "")
    return Usage(
        placement.tokens,
        placement.read_as("gemini"),
        units=placement.units | as_units(web_searches=searches),
        modifiers=as_modifiers(service_tier=tier.casefold().removeprefix("on_demand_")),
    )


def _four_counts(usage: Members) -> tuple[int, int, int, int]:
    """Return the tokens of prompt, tool results, candidates and thoughts."""
    prompt, tools = usage.count(*_PROMPT), usage.count(*_TOOL_RESULTS)
    candidates, thoughts = usage.count(*_CANDIDATES), usage.count(*_THOUGHTS)
    surplus = usage.count(*_TOTAL) - prompt - tools - candidates - thoughts
    if not usage.has(*_PROMPT):
        if surplus < 0 or not usage.has(*_CANDIDATES, *_THOUGHTS):
            raise usage.error("missing", _PROMPT[0], "Field required")
        prompt = surplus
    elif surplus > 0 and not usage.has(*_CANDIDATES):
        candidates = surplus
    elif surplus > 0 and not usage.has(*_THOUGHTS):
        thoughts = surplus
    return prompt, tools, candidates, thoughts


def _media(usage: Members, names: tuple[str, ...]) -> dict[str, int]:
    """Return the audio and image tokens of a list by modality; frames of a video are images."""
    media = {"audio": 0, "image": 0}
    for entry in usage.parts(*names):
        match (entry.text("modality") or "").upper():
            case "AUDIO":
                media["audio"] += entry.count(*_ENTRY)
            case "IMAGE" | "VIDEO":
                media["image"] += entry.count(*_ENTRY)
    return media
