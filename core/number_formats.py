"""Numbers and times in a form for people, on pages and in the output of commands."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from django.utils.html import format_html

from core import json_writer

_SIGNIFICANT = 4  # digits of an amount below one dollar
_UNITS = {6: "M", 9: "B", 12: "T"}  # of dollars, by power of ten
UNKNOWN = "unknown"  # a cost; never 0


def right(text: str) -> str:
    """Return the text of a number in a span that lists align to the right."""
    return format_html('<span class="number">{}</span>', text)


def count(number: int | Decimal | None) -> str:
    """Return the number with separators of thousands, or a dash."""
    if number is None:
        return "-"
    return f"{number:,f}" if isinstance(number, Decimal) else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: `1 call`, `2,000 calls`."""
    return f"{number:,} {noun}{'' if abs(number) == 1 else 's'}"


def dollars(amount: Decimal) -> str:
    """Return an amount for reading, never rounded to 0: `$1,234.50`, `$0.50`, `$0.0002346`."""
    size = abs(amount)
    if size and size < 1:
        places = -size.adjusted() + _SIGNIFICANT - 1
        text = json_writer.plain(size.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN))
        text = text if len(text) > 3 else f"{size:.2f}"
    elif size:
        text = f"{size.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,f}"
    else:
        text = "0"
    return f"{'-' if amount < 0 else ''}${text}"


def axis_dollars(amount: Decimal) -> str:
    """Return a round amount in few characters, for an axis: `$20`, `$5M`, `$1e18`, `$2e-7`."""
    size = abs(amount)
    if not size or Decimal("0.0001") <= size < 1_000_000:
        return dollars(amount)
    power = size.adjusted() // 3 * 3
    sign = "-" if amount < 0 else ""
    if power in _UNITS:
        return f"{sign}${json_writer.plain(size.scaleb(-power))}{_UNITS[power]}"
    power = size.adjusted()
    return f"{sign}${json_writer.plain(size.scaleb(-power))}e{power}"


def exact(amount: Decimal) -> str:
    """Return all digits of an amount, with separators: `1,000.350000000001`."""
    whole, dot, fraction = json_writer.plain(amount).partition(".")
    sign = "-" if whole == "-0" else ""
    return f"{sign}{int(whole):,}{dot}{fraction}"


def percent(change: Decimal) -> str:
    """Return a change with its sign and at most one decimal: `+362.5 %`, `−100 %`, `0 %`."""
    rounded = change.quantize(Decimal("0.1"), ROUND_HALF_EVEN)
    text = exact(abs(rounded))
    sign = "+" if rounded > 0 else "−" if rounded < 0 else ""
    return f"{sign}{text} %"


def utc(at: datetime | None, timespec: str = "seconds") -> str:
    """Return the time as RFC 3339 allows it, `2026-11-27 02:14:05Z`, or a dash."""
    return "-" if at is None else at.astimezone(UTC).isoformat(" ", timespec)[:-6] + "Z"
