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


def iso_time(at: datetime | None) -> str:
    """Return the time in ISO 8601, to the second, with its zone."""
    return "-" if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
