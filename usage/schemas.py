"""What the usage routes take and return: one schema a body, whatever way it comes in.

Source: docs/http-contract.md, sections "Logging a call" to "Listing logs".
"""

from datetime import UTC, datetime, timedelta
from datetime import date as Date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AliasChoices, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from core.schemas import (
    INT64_MAX,
    SAFE_INTEGER_MAX,
    Amount,
    Count,
    FreeObject,
    Number,
    Schema,
    Text,
    Timestamp,
    member_error,
    text,
)
from usage.models import LABELS, CostSource
from usage.windows import Window, WindowEnd, WindowStart

# Members of `metadata` that count tokens of finer classes, and the class each counts.
METADATA_CLASSES = {
    "cache_write_tokens": "cache_write",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "thinking_tokens": "thinking",
    "reasoning_tokens": "thinking",
}
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
# Clients whose clock is a little ahead are not refused.
_MAX_AHEAD = timedelta(days=1)


def _is_plausible(at: datetime) -> datetime:
    if not _EARLIEST <= at <= datetime.now(UTC) + _MAX_AHEAD:
        raise PydanticCustomError("datetime_range", "Input should be a time between 1970 and now")
    return at


def _has_counts(metadata: dict[str, Any]) -> dict[str, Any]:
    for name in METADATA_CLASSES.keys() & metadata.keys():
        count = metadata[name]
        if count is not None and (type(count) is not int or not 0 <= count <= SAFE_INTEGER_MAX):
            message = "Input should be a count of tokens"
            raise member_error("token_class", message, name, input=count)
    return metadata


class LogEntry(Schema):
    """One call, as its client reports it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "provider": "openai",
                    "model": "gpt-4o-mini",
                    "input_tokens": 1000,
                    "output_tokens": 200,
                    "cached_input_tokens": 400,
                    "alias": "summarizer",
                    "origin": "billing",
                }
            ]
        }
    )

    provider: text(50)
    model: text(255) = Field(
        description="With or without the provider: `gpt-4o-mini`, `openai:gpt-4o-mini`."
    )
    input_tokens: Count = Field(description="All prompt tokens, cached ones included.")
    output_tokens: Count = Field(description="All completion tokens, thinking included.")
    cached_input_tokens: Count | None = Field(0, description="Prompt tokens read from a cache.")
    alias: text(128) | None = None
    profile: text(64) | None = Field(None, description="`default` when absent or empty.")
    cost: Amount | None = Field(
        None, description="US dollars. Wins over the registry's prices; absent: computed from them."
    )
    latency_ms: Count | None = None
    origin: text(255) | None = Field(None, description="The application that made the call.")
    id_at_origin: text(255) | None = Field(
        None, description="The application's own id of the call or conversation."
    )
    metadata: Annotated[FreeObject, AfterValidator(_has_counts)] = Field(
        {},
        description="Anything. These members count tokens of classes with their own prices: "
        + ", ".join(f"`{name}`" for name in METADATA_CLASSES)
        + ".",
    )
    cost_source: CostSource | None = Field(
        None, description="Of an exported log, to be stored again as it was."
    )
    event_id: text(255) | None = Field(
        None, description="Your id of the event: sent again, it is stored once."
    )
    timestamp: Annotated[Timestamp, AfterValidator(_is_plausible)] | None = Field(
        None,
        validation_alias=AliasChoices("timestamp", "logged_at", "created_at", "time"),
        description="When the call happened; default now.",
    )

    @model_validator(mode="after")
    def _cached_tokens_are_input(self) -> "LogEntry":
        if (self.cached_input_tokens or 0) > self.input_tokens:
            message = "Input should be less than or equal to input_tokens"
            raise member_error(
                "less_than_equal", message, "cached_input_tokens", input=self.cached_input_tokens
            )
        return self


class ImportedLog(LogEntry):
    """A row of our export, or of the older server's table of logs."""

    id: str | None = None
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


class BatchResult(Schema):
    index: int
    status: Literal["created", "duplicate", "error"]
    log_id: UUID = None
    cost: Number = None
    timestamp: datetime = None
    cost_source: str = None
    detail: str | list[dict[str, Any]] = Field(None, description="What is wrong with the item.")


class BatchReport(Schema):
    created: int
    duplicates: int
    failed: int
    results: list[BatchResult] = Field(description="One for each item, in the order sent.")


class WindowQuery(Schema):
    """A window of time, and labels to narrow it by."""

    start_date: WindowStart | None = Field(
        None, description="Date or date and time, inclusive; default 30 days back."
    )
    end_date: WindowEnd | None = Field(
        None,
        description="Date (its whole day) or date and time, inclusive; default today.",
    )
    origin: Text | None = None
    model: Text | None = None
    alias: Text | None = None
    profile: Text | None = None
    provider: Text | None = None

    def window(self) -> Window:
        return Window.of(self.start_date, self.end_date, now=datetime.now(UTC))

    def labels(self) -> dict[str, str]:
        """Return the labels to narrow by, and the value of each."""
        values = {name: getattr(self, name) for name in LABELS}
        return {name: value for name, value in values.items() if value is not None}


class StatsQuery(WindowQuery):
    group_by: Literal["day", "week", "month"] = "day"


class LogsQuery(WindowQuery):
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0, le=INT64_MAX)
    cursor: UUID | None = Field(
        None, description="Only logs older than the one with this id: the last of a page."
    )


class ExportQuery(WindowQuery):
    format: Literal["ndjson", "csv"] = "ndjson"


class Log(Schema):
    """A log of the ledger."""

    id: UUID
    logged_at: datetime
    provider: str
    model: str
    alias: str | None
    profile: str
    origin: str | None
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost: Number = Field(description="US dollars; 0 when no price is known.")
    cost_source: str
    latency_ms: int | None
    metadata: dict[str, Any]
    conversation_id: UUID | None
    id_at_origin: str | None


class ExportedLog(Log):
    event_id: str | None
    api_key_id: UUID | None


class Sums(Schema):
    requests: int
    cost: str = Field(description="US dollars, decimal text.")
    input_tokens: int
    output_tokens: int


class OriginSums(Schema):
    requests: int
    cost: Number


class PeriodSums(Schema):
    date: Date = Field(description="The first day of the period.")
    requests: int
    cost: str
    top_model: str


class StatsSummary(Schema):
    total_requests: int
    total_cost: str
    total_tokens: int
    unique_models: int
    unique_origins: int
    unpriced_requests: int


class Stats(Schema):
    summary: StatsSummary
    by_day: list[PeriodSums]
    by_model: dict[str, Sums]
    by_provider: dict[str, Sums]
    by_origin: dict[str, OriginSums]
    by_alias: dict[str, Sums]
    by_profile: dict[str, Sums]
