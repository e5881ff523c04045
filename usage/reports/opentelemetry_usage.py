"""Usage as attributes of a span, by the conventions of OpenTelemetry or OpenInference.

Cached and written tokens are part of the input, reasoning of the output.
Source: https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
and https://arize-ai.github.io/openinference/spec/attributes/semantic-conventions.html
"""

from usage.reports.members import Members
from usage.reports.placement import place
from usage.reports.reported_usage import Usage, as_modifiers

# After each name those that it replaced, those of instrumentations that were earlier, and
# OpenInference's.
_INPUT = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
)
_OUTPUT = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
)
_CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)
_CACHE_WRITE = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
_AUDIO_INPUT = "llm.token_count.prompt_details.audio"
_AUDIO_OUTPUT = "llm.token_count.completion_details.audio"
OWN_MEMBERS = (*_INPUT, *_OUTPUT)


def read_attributes(usage: Members) -> Usage:
    """Read the attributes of a span; those that are not about usage do not matter."""
    placement = place(
        {
            "cache_read": usage.count(*_CACHE_READ),
            "cache_write": usage.count(*_CACHE_WRITE),
            "thinking": usage.count(*_REASONING),
            "audio_input": usage.count(_AUDIO_INPUT),
            "audio_output": usage.count(_AUDIO_OUTPUT),
        },
        prompt=usage.required_count(*_INPUT),
        completion=usage.count(*_OUTPUT),
    )
    tier = usage.text("openai.response.service_tier")
    return Usage(
        placement.tokens,
        placement.read_as("opentelemetry"),
        units=placement.units,
        modifiers=as_modifiers(service_tier=tier),
    )
