"""What the usage routes take and return: one schema a body, whatever way it comes in.

Source: docs/http-contract.md, sections "Logging a call" to "Listing logs".
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from datetime import date as Date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from django.conf import settings
from pydantic import (
    AfterValidator,
    AliasChoices,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core import media
from core.schemas import (
    INT64_MAX,
    Amount,
    Count,
    FreeObject,
    Number,
    Schema,
    Timestamp,
    member_error,
    text,
)
from usage.models import SIGNED_COLUMNS, CostSource, EntryType, UsageStatus
from usage.reports.members import MAX_TEXT, ReportError
from usage.reports.reading import read_usage
from usage.reports.reported_usage import Usage
from usage.windows import Window, WindowEnd, WindowStart

MAX_UNITS = 50  # names of units or modifiers of one call
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
# Clients whose clock is a little ahead are not refused.
_MAX_AHEAD = timedelta(days=1)


def _is_plausible(at: datetime) -> datetime:
    if not _EARLIEST <= at <= datetime.now(UTC) + _MAX_AHEAD:
        raise PydanticCustomError("datetime_range", "Input should be a time between 1970 and now")
    return at


def _is_bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    limit = settings.MAX_METADATA_BYTES
    if len(media.dumps(metadata)) > limit:
        message = f"Metadata should have at most {limit} bytes (LLMRING_MAX_METADATA_BYTES)"
        raise PydanticCustomError("too_long", message, {"max_length": limit})
    return metadata


def _magnitude(value: Any) -> Any:
    if isinstance(value, str):
        return value.removeprefix("-")
    return abs(value) if isinstance(value, int | float | Decimal) else value


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
        description="The provider's own usage object, as it came. Recommended; wins over the "
        "counts beside it.",
    )
    input_tokens: Count | None = _count("All prompt tokens, cached ones included.")
    output_tokens: Count | None = _count("All completion tokens, thinking included.")
    cached_input_tokens: Count | None = _count("Prompt tokens read from a cache.")
    cache_write_5m_tokens: Count | None = _count("Written to a cache for five minutes.")
    cache_write_1h_tokens: Count | None = _count("Written to a cache for an hour.")
    cache_write_tokens: Count | None = _count("Written to a cache, for an unstated time.")
    thinking_tokens: Count | None = _count("Completion tokens of thinking.")
    reasoning_tokens: Count | None = _count("Another name of `thinking_tokens`.")
    audio_input_tokens: Count | None = _count("Prompt tokens of audio.")
    audio_output_tokens: Count | None = _count("Completion tokens of audio.")
    image_input_tokens: Count | None = _count("Prompt tokens of images.")
    image_output_tokens: Count | None = _count("Completion tokens of images.")
    input_includes_cache: bool | None = Field(
        None,
        description="Whether `input_tokens` contain cached and written ones; default: if they fit.",
    )
    output_includes_thinking: bool | None = Field(
        None, description="Whether `output_tokens` contain thinking; default: if it fits."
    )
    units: Units | None = Field(None, description="What is billed beside tokens: `audio_seconds`.")
    modifiers: Modifiers | None = Field(
        None, description="Terms that change the price: `service_tier`, `speed`, `region`."
    )
    service_tier: text(64) | None = None
    usage_status: UsageStatus | None = Field(
        None, description="`unknown` for a call whose counts nobody knows; default `settled`."
    )
    cost: Amount | None = Field(
        None, description="US dollars. Wins over the registry's prices; absent: computed from them."
    )
    currency: Literal["USD"] | None = None
    metadata: Metadata = Field(
        {}, description="Anything. Token classes may stand here under the names they have above."
    )

    _read: Usage = PrivateAttr()

    @model_validator(mode="after")
    def _read_usage(self) -> Self:
        try:
            self._read = read_usage(self._report())
        except ReportError as error:
            raise member_error(error.type, str(error), *error.loc, input=error.value) from None
        return self

    def _report(self) -> Self:
        """Return the members to read, for bodies that have other names or defaults for them."""
        return self

    def read(self) -> Usage:
        """Return what the report says, in disjoint token classes."""
        return self._read


class LogEntry(UsageReport):
    """One call, as its client reports it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "provider": "openai",
                    "model": "gpt-4o-mini",
                    "usage": {
                        "prompt_tokens": 1000,
                        "completion_tokens": 200,
                        "prompt_tokens_details": {"cached_tokens": 400},
                    },
                    "alias": "summarizer",
                    "origin": "billing",
                },
                {
                    "provider": "openai",
                    "model": "gpt-4o-mini",
                    "input_tokens": 1000,
                    "output_tokens": 200,
                    "cached_input_tokens": 400,
                },
            ]
        }
    )

    alias: text(128) | None = None
    profile: text(64) | None = Field(None, description="`default` when absent or empty.")
    latency_ms: Count | None = None
    origin: text(255) | None = Field(None, description="The application that made the call.")
    id_at_origin: text(255) | None = Field(
        None, description="The application's own id of the call or conversation."
    )
    user: text(255) | None = Field(None, description="The end user; or `metadata.user_id`.")
    event_id: text(255) | None = Field(
        None, description="Your id of the event: sent again, it is stored once."
    )
    replace: bool = Field(
        False, description="A later report of the same `event_id` corrects the earlier one."
    )
    timestamp: Annotated[Timestamp, AfterValidator(_is_plausible)] | None = Field(
        None,
        validation_alias=AliasChoices("timestamp", "logged_at", "created_at", "time"),
        description="When the call happened; default now.",
    )
    # Members of an exported log, which is stored again as it was.
    id: text(64) | None = Field(None, description="Of an exported log.")
    cost_source: CostSource | None = Field(None, description="Of an exported log.")
    snapshot: text(80) | None = Field(None, description="Of an exported log.")
    priced_as: text(320) | None = Field(None, description="Of an exported log.")
    read_as: text(100) | None = Field(None, description="Of an exported log.")
    unpriced_reason: text(500) | None = Field(None, description="Of an exported log.")
    entry_type: EntryType | None = Field(None, description="Of an exported log.")
    corrects_id: UUID | None = Field(None, description="Of an exported log.")
    correction_reason: text(500) | None = Field(None, description="Of an exported log.")
    correction_author: text(100) | None = Field(None, description="Of an exported log.")

    @model_validator(mode="before")
    @classmethod
    def _without_signs(cls, value: Any) -> Any:
        """Take the numbers of an exported reversal, which are negative, as those it takes back."""
        if not isinstance(value, dict) or value.get("entry_type") != EntryType.REVERSAL:
            return value
        return {
            name: _magnitude(member) if name in SIGNED_COLUMNS else member
            for name, member in value.items()
        }

    @property
    def is_exported(self) -> bool:
        return self.cost_source is not None and self.timestamp is not None

    @model_validator(mode="after")
    def _replaces_an_event(self) -> Self:
        if self.replace and not self.event_id:
            raise member_error("missing", "Field required to replace a report", "event_id")
        return self


