"""One reading of usage: from a report in any form to what the ledger holds.

Source: docs/http-contract/usage.md, sections "Token classes" and "A provider's
own usage object".
"""

from core.schemas import SAFE_INTEGER_MAX
from registry_proxy.model_names import providers_named
from registry_proxy.tokens import Tokens
from usage.reports import (
    agent_usage,
    ai_sdk_usage,
    anthropic_usage,
    bedrock_usage,
    cohere_usage,
    gemini_usage,
    langfuse_usage,
    llama_cpp_usage,
    ollama_usage,
    openai_names,
    openai_usage,
    opentelemetry_usage,
    token_count_usage,
    total_usage,
)
from usage.reports.flat_members import CLASS_OF, read_flat
from usage.reports.members import Members, ReportError
from usage.reports.report import Report, thinks_beside
from usage.reports.reported_usage import Usage, UsageStatus, as_modifiers, as_units

# Spring AI keeps the provider's own object here, beside totals without their parts.
_NATIVE_USAGE = "nativeUsage"
_LITELLM_USAGE = "usage_object"
_RAW_USAGE = "raw"  # where Vercel's AI SDK keeps it
_NATIVE_TOTALS = ("prompt_tokens", "input_tokens", "inputTokens", "promptTokenCount")
_CACHED_TOKENS = ("cache_read_input_tokens", "cache_write_input_tokens")
WITHOUT_COUNTS = {
    UsageStatus.UNKNOWN: Usage(None, "unknown", status=UsageStatus.UNKNOWN),
    UsageStatus.FAILED: Usage(Tokens(), "failed", status=UsageStatus.FAILED),
}


def read_usage(report: Report) -> Usage:
    """Return the usage that a report states. Raises ReportError."""
    status = UsageStatus(report.usage_status) if report.usage_status else UsageStatus.SETTLED
    if status in WITHOUT_COUNTS:
        _refuse_counts(report, status)
        return WITHOUT_COUNTS[status]
    if report.usage is None:
        usage = read_flat(report)
    else:
        usage = _read_provider_usage(report, Members(report.usage, ("usage",)))
    tokens = usage.tokens
    if max(tokens.prompt, tokens.completion) > SAFE_INTEGER_MAX:
        loc = ("input_tokens",) if report.usage is None else ("usage",)
        message = f"All tokens together should be less than or equal to {SAFE_INTEGER_MAX}"
        raise ReportError("less_than_equal", loc, message)
    return Usage(
        tokens,
        usage.read_as,
        units=usage.units | as_units(**report.units) if report.units else usage.units,
        modifiers=usage.modifiers | _modifiers(report),
        cost=usage.cost if report.cost is None else report.cost,
        status=status,
    )


def _modifiers(report: Report) -> dict[str, str]:
    """Return the terms that a report states beside the usage itself."""
    if not (report.service_tier or report.modifiers):
        return {}
    return as_modifiers(**{"service_tier": report.service_tier, **(report.modifiers or {})})


def _refuse_counts(report: Report, status: UsageStatus) -> None:
    """Refuse a report with counts whose status is unknown or failed."""
    for name in ("usage", "input_tokens", "output_tokens", "cost", "units", *CLASS_OF):
        if getattr(report, name):
            message = f"Input should be null where usage_status is {status}"
            raise ReportError("value_error", (name,), message, getattr(report, name))


def _read_provider_usage(report: Report, usage: Members) -> Usage:
    """Read a provider's object by its members: gateways relay one provider in another's form."""
    if usage.has(bedrock_usage.LLAMA_OUTPUT):
        return bedrock_usage.read_llama(usage)
    if usage.has(*gemini_usage.OWN_MEMBERS) and not usage.has(*token_count_usage.OWN_MEMBERS):
        return gemini_usage.read_metadata(usage)
    if usage.has("prompt_tokens", "completion_tokens"):
        if (whole := _object_of_litellm(usage)) is not None:
            return _read_provider_usage(report, whole)
        return openai_usage.read_chat(usage, thinks_beside=thinks_beside(report))
    if ai_sdk_usage.is_of_ai_sdk(usage):
        native = usage.part(_NATIVE_USAGE) if usage.is_object(_NATIVE_USAGE) else None
        if native and native.has(*_NATIVE_TOTALS):
            return _read_provider_usage(report, native)
        return _read_raw(report, usage) or ai_sdk_usage.read_ai_sdk(usage, report)
    if usage.has("inputTokens", "outputTokens"):
        return bedrock_usage.read_converse(usage, report)
    if usage.has("input_tokens", "output_tokens"):
        if _is_anthropic(usage, report.provider):
            return anthropic_usage.read_messages(usage, model=report.model)
        return openai_usage.read_responses(usage, thinks_beside=thinks_beside(report))
    return _read_rarer_usage(report, usage)


