"""Threads for an event loop: how many there are, and what their calls come to."""

import asyncio
import gc
import threading
import weakref

import pytest

from core.thread_pool import ThreadPool, outcome

SECONDS = 20


@pytest.fixture
def pool():
    pool = ThreadPool(3, name="tested")
    yield pool
    end(pool)


def end(pool: ThreadPool) -> None:
    pool.end()
    for thread in threads():
        thread.join(SECONDS)
    assert not threads()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("tested_")]


def test_results_and_errors_come_back(pool):
    async def story():
        assert await outcome(lambda: threading.current_thread().name, pool.submit) == "tested_1"
        for error in (ValueError("no"), SystemExit(3)):

            def fail(error=error):
                raise error

            with pytest.raises(type(error)) as raised:
                await outcome(fail, pool.submit)
            assert raised.value is error

    asyncio.run(story())


def test_threads_are_started_as_they_are_needed_and_no_more(pool):
    async def story():
        await outcome(lambda: None, pool.submit)
        assert len(threads()) == 1
        for _ in range(10):
            await outcome(lambda: None, pool.submit)
        assert len(threads()) < 3  # a second one if the first had not yet come back
        three_at_once = threading.Barrier(3, timeout=SECONDS)
        calls = [outcome(three_at_once.wait, pool.submit) for _ in range(30)]
        assert sorted(await asyncio.gather(*calls)) == sorted([0, 1, 2] * 10)
        assert len(threads()) == 3

    asyncio.run(story())


def test_call_of_a_task_that_was_canceled_is_not_begun(pool):
    made = []

    async def story():
        is_over = threading.Event()
        busy = [asyncio.ensure_future(outcome(is_over.wait, pool.submit)) for _ in range(3)]
        late = asyncio.ensure_future(outcome(lambda: made.append("late"), pool.submit))
        await asyncio.sleep(0)
        busy[0].cancel()  # its thread goes on
        late.cancel()
        is_over.set()
        await asyncio.gather(*busy, late, return_exceptions=True)
        await outcome(lambda: made.append("last"), pool.submit)

    asyncio.run(story())
    assert made == ["last"]


def test_idle_threads_keep_nothing(pool):
    class Large:
        pass

    async def story():
        large = Large()
        left = weakref.ref(large)
        assert await outcome(lambda kept=large: kept, pool.submit) is large
        del large
        async with asyncio.timeout(SECONDS):
            while left() is not None:
                gc.collect()
                await asyncio.sleep(0)

    asyncio.run(story())


def test_threads_end(pool):
    async def story():
        both = threading.Barrier(2, timeout=SECONDS)
        await asyncio.gather(*(outcome(both.wait, pool.submit) for _ in range(2)))

    asyncio.run(story())
    assert len(threads()) == 2
    end(pool)
    with pytest.raises(RuntimeError):
        asyncio.run(outcome(lambda: None, pool.submit))
