"""Crossing between the event loop of the process and its threads.

The server's loop is the process's loop. A process without one (a management command,
a WSGI server, the tests) starts one in a thread when it first needs it. Nothing here
survives a fork: each process creates its own.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextvars import ContextVar, copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from django.db import connection

from core import thread_pool
from core.errors import DatabaseUnavailable
from core.thread_pool import Call, ThreadPool

# Threads that wait for the database or an upstream: bounded, and cheap while idle.
MAX_THREADS = 64
MAX_ON_LOOP = 64 * 1024  # bytes that the event loop parses, searches or writes at once

T = TypeVar("T")
_inline: ContextVar[bool] = ContextVar("inline", default=False)
_waiting: ContextVar["_WaitingThread | None"] = ContextVar("waiting", default=None)


class _Crossing:
    """The loop and the threads of one process."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.pid = os.getpid()
        self.threads = ThreadPool(MAX_THREADS, name="request")
        self.loop = loop or _loop_in_thread()

    @property
    def is_usable(self) -> bool:
        return self.pid == os.getpid() and self.loop.is_running()


def _loop_in_thread() -> asyncio.AbstractEventLoop:
    started: list[asyncio.AbstractEventLoop] = []
    ready = threading.Event()

    async def stay() -> None:
        started.append(asyncio.get_running_loop())
        ready.set()
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=[stay()], name="event-loop", daemon=True).start()
    ready.wait()
    return started[0]


_crossing: _Crossing | None = None
_starting = threading.Lock()


def adopt(loop: asyncio.AbstractEventLoop) -> None:
    """Use `loop`, which is running, as this process's loop."""
    global _crossing
    if _crossing is None or _crossing.loop is not loop or not _crossing.is_usable:
        _crossing = _Crossing(loop)


def release() -> None:
    """Let this process's threads end, once its loop has ended."""
    if _crossing is not None and _crossing.pid == os.getpid():
        _crossing.threads.end()


def _current() -> _Crossing:
    global _crossing
    if _crossing is None or not _crossing.is_usable:
        with _starting:
            if _crossing is None or not _crossing.is_usable:
                _crossing = _Crossing()
    return _crossing


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns. For threads; the loop's own must await it.

    Inside a transaction it runs in the calling thread, so that what it reads and writes
    belongs to that transaction; there it must not wait for anything but this module and
    the group writers. Raises DatabaseUnavailable when the loop ends before it does.
    """
    if connection.in_atomic_block:
        return run_inline(coroutine)
    return _WaitingThread().run(coroutine, _current().loop)


def run_inline(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns, running it in the calling thread without any loop."""
    token = _inline.set(True)
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value
    finally:
        _inline.reset(token)
        coroutine.close()
    raise RuntimeError("a coroutine waited inside a transaction")


def is_inline() -> bool:
    """Return whether the running coroutine belongs to a thread and its transaction."""
    return _inline.get()


async def in_thread(function: Callable[..., T], *args, **kwargs) -> T:
    """Return what the function returns, run in one of the process's bounded threads.

    Django's database connection goes back to its pool afterwards.
    """
    if _inline.get():
        return function(*args, **kwargs)
    call = partial(copy_context().run, with_connection, partial(function, *args, **kwargs))
    waiting = _waiting.get()
    threads = waiting if waiting and waiting.is_for_this_task() else _current().threads
    return await thread_pool.outcome(call, threads.submit)


async def in_thread_if_large(size: int, function: Callable[..., T], *args, **kwargs) -> T:
    """Return what the function makes of so many bytes; of more than MAX_ON_LOOP in a thread."""
    if size > MAX_ON_LOOP:
        return await in_thread(function, *args, **kwargs)
    return function(*args, **kwargs)


class _WaitingThread:
    """A thread that waits for a coroutine, and meanwhile makes the calls that it hands over.

    If the coroutine used the pool instead, all of the pool's threads could be waiting for
    such coroutines.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._task: asyncio.Task | None = None

    def run(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
        """Return what the coroutine returns. Raises DatabaseUnavailable when the loop ends."""
        token = _waiting.set(self)
        try:
            future = asyncio.run_coroutine_threadsafe(self._noting_task(coroutine), loop)
        finally:
            _waiting.reset(token)
        future.add_done_callback(lambda done: self._calls.put(None))
        while True:
            try:
                call = self._calls.get(timeout=1)
            except Empty:
                if not loop.is_running():
                    raise DatabaseUnavailable from None
                continue
            if call is None:
                break
            call()
        try:
            return future.result()
        except CancelledError:
            raise DatabaseUnavailable from None

    async def _noting_task(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self._task = asyncio.current_task()
        return await coroutine

    def is_for_this_task(self) -> bool:
        """Return whether the thread waits for the current task; other tasks inherit its context."""
        return asyncio.current_task() is self._task

    def submit(self, call: Call) -> None:
        """Have the thread make the call."""
        self._calls.put(call)


def with_connection(function: Callable[[], T]) -> T:
    """Call the function and return Django's connection to its pool; return the result."""
    try:
        return function()
    finally:
        connection.close()
