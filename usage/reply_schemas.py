"""What the usage routes return.

Source: docs/http-contract.md, sections "Logging a call" to "Listing logs".
"""

from datetime import date as Date
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from core.schemas import Number, Schema
from usage.models import CostSource, EntryType, UsageStatus


class StoredLog(Schema):
    log_id: UUID
    cost: Number = Field(description="US dollars; 0 when no price is known.")
    timestamp: datetime
    cost_source: CostSource
    unpriced_reason: str = Field(None, description="Reason if no price is known.")


class StoredCorrection(Schema):
    corrected_id: UUID = Field(description="The wrong log, which stays unchanged.")
    reversal_id: UUID = Field(description="The log that takes its numbers back.")
    replacement: StoredLog | None = Field(description="The log that replaces it, if any.")


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


class Log(Schema):
    """A log of the ledger. `input_tokens` and `output_tokens` include the other classes."""

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
    upstream: str | None = Field(description="The gateway's upstream; null: a client's report.")
    requested_model: str | None = Field(description="What was asked for; `model` served.")
    http_status: int | None = Field(description="The upstream's answer.")
    first_byte_ms: int | None = Field(description="Until the first data of the answer.")
    error: str | None = Field(description="What went wrong with the call.")


class ExportedLog(Log):
    received_at: datetime = Field(description="When this server stored it.")
    event_id: str | None
    api_key_id: UUID | None
    snapshot: str | None = Field(description="Digest of the registry whose prices applied.")


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


class Percentiles(Schema):
    """Of the calls that state the time, by nearest rank; null if none does."""

    p50: int | None
    p95: int | None


class NamedSums(Sums):
    latency_ms: Percentiles
    first_byte_ms: Percentiles


class OriginSums(TokenSums):
    cost: Number


class PeriodSums(Schema):
    date: Date | datetime = Field(description="The first day of the period; for hours, its start.")
    requests: int
    cost: str
    top_model: str


class StatsSummary(Schema):
    total_requests: int
    total_cost: str
    total_tokens: int
    unique_models: int
    unique_origins: int
    unpriced_requests: int = Field(description="Requests with known usage and unknown price.")
    unknown_requests: int = Field(description="Requests with unknown usage.")


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
    by_user: dict[str, NamedSums] = None
    by_tag: dict[str, NamedSums] = None
    by_upstream: dict[str, NamedSums] = None
    by_requested_model: dict[str, NamedSums] = None
    by_http_status: dict[str, NamedSums] = None
