"""The usage object of Vercel's AI SDK, which has one for all providers.

OpenAI's Agents SDK for JavaScript has the same names of the totals.
"""

from usage.reports.members import Members
from usage.reports.openai_usage import read_totals
from usage.reports.report import Report, is_of_anthropic, thinks_beside
from usage.reports.reported_usage import Usage

# Members by which it differs from Bedrock's, which has `inputTokens` too.
_DETAILS = ("inputTokenDetails", "inputTokensDetails", "inputDetails")  # the last: Mastra
_OWN_MEMBERS = ("cachedInputTokens", "reasoningTokens", "outputTokenDetails", *_DETAILS)
# Those of the Agent Client Protocol and Grok's command line, then Genkit's.
_MEMBERS_OF_OTHERS = (
    *("cachedReadTokens", "cachedWriteTokens", "thoughtTokens"),
    *("cachedContentTokens", "thoughtsTokens"),
)
# The names of its version 4, and of LangChain for JavaScript.
_VERSION_4_MEMBERS = ("promptTokens", "completionTokens")


def is_of_ai_sdk(usage: Members) -> bool:
    """Return whether this is the AI SDK's usage; without its own members it may be Bedrock's."""
    if usage.has("inputTokens", "outputTokens"):
        return usage.has(*_OWN_MEMBERS, *_MEMBERS_OF_OTHERS) or usage.is_object("inputTokens")
    return usage.has(*_VERSION_4_MEMBERS)


def read_ai_sdk(usage: Members, report: Report) -> Usage:
    """Read the totals and their parts.

    Version 5 copied Anthropic's count of the prompt, beside which cached tokens
    stand; version 6 has details, and a prompt that contains them.
    """
    if usage.is_object("inputTokens"):
        usage = _flattened(usage)
    is_beside = not usage.has(*_DETAILS) and is_of_anthropic(report)
    return read_totals(
        "ai_sdk",
        usage,
        usage.required_count("inputTokens", "promptTokens"),
        usage.required_count("outputTokens", "completionTokens"),
        thinks_beside=thinks_beside(report),
        includes_cache=False if is_beside else None,
    )


def _flattened(usage: Members) -> Members:
    """Return the usage that models give to middleware with the names that callers see."""
    inputs, outputs = usage.part("inputTokens"), usage.part("outputTokens")
    read, write = inputs.count("cacheRead"), inputs.count("cacheWrite")
    return Members(
        {
            "inputTokens": inputs.count("total") or inputs.count("noCache") + read + write,
            "inputTokenDetails": {"cacheReadTokens": read, "cacheWriteTokens": write},
            "outputTokens": outputs.count("total"),
            "outputTokenDetails": {"reasoningTokens": outputs.count("reasoning")},
        },
        ("usage",),
    )
