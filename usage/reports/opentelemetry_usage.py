"""Usage as attributes of a span, by the conventions of OpenTelemetry or OpenInference.

Cached and written tokens are part of the input, reasoning of the output, unless the total
or the instrumentation says otherwise.
Source: https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
and https://arize-ai.github.io/openinference/spec/attributes/semantic-conventions.html
"""

from usage.reports.members import Members
from usage.reports.openai_usage import read_totals
from usage.reports.report import Report, is_of_anthropic, thinks_beside
from usage.reports.reported_usage import Usage

# After each name those that it replaced, those of instrumentations that were earlier or have
# their own (Pydantic AI's are among the details), the AI SDK's, and OpenInference's.
_AI_SDK_INPUT = ("ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens")
_INPUT = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    *_AI_SDK_INPUT,
    "llm.token_count.prompt",
)
_OUTPUT = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
    "llm.token_count.completion",
)
_TOTAL = (
    "gen_ai.usage.total_tokens",
    "llm.usage.total_tokens",
    "ai.usage.totalTokens",
    "llm.token_count.total",
)
# In version 6 the AI SDK has details, and a prompt that contains Anthropic's cached tokens.
_AI_SDK_DETAILS = (
    "ai.usage.inputTokenDetails.noCacheTokens",
    "ai.usage.inputTokenDetails.cacheReadTokens",
    "ai.usage.inputTokenDetails.cacheWriteTokens",
)
_CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.cache_read_tokens",
    "gen_ai.usage.input_tokens.cached",  # Sentry, OpenRouter
    "gen_ai.usage.details.cache_read_tokens",
    "gen_ai.usage.details.cache_read_input_tokens",
    "gen_ai.usage.details.cached_content_tokens",
    "ai.usage.cachedInputTokens",
    "ai.usage.inputTokenDetails.cacheReadTokens",
    "llm.token_count.prompt_details.cache_read",
)
_CACHE_WRITE = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
    "gen_ai.usage.cache_write_tokens",
    "gen_ai.usage.cache_creation_tokens",
    "gen_ai.usage.input_tokens.cache_write",
    "gen_ai.usage.details.cache_write_tokens",
    "gen_ai.usage.details.cache_creation_input_tokens",
    "ai.usage.inputTokenDetails.cacheWriteTokens",
    "llm.token_count.prompt_details.cache_write",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.output_tokens.reasoning",
    "gen_ai.usage.details.reasoning_tokens",
    "gen_ai.usage.details.thoughts_tokens",
    "gen_ai.usage.details.thinking_tokens",
    "llm.usage.reasoning_tokens",
    "ai.usage.reasoningTokens",
    "ai.usage.outputTokenDetails.reasoningTokens",
    "llm.token_count.completion_details.reasoning",
)
_AUDIO_INPUT = (
    "llm.token_count.prompt_details.audio",
    "gen_ai.usage.details.input_audio_tokens",
)
_AUDIO_OUTPUT = (
    "llm.token_count.completion_details.audio",
    "gen_ai.usage.details.output_audio_tokens",
)
_TIERS = ("openai.response.service_tier", "gen_ai.openai.response.service_tier")
OWN_MEMBERS = (*_INPUT, *_OUTPUT)


def read_attributes(usage: Members, report: Report) -> Usage:
    """Read the attributes of a span; those that are not about usage do not matter.

    Exporters add names of their own to those of an instrumentation, and may count
    otherwise: the first that is stated counts. Of totals it is the largest.
    """
    prompt = _first_count(usage, _INPUT)
    if prompt is None:
        raise usage.error("missing", _INPUT[0], "Field required")
    parts = {
        "total_tokens": max(usage.count(name) for name in _TOTAL),
        "cached_tokens": _first_count(usage, _CACHE_READ),
        "cache_write_tokens": _first_count(usage, _CACHE_WRITE),
        "reasoning_tokens": _first_count(usage, _REASONING),
        "input_audio_tokens": _first_count(usage, _AUDIO_INPUT),
        "output_audio_tokens": _first_count(usage, _AUDIO_OUTPUT),
        "service_tier": next((tier for name in _TIERS if (tier := usage.text(name))), None),
    }
    is_beside = (
        _first_count(usage, _AI_SDK_INPUT) == prompt
        and not usage.has(*_AI_SDK_DETAILS)
        and is_of_anthropic(report)
    )
    return read_totals(
        "opentelemetry",
        Members(parts, ("usage",)),
        prompt,
        _first_count(usage, _OUTPUT) or 0,
        thinks_beside=thinks_beside(report),
        includes_cache=False if is_beside else None,
    )


def _first_count(usage: Members, names: tuple[str, ...]) -> int | None:
    """Return the first count above 0, else 0; None where none is stated.

    0 may only mean that an exporter did not count this.
    """
    counts = [usage.count(name) for name in names if usage.has(name)]
    return next((count for count in counts if count), 0) if counts else None
