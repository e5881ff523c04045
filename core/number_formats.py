"""Numbers and times as the admin writes them."""

from datetime import UTC, datetime
from decimal import Decimal

from django.template.defaultfilters import pluralize
from django.utils.html import format_html


def right(text: str) -> str:
    """Return a number's text, which a list aligns to the right."""
    return format_html('<span class="number">{}</span>', text)


def count(number: int | Decimal | None) -> str:
    """Return the number with separators of thousands, or a dash."""
    return (
        "-" if number is None else f"{number:,f}" if isinstance(number, Decimal) else f"{number:,}"
    )


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: `1 call`, `2,000 calls`."""
    return f"{number:,} {noun}{pluralize(number)}"


def utc(at: datetime | None, timespec: str = "seconds") -> str:
    """Return the time as RFC 3339 allows it, `2026-11-27 02:14:05Z`, or a dash."""
    return "-" if at is None else at.astimezone(UTC).isoformat(" ", timespec)[:-6] + "Z"
