"""Command line of the benchmark suite: `uv run python -m bench`."""

import shutil
import signal
import sys
import tempfile
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.cases import CASES, Case
from bench.environments import CACHE
from bench.measure import memory_mib
from bench.ours import our_server
from bench.peer import PINS, peer_servers
from bench.registry import served_registry
from bench.report import figures, show, write_results
from bench.request import Request
from bench.rounds import measure, ready
from bench.side import NotServed, Refused, Side

RESULTS = Path(__file__).with_name("results")


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only",
        type=chosen_cases,
        default=CASES,
        metavar="NAME,...",
        help=f"of: {', '.join(case.name for case in CASES)}",
    )
    parser.add_argument("--seconds", type=int, default=3, help="length of one sample (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each load (default 3)")
    parser.add_argument(
        "--registry", type=Path, metavar="DIR", help="registry files; default: a small made one"
    )
    parser.add_argument(
        "--peer-env",
        type=Path,
        default=CACHE / "peer",
        metavar="DIR",
        help="environment of the older server, made when missing (default %(default)s)",
    )
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument("--no-peer", action="store_true", help="measure this server alone")
    alone.add_argument(
        "--baseline",
        type=Path,
        metavar="DIR",
        help="compare with another checkout of this server, synced, instead of the older one",
    )
    alone.add_argument("--no-ours", action="store_true", help="measure the older server alone")
    parser.add_argument("--json", type=Path, help="results file; default: bench/results/TIME.json")
    return parser.parse_args()


def chosen_cases(names: str) -> tuple[Case, ...]:
    known = {case.name: case for case in CASES}
    if unknown := set(names.split(",")) - known.keys():
        raise ArgumentTypeError(f"no case {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(known[name] for name in names.split(","))


def start_sides(options: Namespace, stack: ExitStack) -> list[Side]:
    """Return all servers of the run, up and healthy, to be stopped with `stack`."""
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmring-bench-")))
    scratch.chmod(0o711)  # PostgreSQL runs as another account when we are root
    registry_url = stack.enter_context(served_registry(options.registry, scratch=scratch))
    sides = []
    if not options.no_ours:
        server = our_server(registry_url=registry_url, scratch=scratch)
        sides.append(stack.enter_context(server))
    if options.baseline:
        server = our_server(
            registry_url=registry_url,
            scratch=scratch,
            name="baseline",
            checkout=options.baseline.resolve(),
        )
        sides.append(stack.enter_context(server))
    elif not options.no_peer:
        servers = peer_servers(options.peer_env, registry_url=registry_url, scratch=scratch)
        sides += stack.enter_context(servers)
    return sides


def requests_for(case: Case, sides: list[Side], console: Console) -> dict[Side, Request]:
    """Return the requests for each side; print a line for a side that cannot be measured."""
    requests = {}
    for side in sides:
        try:
            requests[side] = ready(case, side)
        except NotServed:
            console.print(f"{case.name}: skipped on {side.name}, which does not serve it")
        except Refused as refusal:
            console.print(f"{case.name}: skipped on {side.name}: {refusal}", markup=False)
    return requests


def main() -> None:
    options, samples = arguments(), []
    console = Console(width=None if sys.stdout.isatty() else 120)
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed to make load; Debian and Homebrew have it under that name")
    # SIGTERM unwinds the stack as well, so that no server outlives the run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    with ExitStack() as stack:
        with console.status("starting servers"):
            sides = start_sides(options, stack)
        for number, case in enumerate(options.only, 1):
            with console.status(f"{case.title} ({number} of {len(options.only)})"):
                requests = requests_for(case, sides, console)
                samples += measure(case, requests, rounds=options.rounds, seconds=options.seconds)
        memory = {side.name: memory_mib(side.pid) for side in sides}
        database = sides[0].postgres.settings()
    measured = figures(samples)
    show(console, measured, memory)
    now = datetime.now(UTC)
    path = options.json or RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    write_results(
        path,
        figures=measured,
        memory=memory,
        finished_at=now.isoformat(),
        seconds=options.seconds,
        rounds=options.rounds,
        postgres=database,
        older_server=PINS,
    )
    console.print(f"Results: {path}")
    if lost := sum(figure.lost for figure in measured):
        sys.exit(f"{lost:,} rows that were answered for are not in their table")


if __name__ == "__main__":
    main()
