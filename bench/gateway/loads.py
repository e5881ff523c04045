"""The loads: calls at a fixed rate, calls one after the other, paced streams."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles

import uvloop

from bench.gateway.connection import Answer, Connection, ConnectionClosed, chat, connect

CHUNKS, PACE_MS = 100, 10
STREAM_TIMEOUT_SECONDS = 120


@dataclass(slots=True)
class Measured:
    """The answers of one load, and the number of its failed calls."""

    seconds: float
    answers: list[Answer] = field(default_factory=list)
    failed: int = 0

    @property
    def rate(self) -> float:
        return len(self.answers) / self.seconds

    def total_ms(self, percent: int = 50) -> float:
        return percentile([answer.total_ms for answer in self.answers], percent)

    def first_chunk_ms(self, percent: int = 50) -> float:
        return percentile([answer.first_chunk_ms() for answer in self.answers], percent)

    def delay_ms(self, percent: int) -> float:
        return percentile([ms for answer in self.answers for ms in answer.delays_ms()], percent)


def percentile(values: list[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else float("nan")
    return median(values) if percent == 50 else quantiles(values, n=100)[percent - 1]


def run(load: Coroutine[None, None, Measured]) -> Measured:
    """Run the load on an event loop of its own."""
    return uvloop.run(load)


async def open_loop(url: str, token: str, *, rate: int, seconds: float) -> Measured:
    """Send `rate` calls per second, whether or not earlier ones are answered."""
    request, free, measured = chat(url, token), [], Measured(seconds)
    loop = asyncio.get_running_loop()
    started, tasks = loop.time(), []

    async def one() -> None:
        connection = free.pop() if free else await connect(url)
        if await _call(connection, request, measured):
            free.append(connection)

    for number in range(int(rate * seconds)):
        await asyncio.sleep(started + number / rate - loop.time())
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    _close(free)
    return measured


async def closed_loop(
    url: str, token: str, *, connections: int, seconds: float, stream: tuple[int, int] | None = None
) -> Measured:
    """Send the next call on each connection when the last was answered."""
    request, measured = chat(url, token, stream=stream), Measured(seconds)
    chunks = stream[0] if stream else None
    opened = [await connect(url) for _ in range(connections)]
    started = time.monotonic()

    async def repeat(connection: Connection) -> None:
        while time.monotonic() < started + seconds:
            if not await _call(connection, request, measured, chunks=chunks):
                connection = await connect(url)
        connection.close()

    await asyncio.gather(*map(repeat, opened))
    measured.seconds = time.monotonic() - started
    return measured


async def paced_streams(url: str, token: str, *, count: int) -> Measured:
    """Run `count` streams at once, their starts spread over the duration of one."""
    request, measured = chat(url, token, stream=(CHUNKS, PACE_MS)), Measured(0)
    opened = [await connect(url) for _ in range(count)]
    begun = time.monotonic()

    async def one(number: int) -> None:
        await asyncio.sleep(number / count * CHUNKS * PACE_MS / 1000)
        await _call(opened[number], request, measured, chunks=CHUNKS)

    await asyncio.gather(*map(one, range(count)))
    measured.seconds = time.monotonic() - begun
    _close(opened)
    return measured


@contextmanager
def running_streams(url: str, token: str, *, count: int, pace_ms: int) -> Iterator[Measured]:
    """Keep `count` paced streams running in a thread, for the whole block."""
    measured, stopped = Measured(0), threading.Event()
    request = chat(url, token, stream=(CHUNKS, pace_ms))

    async def one(number: int) -> None:
        connection = await connect(url)
        await asyncio.sleep(number / count)
        while not stopped.is_set():
            if not await _call(connection, request, measured, chunks=CHUNKS):
                connection = await connect(url)
        connection.close()

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, range(count)))

    thread = threading.Thread(target=uvloop.run, args=[all_of_them()])
    thread.start()
    stopped.wait(2)  # until all are under way
    try:
        yield measured
    finally:
        stopped.set()
        thread.join()


async def _call(
    connection: Connection, request: bytes, measured: Measured, *, chunks: int | None = None
) -> bool:
    """Make a call and record its answer; return whether the connection can be used again.

    A stream without all of its chunks and its end has failed.
    """
    try:
        async with asyncio.timeout(STREAM_TIMEOUT_SECONDS):
            answer = await connection.call(request)
    except (ConnectionClosed, TimeoutError):
        measured.failed += 1
        connection.close()
        return False
    if answer.is_ok and (chunks is None or answer.is_whole_stream(chunks)):
        measured.answers.append(answer)
    else:
        measured.failed += 1
    return True


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()
