"""Threads that call functions for an event loop.

For each call, `ThreadPoolExecutor` and asyncio keep two futures with locks of their own, which
takes one and a half times the processor time, and with eight concurrent calls three times.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Call = Callable[[], None]


class ThreadPool:
    """At most `size` threads, started as they are needed; further calls wait for one."""

    def __init__(self, size: int, *, name: str) -> None:
        self._size = size
        self._name = name
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._idle: deque[None] = deque()  # one for each thread that waits for a call
        self._starting = threading.Lock()
        self._started = 0
        self._is_ended = False

    def submit(self, call: Call) -> None:
        """Make the call, which must not raise, in a thread. Raises RuntimeError after `end`."""
        if self._is_ended:  # its task would wait forever
            raise RuntimeError("the threads have ended")
        try:
            self._idle.pop()
        except IndexError:
            self._start()
        self._calls.put(call)

    def end(self) -> None:
        """Let the threads end once they have made the submitted calls."""
        self._is_ended = True
        self._calls.put(None)

    def _start(self) -> None:
        with self._starting:
            if self._started == self._size:
                return
            self._started += 1
        threading.Thread(
            target=self._work, name=f"{self._name}_{self._started}", daemon=True
        ).start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # what it refers to may be large
            self._idle.append(None)
        self._calls.put(None)  # for the other threads


async def outcome(function: Callable[[], Any], submit: Callable[[Call], None]) -> Any:
    """Return the function's result, called in the thread of `submit`.

    If the task is canceled, the call may still be made.
    """
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def call() -> None:
        if future.cancelled():
            return
        result, error = _called(function)
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, future, result, error)

    submit(call)
    return await future


def _called(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    # In a frame of its own: an error's traceback keeps it, and the caller's refers to more.
    try:
        return function(), None
    except BaseException as error:  # for the task
        return None, error


def _deliver(future: asyncio.Future, result: Any, error: BaseException | None) -> None:
    if future.done():  # canceled
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
