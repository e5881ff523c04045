"""The window of time that a query asks for.

Both ends are inclusive and UTC (docs/http-contract.md, section "Windows").
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from core.errors import InvalidInput, issue

_DEFAULT = timedelta(days=30)
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open interval [start, end) of aware UTC times."""

    start: datetime
    end: datetime


def read(start_date: str | None, end_date: str | None, *, now: datetime) -> Window:
    """The window from two query parameters, absent ones being None.

    A date without a time is its whole day; a time without offset is UTC. Without
    an end the window closes with the day of `now`; without a start it opens 30
    days before the end, or before `now` when that is earlier. A start after the
    end makes it empty. Raises InvalidInput.
    """
    end = _parse("end_date", end_date, last=True) if end_date else None
    start = _parse("start_date", start_date, last=False) if start_date else None
    if end is None:
        end = datetime.combine(now.date(), time.min, UTC) + timedelta(days=1)
    if start is None:
        start = min(now, end) - _DEFAULT
    return Window(min(start, end), end)


def _parse(name: str, text: str, *, last: bool) -> datetime:
    """The moment a parameter names; for a window's end, the first moment after it."""
    try:
        if re.search(r"[Tt ]", text):
            moment = _utc(datetime.fromisoformat(text))
            return moment + _MOMENT if last else moment
        day = _utc(datetime.fromisoformat(text))
        return day + timedelta(days=1) if last else day
    except (ValueError, OverflowError):
        message = "Input should be a date or a date and time in ISO 8601"
        raise InvalidInput([issue("datetime_parsing", ["query", name], message, text)]) from None


def _utc(value: datetime) -> datetime:
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    # Outside these years neither ids nor PostgreSQL's sums of days make sense.
    if not 1970 <= value.year <= 9000:
        raise ValueError("year out of range")
    return value
