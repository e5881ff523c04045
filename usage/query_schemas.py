"""Queries of the routes that read logs.

Source: docs/http-contract.md, sections "Windows" to "Listing logs".
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.schemas import INT64_MAX, Schema
from usage.models import CostSource, UsageStatus
from usage.windows import EARLIEST, MAX_AHEAD, Window, WindowEnd, WindowStart


def _without_nul(values: list[str] | None) -> list[str] | None:
    if any("\x00" in value for value in values or ()):
        raise PydanticCustomError("null_character", "Null characters are not allowed.")
    return values


def _among(choices: Sequence[str]) -> Any:
    """Return the type of a parameter that is given once for each of some of the choices."""

    def check(values: list[str] | None) -> list[str] | None:
        if not set(values or ()) <= set(choices):
            expected = " or ".join(f"'{choice}'" for choice in choices)
            raise PydanticCustomError("literal_error", f"Input should be {expected}")
        return values

    described = {"type": "array", "items": {"type": "string", "enum": [*choices]}}
    schema = WithJsonSchema({"anyOf": [described, {"type": "null"}]})
    return Annotated[list[str] | None, AfterValidator(check), schema]


Filter = Annotated[list[str] | None, AfterValidator(_without_nul)]


class WindowQuery(Schema):
    """A window of time, and filters.

    A filter given several times matches any of its values; `none` matches logs without one.
    """

    start_date: WindowStart | None = Field(
        None, description="Date or date and time, inclusive; default 30 days back."
    )
    end_date: WindowEnd | None = Field(
        None,
        description="Date (its whole day) or date and time, inclusive; default today.",
    )
    received_start: WindowStart | None = Field(
        None, description="Only logs stored since this time, whenever their calls happened."
    )
    received_end: WindowEnd | None = Field(None, description="Only logs stored until this time.")
    origin: Filter = None
    model: Filter = None
    alias: Filter = None
    profile: Filter = None
    provider: Filter = None
    priced_as: Filter = None
    api_key_id: Filter = None
    user: Filter = None
    id_at_origin: Filter = None
    upstream: Filter = None
    requested_model: Filter = None
    http_status: Filter = None
    tag: Filter = None
    cost_source: _among(CostSource.values) = None
    usage_status: _among(UsageStatus.values) = None
    timezone: Literal["UTC"] = "UTC"

    def window(self) -> Window:
        """Return the window; by default one of all times when it is narrowed by `received_*`."""
        now = datetime.now(UTC)
        if not (self.received_start or self.received_end):
            return Window.of(self.start_date, self.end_date, now=now)
        # Twice: the clock of the worker that stored a log may be ahead, too.
        latest = now + 2 * MAX_AHEAD
        return Window.of(self.start_date or EARLIEST, self.end_date or latest, now=now)


# Groups of logs that only the ledger knows.
GROUPS = ("user", "tag", "upstream", "requested_model", "http_status")


class StatsQuery(WindowQuery):
    group_by: Literal["hour", "day", "week", "month"] = "day"
    groups: _among(GROUPS) = Field(
        None,
        description=f"Additional groups: {', '.join(f'`{name}`' for name in GROUPS)}. "
        "They read all logs of the window.",
    )


class LogsQuery(WindowQuery):
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0, le=INT64_MAX)
    cursor: UUID | None = Field(
        None, description="Id of the last log of a page; returns older ones."
    )


class ExportQuery(WindowQuery):
    format: Literal["ndjson", "csv"] = "ndjson"
