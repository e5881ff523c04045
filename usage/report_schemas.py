"""What a call used, as bodies of several routes state it.

Source: docs/http-contract/usage.md.
"""

from typing import Annotated, Any, Literal, Self

from django.conf import settings
from django.utils.functional import cached_property
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from core import json_writer
from core.schemas import Amount, Count, FreeObject, Schema, member_error, text
from usage.reports.members import MAX_TEXT, ReportError
from usage.reports.reading import read_usage
from usage.reports.reported_usage import Usage, UsageStatus

MAX_UNITS = 50  # names of units or modifiers of one call


def _is_bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    limit = settings.MAX_METADATA_BYTES
    if len(json_writer.dumps(metadata)) > limit:
        message = f"Metadata should have at most {limit} bytes (LLMRING_MAX_METADATA_BYTES)"
        raise PydanticCustomError("too_long", message, {"max_length": limit})
    return metadata


def _count(description: str) -> Any:
    return Field(None, description=description)


Units = Annotated[dict[text(64), Amount], Field(max_length=MAX_UNITS)]
Modifiers = Annotated[dict[text(64), text(MAX_TEXT)], Field(max_length=MAX_UNITS)]
Metadata = Annotated[FreeObject, AfterValidator(_is_bounded)]


class UsageReport(Schema):
    """What a call used, in any of the forms that usage/reports/ reads."""

    provider: text(50)
    model: text(255) = Field(
        description="With or without the provider: `gpt-4o-mini`, `openai:gpt-4o-mini`."
    )
    usage: FreeObject | None = Field(
        None,
        description="The provider's own usage object, unchanged. Recommended; counts beside it "
        "are ignored.",
    )
    input_tokens: Count | None = _count("All prompt tokens, cached ones included.")
    output_tokens: Count | None = _count("All completion tokens, thinking included.")
    cached_input_tokens: Count | None = _count("Prompt tokens read from a cache.")
    cache_write_5m_tokens: Count | None = _count("Written to a cache for five minutes.")
    cache_write_1h_tokens: Count | None = _count("Written to a cache for an hour.")
    cache_write_tokens: Count | None = _count("Written to a cache, lifetime not stated.")
    thinking_tokens: Count | None = _count("Completion tokens of thinking.")
    reasoning_tokens: Count | None = _count("Another name of `thinking_tokens`.")
    audio_input_tokens: Count | None = _count("Prompt tokens of audio.")
    audio_output_tokens: Count | None = _count("Completion tokens of audio.")
    image_input_tokens: Count | None = _count("Prompt tokens of images.")
    image_output_tokens: Count | None = _count("Completion tokens of images.")
    input_includes_cache: bool | None = Field(
        None,
        description="Whether `input_tokens` include cached and written ones; default: if they fit.",
    )
    output_includes_thinking: bool | None = Field(
        None, description="Whether `output_tokens` include thinking; default: if it fits."
    )
    units: Units | None = Field(
        None, description="Counts billed beside tokens, such as `audio_seconds`."
    )
    modifiers: Modifiers | None = Field(
        None, description="Terms that change the price: `service_tier`, `speed`, `region`."
    )
    service_tier: text(64) | None = None
    usage_status: UsageStatus | None = Field(
        None, description="`unknown` if the counts are not known; default `settled`."
    )
    cost: Amount | None = Field(
        None, description="US dollars. Default: by your own prices and the registry's."
    )
    currency: Literal["USD"] | None = None
    metadata: Metadata = Field(
        {}, description="Free object. It may have token classes, under the names above."
    )

    @model_validator(mode="after")
    def _read_usage(self) -> Self:
        try:
            _ = self.stated_usage
        except ReportError as error:
            raise member_error(error.type, str(error), *error.loc, input=error.value) from None
        return self

    def _report(self) -> Self:
        """Return the members to read, for bodies that have other names or defaults for them."""
        return self

    @cached_property
    def stated_usage(self) -> Usage:
        """What the report states, in disjoint token classes."""
        return read_usage(self._report())
