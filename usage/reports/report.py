"""The members of a report that say what a call used."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from registry_proxy.model_names import providers_named


class Report(Protocol):
    """One call as reported; None is what was not said. Types are those of the schema.

    `usage` is the provider's own object and wins over the counts beside it.
    """

    provider: str
    model: str
    usage: Mapping | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    cache_write_5m_tokens: int | None
    cache_write_1h_tokens: int | None
    thinking_tokens: int | None
    reasoning_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    image_input_tokens: int | None
    image_output_tokens: int | None
    input_includes_cache: bool | None
    output_includes_thinking: bool | None
    units: Mapping[str, Decimal] | None
    modifiers: Mapping[str, str] | None
    service_tier: str | None
    usage_status: str | None
    cost: Decimal | None
    metadata: Mapping


# Providers whose APIs count thinking beside the completion. Google's limit of an answer holds
# for both.
THINKING_BEYOND_LIMIT = frozenset({"xai", "x-ai", "x_ai", "grok", "perplexity"})
_THINKING_BESIDE = THINKING_BEYOND_LIMIT | {"google"}


def thinks_beside(report: Report) -> bool:
    """Return whether the provider is one that counts thinking beside the completion."""
    name = report.provider or report.model.replace(":", "/").partition("/")[0]
    return not _THINKING_BESIDE.isdisjoint(providers_named(name))


def is_of_anthropic(report: Report) -> bool:
    """Return whether Anthropic's model answered, also on a platform that has others."""
    providers = providers_named(report.provider)
    is_only_vendor = providers == ("anthropic",)
    return is_only_vendor or ("anthropic" in providers and "claude" in report.model.casefold())
