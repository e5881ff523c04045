"""The usage objects of Amazon Bedrock.

Converse counts as Anthropic does: cached and written tokens stand beside the prompt.
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
"""

from registry_proxy.model_names import providers_named
from registry_proxy.tokens import Tokens
from usage.reports.cache_writes import split_by_lifetime
from usage.reports.members import Members
from usage.reports.placement import cached_tokens
from usage.reports.report import Report
from usage.reports.reported_usage import Usage, as_modifiers, as_units
from usage.reports.summed_prompts import as_range

LLAMA_OUTPUT = "generation_token_count"
TITAN_INPUT = "inputTextTokenCount"
INPUT_HEADER = "x-amzn-bedrock-input-token-count"
# What stands in its place in the headers of the other classes.
_HEADERS = {
    "input": "input",
    "cache_read": "cache-read-input",
    "cache_write": "cache-write-input",
    "output": "output",
}
_CACHE_READS = ("cacheReadInputTokens", "cacheReadInputTokenCount")
_CACHE_WRITES = ("cacheWriteInputTokens", "cacheWriteInputTokenCount", "cacheCreationInputTokens")


def read_converse(usage: Members, report: Report) -> Usage:
    """Read the usage of Converse, or of Claude Code by model, which has some other names.

    Strands has the same for all providers: but for Claude, the input contains what is cached.
    """
    lifetimes = {
        f"ephemeral_{entry.text('ttl')}_input_tokens": entry.count("inputTokens")
        for entry in usage.parts("cacheDetails")
    }
    split = Members(lifetimes, ("usage", "cacheDetails"))
    parts = {
        "cache_read": usage.count(*_CACHE_READS),
        **split_by_lifetime(usage.count(*_CACHE_WRITES), split),
    }
    prompt, completion = usage.required_count("inputTokens"), usage.required_count("outputTokens")
    cached = cached_tokens(parts)
    is_inside = (
        0 < cached <= prompt
        and usage.count("totalTokens") == prompt + completion
        and "anthropic" not in providers_named(report.provider)  # nor a platform that has it
    )
    tokens = Tokens(input=prompt - cached if is_inside else prompt, **parts, output=completion)
    return Usage(
        tokens,
        "bedrock_converse+cache_inside" if is_inside else "bedrock_converse",
        units=as_units(web_searches=usage.count("webSearchRequests")),
        modifiers=as_modifiers(prompts=_range_of_session(usage, tokens)),
    )


def _range_of_session(usage: Members, tokens: Tokens) -> str | None:
    """Return how long the prompts of Claude Code's session are: no longer than its context."""
    if not usage.has("contextWindow"):
        return None
    return as_range([0, min(tokens.prompt, usage.count("contextWindow") or tokens.prompt)])


def read_llama(usage: Members) -> Usage:
    """Read a response of Llama to InvokeModel, which has no object for its counts."""
    tokens = Tokens(
        input=usage.required_count("prompt_token_count"),
        output=usage.count(LLAMA_OUTPUT),
    )
    return Usage(tokens, "bedrock_llama")


def read_titan(usage: Members) -> Usage:
    """Read a response of Titan to InvokeModel, whole or the last part of a stream.

    Embeddings have no output.
    Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html
    """
    answers = sum(answer.count("tokenCount") for answer in usage.parts("results"))
    tokens = Tokens(
        input=usage.count(TITAN_INPUT),
        output=usage.count("totalOutputTextTokenCount") or answers,
    )
    return Usage(tokens, "bedrock_titan")


def read_headers(usage: Members) -> Usage:
    """Read the headers of a response to InvokeModel, whose counts are texts.

    Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
    """
    prefix, suffix = INPUT_HEADER.split("input")
    counts = {
        name: usage.count_in_text(f"{prefix}{part}{suffix}") for name, part in _HEADERS.items()
    }
    return Usage(Tokens(**counts), "bedrock_headers")
