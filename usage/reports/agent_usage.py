"""The usage of coding agents that count alike for all providers: Pi, and OpenCode and its kin.

Cached and written tokens stand beside the input. OpenCode keeps them in an object of their
own, and the reasoning beside the output.
Source: https://opencode.ai/docs/sdk
"""

from usage.reports.members import Members
from usage.reports.placement import place
from usage.reports.reported_usage import Usage

_CACHE = "cache"  # OpenCode
_PI_MEMBERS = ("cacheRead", "cacheWrite")


def is_of_agent(usage: Members) -> bool:
    """Return whether these are the totals of an agent; Langfuse has the same two names."""
    return usage.has("input", "output") and (usage.has(*_PI_MEMBERS) or usage.is_object(_CACHE))


def read_agent(usage: Members) -> Usage:
    """Read the totals and what stands beside them."""
    is_of_opencode = usage.is_object(_CACHE)
    cache = usage.part(_CACHE) if is_of_opencode else usage
    thinking, completion = usage.count("reasoning"), usage.count("output")
    placement = place(
        {
            "cache_read": cache.count("read", "cacheRead"),
            "cache_write": cache.count("write", "cacheWrite"),
            "thinking": thinking,
        },
        prompt=usage.required_count("input"),
        completion=completion + thinking if is_of_opencode else completion,
        includes_cache=False,
    )
    return Usage(placement.tokens, "agent")
