"""The charts and rankings of an overview, ready for the templates of core/charts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from core import number_formats
from core.charts import Cell, Column, StackedChart
from core.rankings import Ranking, RankingRow, share
from usage.log_links import LogLinks
from usage.overview import NOTHING, CallSums, Comparison, Overview, ranked, total

MAX_SERIES = 7  # models in a chart by name; one more stands for the rest
MAX_ROWS = 8  # names in a ranking
NOT_FINISHED = "not finished"
# The heading of a label's ranking, and the name of its row for logs without that label.
_HEADINGS = {
    "model": ("Models", ""),
    "provider": ("Providers", ""),
    "project": ("Projects", ""),
    "api_key_id": ("Keys", "no key: by a person"),
    "alias": ("Aliases", "no alias"),
    "origin": ("Origins", "no origin"),
}


def cost_text(usage: CallSums) -> str:
    """Return the exact cost, with the number of unpriced calls, or that it is unknown."""
    if usage.is_cost_unknown:
        return number_formats.UNKNOWN
    text = number_formats.exact(usage.cost)
    return f"{text} ({usage.unpriced:,} unpriced)" if usage.unpriced else text


def usage_charts(overview: Overview, links: LogLinks, *, today: date) -> list[StackedChart]:
    """Return the charts of cost and of calls per day, stacked by the same models."""
    top, rest, _ = ranked(overview.by_label["model"], limit=MAX_SERIES)
    groups: list[tuple[str, Sequence[str]]] = [(name, [name]) for name in top]
    if rest:
        groups.append((f"{len(rest)} other models", rest))

    def chart(name: str, text: Callable[[CallSums], str], value, format_tick) -> StackedChart:
        return StackedChart(
            name,
            series=[title for title, _ in groups],
            columns=[
                _column(overview, day, groups, links, text, value, is_today=day == today)
                for day in overview.days
            ],
            totals=[
                *(
                    text(total(overview.by_label["model"][name] for name in names))
                    for _, names in groups
                ),
                text(overview.total),
            ],
            format_tick=format_tick,
        )

    return [
        chart("Cost per day by model, US dollars", cost_text, _cost, number_formats.axis_dollars),
        chart("Calls per day by model", _calls_text, _calls, _plain_count),
    ]


def _cost(usage: CallSums) -> Decimal | None:
    return None if usage.is_cost_unknown else usage.cost


def _calls(usage: CallSums) -> Decimal:
    return Decimal(usage.calls)


def _calls_text(usage: CallSums) -> str:
    return f"{usage.calls:,}"


def _plain_count(value: Decimal) -> str:
    # Below five calls ticks fall between whole numbers.
    return f"{int(value):,}" if value == int(value) else ""


def _column(
    overview: Overview,
    day: date,
    groups: list[tuple[str, Sequence[str]]],
    links: LogLinks,
    text: Callable[[CallSums], str],
    value: Callable[[CallSums], Decimal | None],
    *,
    is_today: bool,
) -> Column:
    note = NOT_FINISHED if is_today else ""
    cells = []
    for title, names in groups:
        usage = total(overview.by_model.get((day, name), NOTHING) for name in names)
        if usage == NOTHING:
            cells.append(Cell(Decimal(0), "0"))
            continue
        label = f"{title}, {day}{f' ({note})' if note else ''}: {described(usage)}"
        href = links.day(day, model=names[0] if len(names) == 1 else list(names))
        # Too many names for an address: then the day, and the label says so.
        cells.append(
            Cell(value(usage), text(usage), label, href)
            if href
            else Cell(value(usage), text(usage), f"{label}; opens all models", links.day(day))
        )
    usage = overview.by_day.get(day, NOTHING)
    return Column(day.isoformat(), cells, text(usage), note, links.day(day))


def described(usage: CallSums) -> str:
    """Return cost and calls in words."""
    return f"cost {cost_text(usage)}, {number_formats.counted(usage.calls, 'call')}"


def ranking(
    label: str, usages: dict[str, CallSums], links: LogLinks, *, names: dict[str, str] | None = None
) -> Ranking:
    """Return the highest costs by the names of a label, the rest, and logs without one.

    The rows add up to the total. `names` has what to show for ids.
    """
    title, none = _HEADINGS[label]
    top, rest, unnamed = ranked(usages, limit=MAX_ROWS)
    whole = total(usages.values())
    parameter = "project_id" if label == "project" else label

    def row(
        name: str, usage: CallSums, wanted: str | list[str], *, is_remainder: bool
    ) -> RankingRow:
        width = share(usage.cost, whole.cost)
        href = links.window(**{parameter: wanted})
        return RankingRow(name, cost_text(usage), f"{usage.calls:,}", width, href, is_remainder)

    rows = [row((names or {}).get(key, key), usages[key], key, is_remainder=False) for key in top]
    if rest:
        usage = total(usages[key] for key in rest)
        rows.append(row(f"{len(rest):,} others", usage, rest, is_remainder=True))
    if "" in usages:
        rows.append(row(none, unnamed, "", is_remainder=True))
    summary = RankingRow(
        "total", cost_text(whole), f"{whole.calls:,}", "100%", links.window(), is_remainder=True
    )
    return Ranking(title, rows, summary)


@dataclass(frozen=True, slots=True)
class Tile:
    """What happened in a period, and how it compares; all texts are ready to show.

    `exact` has all digits, if `cost` has not.
    """

    title: str
    cost: str
    exact: str
    calls: str
    unpriced: str
    cost_change: str
    calls_change: str
    before: str


def tile(comparison: Comparison) -> Tile:
    """Return the tile of a comparison."""
    now, before = comparison.now, comparison.before
    is_today = comparison.days == 1
    cost = number_formats.UNKNOWN if now.is_cost_unknown else number_formats.dollars(now.cost)
    exact = number_formats.exact(now.cost)
    unpriced = f"{now.unpriced:,} of {number_formats.counted(now.calls, 'call')} have no price"
    previous = "the whole of yesterday" if is_today else f"the {comparison.days} days before"
    return Tile(
        title="Today, not finished" if is_today else f"{comparison.days} days, today included",
        cost=cost,
        exact="" if now.is_cost_unknown or cost == f"${exact}" else exact,
        calls=number_formats.counted(now.calls, "call"),
        unpriced=unpriced if now.unpriced else "",
        cost_change=_changed(comparison.cost_change, now, before, before.cost > 0),
        calls_change=_changed(comparison.calls_change, now, before, before.calls > 0),
        before=f"{previous}: {described(before)}",
    )


def _changed(change: Decimal | None, now: CallSums, before: CallSums, had_any: bool) -> str:
    if change is not None:
        return number_formats.percent(change)
    if now == NOTHING and before == NOTHING:
        return ""
    if now.is_cost_unknown or before.is_cost_unknown:
        return "no comparison: a cost is unknown"
    return "" if had_any or now == NOTHING else "new"