class Correction(UsageReport):
    """What a log should have said. What is left out stays as it was."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"reason": "counted twice", "input_tokens": 500, "output_tokens": 100},
            ]
        }
    )

    reason: text(500, min_length=1) = Field(description="Why the log is wrong.")
    provider: text(50) | None = None
    model: text(255) | None = None

    @model_validator(mode="after")
    def _read_usage(self) -> Self:
        """Leave the reading to the whole report, once it is merged."""
        return self


class Voiding(Schema):
    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "a test call"}]})

    reason: text(500, min_length=1) = Field(description="Why the log is wrong.")


class ImportedLog(LogEntry):
    """A row of our export, or of the older server's table of logs."""

    metadata: FreeObject = {}  # however large, as older rows may be
    api_key_id: str | None = None
    timestamp: Annotated[Timestamp, AfterValidator(_is_plausible)] = Field(
        validation_alias=AliasChoices("logged_at", "created_at", "timestamp", "time")
    )


class LogBatch(Schema):
    """Many calls. Each item is validated by itself, and has its own result."""

    logs: list[LogEntry]


class StoredLog(Schema):
    log_id: UUID
    cost: Number = Field(description="US dollars; 0 when no price is known.")
    timestamp: datetime
    cost_source: CostSource
    unpriced_reason: str = Field(None, description="Why there is no price, if there is none.")


class StoredCorrection(Schema):
    corrected_id: UUID = Field(description="The log that was wrong. It stays as it is.")
    reversal_id: UUID = Field(description="The log that takes its numbers back.")
    replacement: StoredLog | None = Field(description="The log that stands for it, if any.")


class BatchResult(Schema):
    index: int
    status: Literal["created", "duplicate", "replaced", "error"]
    log_id: UUID = None
    cost: Number = None
    timestamp: datetime = None
    cost_source: CostSource = None
    unpriced_reason: str = None
    detail: str | list[dict[str, Any]] = Field(None, description="What is wrong with the item.")


class BatchReport(Schema):
    created: int
    duplicates: int
    replaced: int
    failed: int
    results: list[BatchResult] = Field(description="One for each item, in the order sent.")


def _without_nul(values: list[str] | None) -> list[str] | None:
    if any("\x00" in value for value in values or ()):
        raise PydanticCustomError("null_character", "Null characters are not allowed.")
    return values


