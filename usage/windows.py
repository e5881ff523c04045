"""The window of time of a query.

Both ends are inclusive and UTC (docs/http-contract.md, section "Windows").
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.ids import EPOCH

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)  # of a call
MAX_AHEAD = timedelta(days=1)  # of a call: clocks of clients may be a little ahead
# No log lies before EPOCH or after this, where neither ids nor PostgreSQL's sums of days make
# sense; but clients that mean "ever" send the ends of their calendars, 0001-01-01 and 9999-12-31.
_LAST = datetime(9000, 1, 1, tzinfo=UTC)
_DEFAULT_LENGTH = timedelta(days=30)
_MICROSECOND = timedelta(microseconds=1)


def midnight(day: date) -> datetime:
    """Return the first moment of a day (UTC)."""
    return datetime.combine(day, time.min, UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open interval [start, end) of aware UTC times."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, start: datetime | None, end: datetime | None, *, now: datetime) -> "Window":
        """Return the window of two query parameters.

        Without an end it closes with the day of `now`; without a start it opens 30
        days before the end, or before `now` when that is earlier. A start after the
        end makes it empty.
        """
        if end is None:
            end = midnight(now.date()) + timedelta(days=1)
        if start is None:
            start = max(min(now, end) - _DEFAULT_LENGTH, EPOCH)
        return cls(min(start, end), end)

    def whole_days(self) -> tuple[date, date]:
        """Return the first day wholly inside the window, and the first one after those."""
        first, after = self.start.date(), self.end.date()
        if self.start.time() != time.min:
            first += timedelta(days=1)
        return (first, after) if first < after else self.no_days()

    def no_days(self) -> tuple[date, date]:
        """Return an empty range of days, for sums of the logs alone: those before and after it.

        It begins after the window's start, so that the logs from it on are all inside.
        """
        after_start = self.start.date() + timedelta(days=1)
        return after_start, after_start


def parse_start(text: str) -> datetime:
    """Return the time that a start names. A date without a time is its first moment."""
    return _parse(text)


def parse_end(text: str) -> datetime:
    """Return the first time after the one that an end names. A date is its whole day."""
    return _parse(text) + (_MICROSECOND if re.search(r"[Tt ]", text) else timedelta(days=1))


def _parse(text: str) -> datetime:
    """Return a time in UTC; one without offset is UTC. Raises PydanticCustomError, a ValueError."""
    try:
        at = datetime.fromisoformat(text.upper())  # RFC 3339 allows z
    except ValueError:
        message = "Input should be a date or a date and time in ISO 8601"
        raise PydanticCustomError("datetime_parsing", message) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at, EPOCH), _LAST).astimezone(UTC)


_described = WithJsonSchema(
    {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
)
WindowStart = Annotated[datetime, BeforeValidator(parse_start), _described]
WindowEnd = Annotated[datetime, BeforeValidator(parse_end), _described]
