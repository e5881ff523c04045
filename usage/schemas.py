"""The bodies that the usage routes take: one schema each, whatever way they come in.

Source: docs/http-contract.md, section "Logging a call"; docs/http-contract/usage.md.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core.schemas import Count, FreeObject, Schema, Timestamp, example, member_error, text
from usage.columns import SIGNED_COLUMNS
from usage.models import CostSource, EntryType
from usage.report_schemas import Metadata, UsageReport
from usage.reports.reading import WITHOUT_COUNTS
from usage.windows import EARLIEST, MAX_AHEAD

# As long as the column, which also has an Idempotency-Key of 255 characters with the index of
# an item: what was exported is read back.
MAX_EVENT_ID = 300


def _is_plausible(at: datetime) -> datetime:
    if not EARLIEST <= at <= datetime.now(UTC) + MAX_AHEAD:
        raise PydanticCustomError(
            "datetime_range", "Input should be a time between 1970 and a day from now"
        )
    return at


def _object_or_empty(value: Any) -> Any:
    return {} if value is None else value


def _magnitude(value: Any) -> Any:
    if isinstance(value, str):
        return value.removeprefix("-")
    return abs(value) if isinstance(value, int | float | Decimal) else value


def _exported() -> Any:
    return Field(None, description="Of an exported log.")


class LogEntry(UsageReport):
    """One call, as its client reports it."""

    correction_members: ClassVar = ("id", "corrects_id", "cost_source", "timestamp")

    model_config = example(
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
    )

    alias: text(128) | None = None
    profile: text(64) | None = Field(None, description="`default` when absent or empty.")
    latency_ms: Count | None = None
    origin: text(255) | None = Field(None, description="The application that made the call.")
    id_at_origin: text(255) | None = Field(
        None, description="The application's id of the call or conversation."
    )
    user: text(255) | None = Field(None, description="The end user; default `metadata.user_id`.")
    event_id: text(MAX_EVENT_ID) | None = Field(
        None, description="Your id of the event: sent again, it is stored once."
    )
    replace: bool | None = Field(
        None, description="A later report of the same `event_id` corrects the earlier one."
    )
    timestamp: Annotated[Timestamp, AfterValidator(_is_plausible)] | None = Field(
        None,
        validation_alias=AliasChoices("timestamp", "logged_at", "created_at", "time"),
        description="When the call happened; default now.",
    )
    # Members of an exported log, which is stored again as it was.
    id: text(64) | None = _exported()
    cost_source: CostSource | None = _exported()
    snapshot: text(80) | None = _exported()
    priced_as: text(320) | None = _exported()
    read_as: text(100) | None = _exported()
    unpriced_reason: text(500) | None = _exported()
    entry_type: EntryType | None = _exported()
    corrects_id: UUID | None = _exported()
    correction_reason: text(500) | None = _exported()
    correction_author: text(100) | None = _exported()
    upstream: text(50) | None = _exported()
    requested_model: text(255) | None = _exported()
    http_status: Annotated[int, Field(ge=100, le=599)] | None = _exported()
    first_byte_ms: Count | None = _exported()
    error: text(255) | None = _exported()

    @model_validator(mode="before")
    @classmethod
    def _without_signs(cls, value: Any) -> Any:
        """Read the negative numbers of an exported reversal as those that it takes back."""
        if not isinstance(value, dict) or value.get("entry_type") != EntryType.REVERSAL:
            return value
        return {
            name: _magnitude(member) if name in SIGNED_COLUMNS else member
            for name, member in value.items()
        }

    @classmethod
    def conditionally_missing(cls, value: dict[str, Any]) -> list[str]:
        """Return the counts that are missing: only a `usage`, or a status, replaces them."""
        if value.get("usage") is not None or value.get("usage_status") in list(WITHOUT_COUNTS):
            return []
        return [name for name in ("input_tokens", "output_tokens") if value.get(name) is None]

    @property
    def is_exported(self) -> bool:
        """Return whether the log is known by its id; any other is a report with its event."""
        return bool(self.id) and self.cost_source is not None and self.timestamp is not None

    @model_validator(mode="after")
    def _replaces_an_event(self) -> Self:
        if self.replace and not self.event_id:
            raise member_error("missing", "Field required to replace a report", "event_id")
        return self

    @model_validator(mode="after")
    def _is_whole_correction(self) -> Self:
        """Refuse the rest of an exported correction: without a member it would be a call."""
        if self.entry_type in (None, EntryType.CALL):
            return self
        for name in self.correction_members:
            if not getattr(self, name):
                raise member_error("missing", "Field required of an exported correction", name)
        return self


class Correction(UsageReport):
    """The right values of a log. Members that are left out stay unchanged."""

    model_config = example({"reason": "counted twice", "input_tokens": 500, "output_tokens": 100})

    reason: text(500, min_length=1) = Field(description="Why the log is wrong.")
    provider: text(50) | None = None
    model: text(255) | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _read_usage(self) -> Self:
        """Leave the reading to the whole report, once it is merged."""
        return self


class Voiding(Schema):
    model_config = example({"reason": "a test call"})

    reason: text(500, min_length=1) = Field(description="Why the log is wrong.")


class ImportedLog(LogEntry):
    """A row of our export, or of the older server's table of logs."""

    # Without an id the importer makes one of the row's text.
    correction_members: ClassVar = ("corrects_id", "cost_source", "timestamp")

    # However large, and null for none, as older rows may be.
    metadata: Annotated[FreeObject, BeforeValidator(_object_or_empty)] = {}
    api_key_id: str | None = None
    timestamp: Annotated[Timestamp, AfterValidator(_is_plausible)] = Field(
        validation_alias=AliasChoices("logged_at", "created_at", "timestamp", "time")
    )


class LogBatch(Schema):
    """Many calls. Each item is validated separately, and has its own result."""

    model_config = example(
        {
            "logs": [
                {
                    "provider": "openai",
                    "model": "gpt-4o-mini",
                    "input_tokens": 1000,
                    "output_tokens": 200,
                },
                {
                    "provider": "openai",
                    "model": "gpt-4o-mini",
                    "usage": {"prompt_tokens": 300, "completion_tokens": 40},
                    "alias": "fast",
                },
            ]
        }
    )

    logs: list[LogEntry]
