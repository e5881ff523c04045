"""Interleaved rounds: the servers take turns within a round, so that noise affects all alike."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.cases import Case
from bench.load import Load, run_wrk
from bench.measure import cpu_seconds, wait_until_idle
from bench.request import Request
from bench.side import Refused, Side

WARM_UP_SECONDS = 1
IDLE_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Sample:
    """One server under one load for a few seconds. `lost` counts answered, but missing rows."""

    case: Case
    connections: int
    side: str
    load: Load
    cpu_us: float  # processor time of server and PostgreSQL for one answer
    lost: int

    @property
    def rate(self) -> float:
        """Throughput in the case's unit."""
        return self.load.answered * self.case.rows / self.load.seconds


def ready(case: Case, side: Side) -> Request:
    """Return the case's request, once this side's answer `holds`. Raises NotServed, Refused.

    It is repeated for a while, as a server may still be loading the registry.
    """
    request = case.prepare(side)
    deadline = time.monotonic() + IDLE_TIMEOUT_SECONDS
    while not case.holds(answer := side.call(request)):
        if time.monotonic() > deadline:
            raise Refused(f"not what the case is about: {str(answer)[:200]}")
        time.sleep(0.5)
    return request


def measure(
    case: Case, requests: dict[Side, Request], *, rounds: int, seconds: int
) -> Iterator[Sample]:
    """Yield samples of one case, at every concurrency, in rounds of alternating order."""
    for side, request in requests.items():
        run_wrk(request, url=side.url, connections=case.concurrency[0], seconds=WARM_UP_SECONDS)
        wait_until_idle(side.pid, side.postgres.pid)
    seconds = max(seconds, case.least_seconds)
    for connections in case.concurrency:
        for number in range(rounds):
            turns = list(requests.items())
            for side, request in reversed(turns) if number % 2 else turns:
                yield sample(case, side, request, connections=connections, seconds=seconds)


def sample(case: Case, side: Side, request: Request, *, connections: int, seconds: int) -> Sample:
    """Return one sample, with the number of rows that were answered and not stored."""
    processes = side.pid, side.postgres.pid
    side.postgres.checkpoint()
    stored = side.postgres.count(case.table) if case.table else 0
    cpu = cpu_seconds(*processes)
    load = run_wrk(request, url=side.url, connections=connections, seconds=seconds)
    cpu = cpu_seconds(*processes) - cpu
    lost = 0
    if case.table:
        added = side.postgres.count(case.table) - stored
        lost = max(0, load.answered * case.rows - added)
    wait_until_idle(*processes)
    return Sample(
        case=case,
        connections=connections,
        side=side.name,
        load=load,
        cpu_us=cpu * 1e6 / max(1, load.answered),
        lost=lost,
    )