def _object_of_litellm(usage: Members) -> Members | None:
    """Return the usage object in LiteLLM's payload of callbacks, which has the totals beside it."""
    metadata = usage.part("metadata") if usage.is_object("metadata") else None
    if metadata is None or not metadata.is_object(_LITELLM_USAGE):
        return None
    whole = metadata.part(_LITELLM_USAGE)
    return whole if whole.has(*_NATIVE_TOTALS) else None


def _read_raw(report: Report, usage: Members) -> Usage | None:
    """Return what the AI SDK passes on of the provider's own object, which says more.

    None if it does not count all that the AI SDK does: it may be that of one step of several.
    """
    try:
        raw = _read_provider_usage(report, usage.part(_RAW_USAGE))
    except ReportError:
        return None
    counted = ai_sdk_usage.read_ai_sdk(usage, report).tokens
    covers = raw.tokens.prompt >= counted.prompt and raw.tokens.completion >= counted.completion
    return raw if covers else None


def _read_rarer_usage(report: Report, usage: Members) -> Usage:
    if usage.has("seconds"):
        return openai_usage.read_duration(usage)
    if usage.has(bedrock_usage.INPUT_HEADER):
        return bedrock_usage.read_headers(usage)
    if usage.has(bedrock_usage.TITAN_INPUT):
        return bedrock_usage.read_titan(usage)
    if usage.has(*cohere_usage.OWN_MEMBERS):
        return cohere_usage.read_billed_units(usage)
    if usage.has(*opentelemetry_usage.OWN_MEMBERS):
        return opentelemetry_usage.read_attributes(usage, report)
    if usage.has(*token_count_usage.OWN_MEMBERS):
        return token_count_usage.read_counts(usage, report)
    if usage.has(*ollama_usage.OWN_MEMBERS):
        return ollama_usage.read_response(usage)
    if usage.has(*llama_cpp_usage.OWN_MEMBERS):
        return llama_cpp_usage.read_response(usage)
    if gemini_usage.is_of_command_line(usage):
        return gemini_usage.read_session(usage)
    if agent_usage.is_of_agent(usage):
        return agent_usage.read_agent(usage)
    if usage.has(*langfuse_usage.OWN_MEMBERS):
        return langfuse_usage.read_usage_details(usage)
    if usage.has(*total_usage.OWN_MEMBERS):
        return total_usage.read_total(usage)
    message = "Input should be a provider's usage object, with prompt_tokens or input_tokens"
    raise ReportError("missing", ("usage", "input_tokens"), message, report.usage)


def _is_anthropic(usage: Members, provider: str) -> bool:
    if usage.has(*anthropic_usage.EVENT_MEMBERS) and "anthropic" in providers_named(provider):
        return True
    if usage.has("input_tokens_details", "input_token_details", *openai_names.PYDANTIC_AI_MEMBERS):
        return False
    if usage.has(*_CACHED_TOKENS) and _contains_cached(usage, provider):
        return False
    return (
        provider.casefold() == "anthropic"
        or usage.has(*anthropic_usage.OWN_MEMBERS)
        or usage.part("output_tokens_details").has("thinking_tokens")
    )


def _contains_cached(usage: Members, provider: str) -> bool:
    """Return whether the input contains cached tokens in spite of Anthropic's name for them.

    Datadog has the name for all providers. Anthropic's own object has no total.
    """
    if "anthropic" in providers_named(provider):  # or a platform that has it
        return usage.has("non_cached_input_tokens")
    total = usage.count("total_tokens")
    return bool(total) and total == usage.count("input_tokens") + usage.count("output_tokens")
