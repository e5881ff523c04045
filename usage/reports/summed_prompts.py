"""The prompts of the requests that one report sums up.

A long-context price holds for a request whose own prompt is long, however many tokens
several requests have together. So a report of several says how long their prompts were,
as far as it knows: the shortest and the longest.
"""

import re

from usage.reports.members import Members

_RANGE = re.compile(r"(\d{1,16})-(\d{1,16})", re.ASCII)
# Of OpenAI's Agents SDKs: each request, in the spelling of either language.
_ENTRIES = ("request_usage_entries", "requestUsageEntries")
# Pydantic AI and OpenAI's Agents SDKs, CrewAI, Grok's command line, OpenAI's sums by day.
_REQUESTS = ("requests", "successful_requests", "modelCalls", "num_model_requests")
_MEMBERS = frozenset(_ENTRIES + _REQUESTS)


def as_range(prompts: list[int]) -> str | None:
    """Return the shortest and the longest prompt as the text of a modifier; None for one."""
    return f"{min(prompts)}-{max(prompts)}" if len(prompts) > 1 else None


def parse_range(text: str) -> tuple[int, int] | None:
    """Return the shortest and the longest prompt; None if the text says something else."""
    match = _RANGE.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def range_of_requests(usage: Members, prompt: int) -> str | None:
    """Return how long the prompts of a usage object's requests are; None if it has but one.

    Where the requests are not counted one by one, each may have up to all of the tokens.
    """
    if not usage.has_any(_MEMBERS):
        return None
    entries = [entry.count("input_tokens", "inputTokens") for entry in usage.parts(*_ENTRIES)]
    counts = (usage.count(name) for name in _REQUESTS if usage.is_number(name))
    requests = max(counts, default=0)
    if entries and len(entries) >= requests:
        return as_range(entries)
    return as_range([0, prompt]) if requests > 1 else None
