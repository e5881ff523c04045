"""The table of a run: the figures of each target, and our ratio to LiteLLM's better set-up."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.gateway.samples import LOADS, Sample
from bench.gateway.targets import Target

DIRECT = "direct"
Medians = dict[tuple[str, str], dict[str, float]]  # of load and unit, by target


def medians(samples: Iterable[Sample]) -> Medians:
    """Return the medians of the rounds, including CPU times and failures."""
    values = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        figures = {**sample.figures, "failed": sample.failed}
        if sample.target != DIRECT:
            figures |= {"CPU µs": sample.cpu_us, "database CPU µs": sample.database_cpu_us}
        for unit, figure in figures.items():
            values[sample.load, unit][sample.target].append(figure)
    return {
        key: {target: median(each) for target, each in targets.items()}
        for key, targets in values.items()
    }


def table(measured: Medians, targets: Sequence[Target]) -> Table:
    """Return the table. Times of loads that the mock got directly too are what targets add."""
    result = Table(box=SIMPLE_HEAD, title="The gateway beside LiteLLM, medians of the rounds")
    ours = [target.name for target in targets if target.postgres]
    others = [target.name for target in targets if not target.postgres]
    for heading in ("load", "figure", DIRECT, *ours, *others, "ratio"):
        result.add_column(heading, justify="left" if heading in ("load", "figure") else "right")
    is_direct = {load.name: load.is_direct for load in LOADS}
    for (load, unit), figures in measured.items():
        if unit == "failed" and not any(figures.values()):
            continue
        direct = figures.get(DIRECT)
        is_added = is_direct[load] and unit.endswith("ms") and direct is not None
        shown = {
            name: figure - direct if is_added and name != DIRECT else figure
            for name, figure in figures.items()
        }
        result.add_row(
            load,
            f"{unit}, added" if is_added else unit,
            *(_text(shown.get(name)) for name in (DIRECT, *ours, *others)),
            _ratio(shown, ours, others, is_more_better=unit == "req/s"),
        )
    return result


def _ratio(
    shown: dict[str, float], ours: list[str], others: list[str], *, is_more_better: bool
) -> str:
    """Return how many times better the first of ours is than the better of the others."""
    known = [shown[name] for name in others if name in shown]
    if not (ours and known and ours[0] in shown):
        return "–"
    mine, best = shown[ours[0]], max(known) if is_more_better else min(known)
    if min(mine, best) <= 0:
        return "–"
    return f"{mine / best if is_more_better else best / mine:.1f}"


def _text(figure: float | None) -> str:
    if figure is None:
        return "–"
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.2f}"
