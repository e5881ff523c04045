"""What the reading routes are asked for: a window of time, and labels to narrow it by.

Source: docs/http-contract.md, section "Windows".
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache

from django.http import QueryDict

from core.errors import InvalidInput, issue
from usage.models import LABELS
from usage.serializers import WindowQuery

_DEFAULT_LENGTH = timedelta(days=30)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open interval [start, end) of aware UTC times."""

    start: datetime
    end: datetime


def read_query(kind: type[WindowQuery], query_string: str) -> tuple[dict, Window, dict[str, str]]:
    """Return the parameters, the window and the labels of a query string. Raises InvalidInput."""
    query = _validated(kind, query_string)
    window = window_of(query.get("start_date"), query.get("end_date"), now=datetime.now(UTC))
    return query, window, {name: query[name] for name in LABELS if name in query}


# Clients repeat themselves, and building a serializer costs more than their query does.
@lru_cache(maxsize=512)
def _validated(kind: type[WindowQuery], query_string: str) -> dict:
    return kind.parse(QueryDict(query_string).items())


def window_of(start_date: str | None, end_date: str | None, *, now: datetime) -> Window:
    """Return the window of two query parameters, None if absent; both ends are inclusive.

    A date without a time is its whole day; a time without offset is UTC. Without
    an end the window closes with the day of `now`; without a start it opens 30
    days before the end, or before `now` when that is earlier. A start after the
    end makes it empty. Raises InvalidInput.
    """
    end = _parse("end_date", end_date, is_end=True) if end_date else None
    start = _parse("start_date", start_date, is_end=False) if start_date else None
    if end is None:
        end = datetime.combine(now.date(), time.min, UTC) + timedelta(days=1)
    if start is None:
        start = min(now, end) - _DEFAULT_LENGTH
    return Window(min(start, end), end)


def _parse(name: str, text: str, *, is_end: bool) -> datetime:
    """Return the time that a parameter names; for an end, the first time after it."""
    try:
        at = _utc(datetime.fromisoformat(text))
        if not is_end:
            return at
        return at + (_MICROSECOND if re.search(r"[Tt ]", text) else timedelta(days=1))
    except (ValueError, OverflowError):
        message = "Input should be a date or a date and time in ISO 8601"
        raise InvalidInput([issue("datetime_parsing", ["query", name], message, text)]) from None


def _utc(value: datetime) -> datetime:
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    # Outside these years neither ids nor PostgreSQL's sums of days make sense.
    if not 1970 <= value.year <= 9000:
        raise ValueError("year out of range")
    return value
