"""Usage by the types of Langfuse, which its SDKs and integrations make of any provider's.

Its classes are disjoint, `input` and `output` being what is in no other one. Where the
`total` is those two alone, as LiteLLM sends it, they contain the others.
Source: https://langfuse.com/docs/observability/features/token-and-cost-tracking
"""

from registry_proxy.tokens import Tokens
from usage.reports.members import Members
from usage.reports.placement import place
from usage.reports.reported_usage import Usage, as_units

OWN_MEMBERS = ("input", "output")
_PROMPT_PARTS = {
    "cache_read": ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens"),
    "cache_write": ("input_cache_creation", "cache_creation_input_tokens"),
    "cache_write_5m": ("input_cache_creation_5m",),
    "cache_write_1h": ("input_cache_creation_1h",),
    "audio_input": ("input_audio_tokens", "input_audio"),
    "image_input": ("input_image_tokens", "input_image"),
}
_COMPLETION_PARTS = {
    "thinking": ("output_reasoning_tokens", "output_reasoning"),
    "audio_output": ("output_audio_tokens", "output_audio"),
    "image_output": ("output_image_tokens", "output_image"),
}
# Text of the completion with types of its own.
_PREDICTIONS = ("output_accepted_prediction_tokens", "output_rejected_prediction_tokens")
# What its older API counted instead of tokens, if `unit` said so.
_UNITS = ("CHARACTERS", "MILLISECONDS", "SECONDS", "IMAGES", "REQUESTS")


def read_usage_details(usage: Members) -> Usage:
    """Read the counts of types; an operator's own types do not matter."""
    prompt_parts = {name: usage.count(*types) for name, types in _PROMPT_PARTS.items()}
    completion_parts = {name: usage.count(*types) for name, types in _COMPLETION_PARTS.items()}
    by_lifetime = prompt_parts["cache_write_5m"] + prompt_parts["cache_write_1h"]
    if prompt_parts["cache_write"] == by_lifetime:
        prompt_parts["cache_write"] = 0  # it repeats the two
    prompt, completion = usage.required_count("input"), usage.count("output")
    unit = usage.text("unit") if usage.is_text("unit") else None
    if unit in _UNITS:
        return Usage(Tokens(), "langfuse", units=as_units(**{unit.lower(): prompt + completion}))
    if usage.count("total") != prompt + completion:
        prompt += sum(prompt_parts.values())
        completion += sum(completion_parts.values())
        completion += sum(usage.count(name) for name in _PREDICTIONS)
    placement = place(prompt_parts | completion_parts, prompt=prompt, completion=completion)
    return Usage(placement.tokens, placement.read_as("langfuse"), units=placement.units)
