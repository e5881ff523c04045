"""Command line: `uv run python -m bench.gateway`."""

import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.environments import CACHE, ensure_environment
from bench.gateway import report, samples, targets
from bench.gateway.samples import LOADS, Sample
from bench.gateway.targets import Target
from bench.measure import memory_mib
from bench.registry import served_registry


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="length of one sample (3)")
    parser.add_argument("--rounds", type=int, default=2, help="samples of each load (2)")
    parser.add_argument(
        "--workers",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[2, 1],
        metavar="N,...",
        help="worker processes of each set-up; the ratio is that of our first (2,1)",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="loads with this in their names")
    parser.add_argument("--no-litellm", action="store_true", help="measure this server alone")
    parser.add_argument("--no-log", action="store_true", help="leave `POST /log` out")
    parser.add_argument(
        "--litellm-env",
        type=Path,
        default=CACHE / "litellm",
        metavar="DIR",
        help="environment of LiteLLM, made when missing (default %(default)s)",
    )
    return parser.parse_args()


def start_targets(options: Namespace, mock_url: str, scratch: Path, stack: ExitStack):
    """Return all servers of the run, up and healthy, to be stopped with `stack`."""
    registry_url = stack.enter_context(served_registry(None, scratch=scratch))
    where = {"mock_url": mock_url, "scratch": scratch}
    made = []
    for workers in options.workers:
        ours = targets.gateway(workers=workers, registry_url=registry_url, **where)
        made.append(stack.enter_context(ours))
    if not options.no_litellm:
        programs = ensure_environment(options.litellm_env, "litellm", targets.LITELLM)
        for workers in options.workers:
            other = targets.litellm(workers=workers, programs=programs, **where)
            made.append(stack.enter_context(other))
    return made


def mock_target(mock_url: str) -> Target:
    return Target(report.DIRECT, f"{mock_url}/v1", "sk-direct")


def measure(options: Namespace, mock_url: str, servers: list[Target]) -> list[Sample]:
    direct = mock_target(mock_url)
    chosen = [load for load in LOADS if options.only in load.name]
    for target in servers:
        samples.sample(LOADS[0], target, seconds=1)  # warm
    taken = []
    for number in range(options.rounds):
        for load in chosen:
            turns = [direct, *servers] if load.is_direct else [*servers]
            for target in reversed(turns) if number % 2 else turns:
                taken.append(samples.sample(load, target, seconds=options.seconds))
    return taken


def lost(mock_url: str, servers: list[Target], console: Console) -> int:
    """Print and return how many of our ledgers differ from what the mock counted."""
    differing = 0
    for target in (each for each in servers if each.postgres):
        stored, counted = targets.stored(target), targets.counted(mock_url, target)
        differing += stored != counted
        console.print(f"{target.name}: ledger {stored}, the mock counted {counted}")
    return differing


def main() -> None:
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 170)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmring-bench-")))
        scratch.chmod(0o711)  # PostgreSQL runs as another account when we are root
        mock_url = stack.enter_context(targets.mock_upstream(scratch))
        servers = start_targets(options, mock_url, scratch, stack)
        loads_before = os.getloadavg()
        taken = measure(options, mock_url, servers)
        console.print(report.table(report.medians(taken), servers))
        for target in servers:
            console.print(f"{target.name}: {memory_mib(target.pid):,.0f} MiB (PSS)")
        if not options.no_log and shutil.which("wrk"):
            ours = next(each for each in servers if each.postgres)
            for _ in range(options.rounds):
                beside = samples.log_beside_streams(
                    ours, mock_target(mock_url), seconds=int(options.seconds)
                )
                figures = ", ".join(f"{name}: {value:,.0f}" for name, value in beside.items())
                console.print(f"POST /log on {ours.name}: {figures}")
        time.sleep(1)  # the last streams' rows
        differing = lost(mock_url, servers, console)
    console.print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, load {loads_before[0]:.1f} before and "
        f"{os.getloadavg()[0]:.1f} at the end"
    )
    if not options.no_litellm:
        console.print(f"LiteLLM {targets.litellm_version(options.litellm_env / 'bin')}")
    if differing:
        sys.exit("the ledger is not what the upstream counted")


if __name__ == "__main__":
    main()
