"""Usage whose totals are `inputTokenCount` and `outputTokenCount`, in the spelling of any language.

.NET's Microsoft.Extensions.AI, Semantic Kernel and LangChain4j have it for all providers, with
cached tokens in the input. In Microsoft's Agent Framework for Python they stand beside
Anthropic's, as they do in the metrics of Bedrock.
"""

from usage.reports.members import Members
from usage.reports.openai_usage import read_totals
from usage.reports.report import Report, is_of_anthropic, thinks_beside
from usage.reports.reported_usage import Usage
from usage.reports.spellings import with_dotnet

_INPUT = with_dotnet("inputTokenCount")
_OUTPUT = (*with_dotnet("outputTokenCount"), "generated_token_count")  # the latter: watsonx
_TOTAL = with_dotnet("totalTokenCount")
_INPUT_DETAILS = with_dotnet("inputTokenDetails", "inputTokensDetails")
_OUTPUT_DETAILS = with_dotnet("outputTokenDetails", "outputTokensDetails")
_AUDIO_DETAIL = with_dotnet("audioTokenCount")
_CACHE_READ_DETAIL = with_dotnet("cachedTokenCount", "cachedTokens")
_REASONING_DETAIL = with_dotnet("reasoningTokenCount", "reasoningTokens")
# Bedrock's metrics.
_BEDROCK = ("cacheReadInputTokenCount", "cacheWriteInputTokenCount")
# The Agent Framework's: of any provider, and as it named those of Anthropic before.
_AGENTS = ("cache_read_input_token_count", "cache_creation_input_token_count")
_AGENTS_OF_ANTHROPIC = (
    "anthropic.cache_read_input_tokens",
    "anthropic.cache_creation_input_tokens",
)
_CACHE_READ = (
    *with_dotnet("cachedInputTokenCount"),
    *(read for read, _ in (_BEDROCK, _AGENTS, _AGENTS_OF_ANTHROPIC)),
    "prompt/cached_tokens",  # the Agent Framework's, too
    "openai.cached_input_tokens",
)
_CACHE_WRITE = [write for _, write in (_BEDROCK, _AGENTS, _AGENTS_OF_ANTHROPIC)]
_REASONING = (
    *with_dotnet("reasoningTokenCount"),
    "reasoning_output_token_count",  # as are these
    "completion/reasoning_tokens",
    "openai.reasoning_tokens",
)
OWN_MEMBERS = (*_INPUT, *_OUTPUT)


def read_counts(usage: Members, report: Report) -> Usage:
    """Read the totals and their parts."""
    prompt, total = usage.required_count(*_INPUT), usage.count(*_TOTAL)
    # Embeddings have no output, as the total confirms.
    completion = usage.count(*_OUTPUT) if total == prompt else usage.required_count(*_OUTPUT)
    inputs, outputs = usage.part(*_INPUT_DETAILS), usage.part(*_OUTPUT_DETAILS)
    parts = {
        "total_tokens": total,
        "cached_tokens": usage.count(*_CACHE_READ) or inputs.count(*_CACHE_READ_DETAIL),
        "cache_write_tokens": usage.count(*_CACHE_WRITE),
        "input_audio_tokens": inputs.count(*_AUDIO_DETAIL),
        "reasoning_tokens": usage.count(*_REASONING) or outputs.count(*_REASONING_DETAIL),
        "output_audio_tokens": outputs.count(*_AUDIO_DETAIL),
    }
    is_beside = usage.has(*_BEDROCK, *_AGENTS_OF_ANTHROPIC) or (
        usage.has(*_AGENTS) and is_of_anthropic(report)
    )
    return read_totals(
        "token_counts",
        Members(parts, ("usage",)),
        prompt,
        completion,
        thinks_beside=thinks_beside(report),
        includes_cache=False if is_beside else None,
    )
