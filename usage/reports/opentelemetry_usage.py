"""Usage as attributes of a span, by OpenTelemetry's conventions for generative AI.

Cached and written tokens are part of the input, reasoning of the output.
Source: https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
"""

from usage.reports.members import Members
from usage.reports.placement import place
from usage.reports.reported_usage import Usage, as_modifiers

# After each name those that it replaced, and those of instrumentations that were earlier.
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
_CACHE_READ = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens")
_CACHE_WRITE = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.usage.reasoning_tokens",
)
OWN_MEMBERS = (*_INPUT, *_OUTPUT)


def read_attributes(usage: Members) -> Usage:
    """Read the attributes of a span; those that are not about usage do not matter."""
    placement = place(
        {
            "cache_read": usage.count(*_CACHE_READ),
            "cache_write": usage.count(*_CACHE_WRITE),
            "thinking": usage.count(*_REASONING),
        },
        prompt=usage.required_count(*_INPUT),
        completion=usage.count(*_OUTPUT),
    )
    tier = usage.text("openai.response.service_tier")
    return Usage(
        placement.tokens,
        placement.read_as("opentelemetry"),
        modifiers=as_modifiers(service_tier=tier),
    )
