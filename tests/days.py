"""The day of a story: asked for where it is used, or a run around midnight has another one."""

from datetime import UTC, date, datetime


def today() -> date:
    """Return the day in UTC."""
    return datetime.now(UTC).date()
