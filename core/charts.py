"""Charts as HTML: columns of stacked bars, each bar a link, with the same values as a table.

They need no script, follow the theme, and keep every digit, which JavaScript's numbers
would not. Templates: core/charts/; style: static core/charts.css.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_MAX_DAY_LABELS = 10  # beneath the columns; the table has all
_TICKS = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of one series in one column. `label` describes it to screen readers.

    An unknown `value` is None, and has no bar.
    """

    value: Decimal | None
    text: str
    label: str = ""
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    series: int
    cell: Cell
    bottom: str  # percent of the height, as CSS has it
    height: str


@dataclass(frozen=True, slots=True)
class Column:
    """A place on the axis, with a `note` such as "not finished"."""

    name: str
    cells: list[Cell]
    total: str
    note: str = ""
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    text: str
    bottom: str


class StackedChart:
    """A chart of columns, whose cells are in the order of `series`.

    `totals` are those of each series, then of all. All texts are ready to be displayed.
    """

    def __init__(
        self,
        name: str,
        *,
        series: Sequence[str],
        columns: Sequence[Column],
        totals: Sequence[str],
        format_tick: Callable[[Decimal], str],
    ) -> None:
        self.name, self.series, self.columns, self.totals = name, series, columns, totals
        self._format_tick = format_tick
        low, high = _extent(columns)
        self._step = _step(low, high)
        self._low = (low / self._step).to_integral_value(ROUND_FLOOR) * self._step
        steps = (high / self._step).to_integral_value(ROUND_CEILING)
        self._high = (steps if high > low else 1) * self._step

    @property
    def ticks(self) -> Iterator[Tick]:
        count = int((self._high - self._low) / self._step)
        for n in range(count + 1):
            value = self._low + n * self._step
            yield Tick(self._format_tick(value), self._share(value - self._low))

    @property
    def zero(self) -> str:
        return self._share(-self._low)

    @property
    def drawn(self) -> Iterator[tuple[Column, list[Bar], str]]:
        """Each column with its bars, and on which screens its name is shown.

        `major`: on every screen; `minor`: on wide ones only; `unnamed`: to screen readers alone.
        """
        every = -(-len(self.columns) // _MAX_DAY_LABELS)
        last = len(self.columns) - 1
        for n, column in enumerate(self.columns):
            place, between = divmod(last - n, every)
            label = "unnamed" if between else "minor" if place % 3 else "major"
            yield column, self._bars(column), label

    def _bars(self, column: Column) -> list[Bar]:
        above = below = -self._low
        bars = []
        for n, cell in enumerate(column.cells):
            if not cell.value:
                continue
            if cell.value > 0:
                bottom, above = above, above + cell.value
            else:
                bottom = below = below + cell.value
            bars.append(Bar(n, cell, self._share(bottom), self._share(abs(cell.value))))
        return bars

    def _share(self, value: Decimal) -> str:
        return f"{float(value / (self._high - self._low) * 100):.3f}%"


def _extent(columns: Sequence[Column]) -> tuple[Decimal, Decimal]:
    """Return the lowest and the highest end of any stack; both are 0 without values."""
    ends = [Decimal(0)]
    for column in columns:
        values = [cell.value for cell in column.cells if cell.value]
        ends.append(sum((value for value in values if value > 0), Decimal(0)))
        ends.append(sum((value for value in values if value < 0), Decimal(0)))
    return min(ends), max(ends)


def _step(low: Decimal, high: Decimal) -> Decimal:
    """Return the distance of ticks: 1, 2 or 5 times a power of ten."""
    if low == high:
        return Decimal(1)
    least = (high - low) / _TICKS
    power = Decimal(1).scaleb(least.adjusted())
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
