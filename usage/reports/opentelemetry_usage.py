"""Usage as attributes of a span, by OpenTelemetry's conventions for generative AI.

Cached and written tokens are part of the input, reasoning of the output.
Source: https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
"""

from usage.reports.members import Members
from usage.reports.placement import place
from usage.reports.reported_usage import Usage, as_modifiers

# After each name the one that it replaced.
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
OWN_MEMBERS = (*_INPUT, *_OUTPUT)


def read_attributes(usage: Members) -> Usage:
    """Read the attributes of a span; those that are not about usage do not matter."""
    placement = place(
        {
            "cache_read": usage.count("gen_ai.usage.cache_read.input_tokens"),
            "cache_write": usage.count("gen_ai.usage.cache_creation.input_tokens"),
            "thinking": usage.count("gen_ai.usage.reasoning.output_tokens"),
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
