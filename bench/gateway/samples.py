"""One round: each load on each target in turn, and what a call cost there."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial

from bench.gateway import loads
from bench.gateway.loads import CHUNKS, PACE_MS, Measured
from bench.gateway.targets import Target
from bench.load import run_wrk
from bench.measure import cpu_seconds, wait_until_idle
from bench.payloads import COSTED_LOG
from bench.request import post

CONNECTIONS = (1, 16, 64)
PACED = (100, 300, 500)
RATE = 50
BESIDE, BESIDE_PACES_MS = 300, (PACE_MS, 50)  # the pace of other loads, and one like models'


@dataclass(frozen=True)
class Load:
    """A load by name; `figures` compute its results by unit."""

    name: str
    make: Callable[[str, str, float], Coroutine[None, None, Measured]]
    figures: dict[str, Callable[[Measured], float]]
    is_direct: bool = False  # also run against the mock, whose figures are subtracted


def _closed(connections: int, stream: tuple[int, int] | None = None):
    return lambda url, token, seconds: loads.closed_loop(
        url, token, connections=connections, seconds=seconds, stream=stream
    )


def _paced(count: int):
    return lambda url, token, seconds: loads.paced_streams(url, token, count=count)


_FIRST = {"first chunk ms": Measured.first_chunk_ms}
_TOTAL = {"total ms": Measured.total_ms}
LOADS = (
    Load(
        f"chats at {RATE}/s",
        lambda url, token, seconds: loads.open_loop(url, token, rate=RATE, seconds=seconds),
        {"p50 ms": Measured.total_ms, "p99 ms": partial(Measured.total_ms, percent=99)},
        is_direct=True,
    ),
    *(
        Load(
            f"chats, {connections} connections",
            _closed(connections),
            {"req/s": lambda m: m.rate, "p99 ms": partial(Measured.total_ms, percent=99)},
        )
        for connections in CONNECTIONS
    ),
    Load("streams of 10, one at a time", _closed(1, (10, PACE_MS)), _FIRST, is_direct=True),
    Load("streams of 100, one at a time", _closed(1, (CHUNKS, PACE_MS)), _TOTAL, is_direct=True),
    Load("unpaced streams, 16 connections", _closed(16, (CHUNKS, 0)), {"req/s": lambda m: m.rate}),
    *(
        Load(
            f"{count} paced streams",
            _paced(count),
            _TOTAL | {"p99 of a chunk ms": partial(Measured.delay_ms, percent=99)},
            is_direct=True,
        )
        for count in PACED
    ),
)


@dataclass(frozen=True)
class Sample:
    """The results of one load on one target. CPU times are in microseconds per call."""

    load: str
    target: str
    figures: dict[str, float]
    failed: int
    cpu_us: float
    database_cpu_us: float


def sample(load: Load, target: Target, *, seconds: float) -> Sample:
    """Run the load; return its sample once the server is idle again."""
    before = _cpu(target)
    measured = loads.run(load.make(target.url, target.token, seconds))
    after = _cpu(target)
    calls = max(1, len(measured.answers))
    if target.pids:
        wait_until_idle(*target.pids)
    figures = {unit: figure(measured) for unit, figure in load.figures.items()}
    server, database = ((b - a) * 1e6 / calls for a, b in zip(before, after, strict=True))
    return Sample(load.name, target.name, figures, measured.failed, server, database)


def _cpu(target: Target) -> tuple[float, float]:
    server = cpu_seconds(target.pid) if target.pid else 0.0
    return server, cpu_seconds(target.postgres.pid) if target.postgres else 0.0


def log_beside_streams(target: Target, mock: Target, *, seconds: int) -> dict[str, float]:
    """Return the requests per second of `POST /log`, alone and beside streams; 16 connections.

    Streams directly from the mock show how much they and the load generator cost.
    """
    request = post("/api/v1/log", COSTED_LOG)
    options = {"url": target.side.url, "connections": 16, "seconds": seconds}
    quiet = run_wrk(request, **options)
    rates = {"alone": quiet.answered / quiet.seconds}
    for pace_ms in BESIDE_PACES_MS:
        for source in (mock, target):
            made = loads.running_streams(source.url, source.token, count=BESIDE, pace_ms=pace_ms)
            with made as streams:
                beside = run_wrk(request, **options)
            name = f"beside {BESIDE} streams of {source.name}, {pace_ms} ms between chunks"
            rates[name] = beside.answered / beside.seconds
            rates[f"{name}, failed"] = streams.failed
    return rates