def _among(choices: Sequence[str]) -> AfterValidator:
    """Return the validator of a list of some of the choices."""

    def check(values: list[str] | None) -> list[str] | None:
        if not set(values or ()) <= set(choices):
            expected = " or ".join(f"'{choice}'" for choice in choices)
            raise PydanticCustomError("literal_error", f"Input should be {expected}")
        return values

    return AfterValidator(check)


Filter = Annotated[list[str] | None, AfterValidator(_without_nul)]


class WindowQuery(Schema):
    """A window of time, and what to narrow it by.

    Of a filter that is given several times any value counts; `none` stands for logs without one.
    """

    start_date: WindowStart | None = Field(
        None, description="Date or date and time, inclusive; default 30 days back."
    )
    end_date: WindowEnd | None = Field(
        None,
        description="Date (its whole day) or date and time, inclusive; default today.",
    )
    received_start: WindowStart | None = Field(
        None, description="Only logs stored since then, whenever their calls happened."
    )
    received_end: WindowEnd | None = Field(None, description="Only logs stored until then.")
    origin: Filter = None
    model: Filter = None
    alias: Filter = None
    profile: Filter = None
    provider: Filter = None
    priced_as: Filter = None
    api_key_id: Filter = None
    user: Filter = None
    tag: Filter = None
    cost_source: Annotated[list[str] | None, _among(CostSource.values)] = None
    usage_status: Annotated[list[str] | None, _among(UsageStatus.values)] = None
    timezone: Literal["UTC"] = "UTC"

    def window(self) -> Window:
        """Return the window; by default one of all times when it is narrowed by `received_*`."""
        is_late = self.received_start or self.received_end
        start = self.start_date or (_EARLIEST if is_late else None)
        return Window.of(start, self.end_date, now=datetime.now(UTC))


class StatsQuery(WindowQuery):
    group_by: Literal["hour", "day", "week", "month"] = "day"
    groups: Annotated[list[str] | None, _among(("user", "tag"))] = Field(
        None, description="More groups: `user`, `tag`. They read the ledger itself."
    )


class LogsQuery(WindowQuery):
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0, le=INT64_MAX)
    cursor: UUID | None = Field(
        None, description="Only logs older than the one with this id: the last of a page."
    )


class ExportQuery(WindowQuery):
    format: Literal["ndjson", "csv"] = "ndjson"


class Log(Schema):
    """A log of the ledger. `input_tokens` and `output_tokens` contain the classes beside them."""

    id: UUID
    logged_at: datetime
    provider: str
    model: str
    alias: str | None
    profile: str
    origin: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int
    cost: Number = Field(description="US dollars; 0 when no price is known.")
    cost_source: CostSource
    latency_ms: int | None
    metadata: dict[str, Any]
    conversation_id: UUID | None
    id_at_origin: str | None
    user: str | None
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cache_write_tokens: int
    thinking_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    image_input_tokens: int
    image_output_tokens: int
    units: dict[str, Number]
    modifiers: dict[str, str]
    usage_status: UsageStatus
    read_as: str
    priced_as: str | None
    unpriced_reason: str | None
    entry_type: EntryType
    corrects_id: UUID | None
    correction_reason: str | None
    correction_author: str | None


class ExportedLog(Log):
    received_at: datetime = Field(description="When this server stored it.")
    event_id: str | None
    api_key_id: UUID | None
    snapshot: str | None = Field(description="Digest of the registry whose prices were applied.")


class TokenSums(Schema):
    requests: int
    unpriced_requests: int
    unknown_requests: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cache_write_tokens: int
    thinking_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    image_input_tokens: int
    image_output_tokens: int


class Sums(TokenSums):
    cost: str = Field(description="US dollars, decimal text.")


class OriginSums(TokenSums):
    cost: Number


class PeriodSums(Schema):
    date: Date | datetime = Field(description="The first day of the period; its start for hours.")
    requests: int
    cost: str
    top_model: str


class StatsSummary(Schema):
    total_requests: int
    total_cost: str
    total_tokens: int
    unique_models: int
    unique_origins: int
    unpriced_requests: int = Field(description="Whose usage is known, but no price.")
    unknown_requests: int = Field(description="Whose usage is not known.")


class Stats(Schema):
    summary: StatsSummary
    by_day: list[PeriodSums]
    by_model: dict[str, Sums]
    by_priced_model: dict[str, Sums]
    by_provider: dict[str, Sums]
    by_origin: dict[str, OriginSums]
    by_alias: dict[str, Sums]
    by_profile: dict[str, Sums]
    by_api_key: dict[str, Sums]
    by_user: dict[str, Sums] = None
    by_tag: dict[str, Sums] = None
