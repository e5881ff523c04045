"""Executions of tools."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from core.schemas import INT64_MAX, FreeObject, Schema, Text, example
from mcp.models import MAX_PAGE_ROWS
from mcp.schemas import examples


class ExecutionRequest(Schema):
    """A call to make; with `output`, `error` or `duration_ms`, a call to record."""

    model_config = example(examples.EXECUTION_REQUEST)

    input: FreeObject = Field(description="The tool's arguments.")
    output: FreeObject | None = None
    error: Text | None = None
    duration_ms: int | None = Field(None, ge=0, le=INT64_MAX)
    conversation_id: UUID | None = Field(None, description="A conversation of yours.")

    @property
    def is_report(self) -> bool:
        """Whether the client made the call itself."""
        reported = (self.output, self.error, self.duration_ms)
        return any(value is not None for value in reported)


class HistoryQuery(Schema):
    limit: int = Field(100, ge=0, description=f"At most {MAX_PAGE_ROWS:,} are returned.")
    cursor: UUID | None = Field(
        None, description="`X-Next-Cursor` of the page before: older executions."
    )


class ExecutionsQuery(HistoryQuery):
    tool_id: UUID | None = None
    conversation_id: UUID | None = None


class Execution(Schema):
    model_config = example(examples.EXECUTION)

    id: UUID
    tool_id: UUID
    conversation_id: UUID | None
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str | None
    duration_ms: int | None
    executed_at: datetime
    error_kind: str | None
