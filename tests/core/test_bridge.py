"""Crossings between threads and the event loop, as many at once as there are threads."""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from core import bridge
from core.errors import DatabaseUnavailable


async def name_of_thread() -> str:
    return await bridge.in_thread(lambda: threading.current_thread().name)


def test_threads_that_all_wait_for_the_loop_serve_what_it_hands_back():
    """As views do whose endpoints look something up: no thread may be left to do it."""
    all_wait = threading.Barrier(bridge.MAX_THREADS, timeout=20)

    def view() -> bool:
        all_wait.wait()
        return bridge.run(name_of_thread()) == threading.current_thread().name

    async def all_views() -> list[bool]:
        calls = [bridge.in_thread(view) for _ in range(2 * bridge.MAX_THREADS)]
        return await asyncio.wait_for(asyncio.gather(*calls), 30)

    async def from_a_task_of_the_loop() -> list[bool]:
        return await asyncio.create_task(all_views())

    assert all(bridge.run(from_a_task_of_the_loop()))


def test_what_fails_in_the_waiting_thread_fails_there():
    def fail() -> None:
        raise DatabaseUnavailable

    async def story() -> str:
        with pytest.raises(DatabaseUnavailable):
            await bridge.in_thread(fail)
        return await name_of_thread()

    assert bridge.run(story()) == threading.current_thread().name


@pytest.mark.slow  # a thread looks for the loop once a second
@pytest.mark.parametrize("cancels", [True, False], ids=["canceling its tasks", "stopped"])
def test_a_thread_does_not_wait_for_a_loop_that_has_ended(monkeypatch, cancels):
    monkeypatch.setattr(bridge, "_crossing", None)
    loop = asyncio.new_event_loop()
    bridge.adopt(loop)
    calls: list[Future] = []

    async def wait_forever() -> None:
        loop.stop()
        await asyncio.Event().wait()

    def cancel_all() -> None:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks))

    with ThreadPoolExecutor() as threads:
        loop.call_soon(lambda: calls.append(threads.submit(bridge.run, wait_forever())))
        loop.run_forever()
        if cancels:
            cancel_all()
        with pytest.raises(DatabaseUnavailable):
            calls[0].result(20)
    if not cancels:
        cancel_all()
    loop.close()


def test_a_task_that_outlives_its_caller_has_threads_too():
    """A group writer's task begins in the context of whoever writes first."""
    left: list[asyncio.Task] = []

    async def begin() -> None:
        left.append(asyncio.create_task(name_of_thread()))

    async def end() -> str:
        return await left[0]

    bridge.run(begin())
    assert bridge.run(end()).startswith("request")
