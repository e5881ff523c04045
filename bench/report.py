"""Results of a run: a table for people, a JSON file for comparison."""

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.rounds import Sample

OURS = "ours"


@dataclass(frozen=True)
class Figure:
    """The medians of one server's rounds under one load; lowest and highest show the noise."""

    case: str
    connections: int
    side: str
    unit: str
    rate: float
    lowest: float
    highest: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int
    lost: int


def summarize(samples: Iterable[Sample]) -> Figure:
    """Return one figure from the rounds of one server under one load."""
    samples = list(samples)
    first, rates = samples[0], [sample.rate for sample in samples]
    return Figure(
        case=first.case.name,
        connections=first.connections,
        side=first.side,
        unit=first.case.unit,
        rate=median(rates),
        lowest=min(rates),
        highest=max(rates),
        p50_ms=median(sample.load.p50_ms for sample in samples),
        p99_ms=median(sample.load.p99_ms for sample in samples),
        cpu_us=median(sample.cpu_us for sample in samples),
        errors=sum(sample.load.refused + sample.load.broken for sample in samples),
        lost=sum(sample.lost for sample in samples),
    )


def figures(samples: Iterable[Sample]) -> list[Figure]:
    groups = defaultdict(list)
    for sample in samples:
        groups[sample.case.name, sample.connections, sample.side].append(sample)
    return [summarize(group) for group in groups.values()]


def show(console: Console, figures: list[Figure], memory: dict[str, float]) -> None:
    """Print the table, the servers' memory, and the number of lost rows."""
    console.print(comparison(figures))
    sizes = ", ".join(f"{side} {mib:,.0f} MiB" for side, mib in memory.items())
    console.print(f"Memory after load (PSS): {sizes}")
    lost = sum(figure.lost for figure in figures)
    console.print(f"Rows answered for and not found in their table: {lost:,}")


def comparison(figures: Iterable[Figure]) -> Table:
    """Return a table with a row for each load: ours, and the other side's better set-up."""
    table = Table(
        box=SIMPLE_HEAD, title="This server and what it is compared with, medians of the rounds"
    )
    for heading in ("case", "c", "ours", "other", "ratio"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for heading in ("p99 ms", "CPU µs", "errors"):
        table.add_column(f"{heading}\nours / other", justify="right")
    loads = defaultdict(dict)
    for figure in figures:
        loads[figure.case, figure.connections, figure.unit][figure.side] = figure
    for (case, connections, unit), sides in loads.items():
        ours = sides.pop(OURS, None)
        older = max(sides.values(), key=lambda figure: figure.rate, default=None)
        table.add_row(
            f"{case}, {unit}",
            str(connections),
            f"{ours.rate:,.0f}" if ours else "–",
            f"{older.rate:,.0f} ({older.side.removeprefix('older ')})" if older else "–",
            f"{ours.rate / older.rate:.2f}" if ours and older and older.rate else "–",
            pair(ours, older, "p99_ms", ".1f"),
            pair(ours, older, "cpu_us", ",.0f"),
            pair(ours, older, "errors", "d"),
        )
    return table


def pair(ours: Figure | None, older: Figure | None, name: str, form: str) -> str:
    """Return one member of both figures, side by side."""
    return " / ".join(format(getattr(f, name), form) if f else "–" for f in (ours, older))


def write_results(path: Path, *, figures: list[Figure], memory: dict[str, float], **run) -> None:
    """Write all figures of the table, and the machine they were measured on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        **run,
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "load_average_at_end": os.getloadavg(),
        },
        "memory_mib": {side: round(mib, 1) for side, mib in memory.items()},
        "figures": [asdict(figure) for figure in figures],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
