"""Rankings with bars. Template: core/charts/ranking.html."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class RankingRow:
    """A line of a ranking. `share` is the percentage of the bar, as CSS has it."""

    name: str
    cost: str
    calls: str
    share: str
    href: str | None = None
    is_remainder: bool = False  # all others, or those without a name


@dataclass(frozen=True, slots=True)
class Ranking:
    """The names with the most, and the rest: the rows add up to `total`."""

    name: str
    rows: list[RankingRow]
    total: RankingRow


def share(part: Decimal, whole: Decimal) -> str:
    """Return a part of a whole as a CSS width; "0%" if one of them is negative."""
    return f"{float(max(part, Decimal(0)) / whole * 100):.2f}%" if whole > 0 else "0%"
