"""Today's date, asked for at each use: around midnight a constant would be yesterday's."""

from datetime import UTC, date, datetime


def today() -> date:
    """Return the day in UTC."""
    return datetime.now(UTC).date()
