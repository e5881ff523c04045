"""Threads that make requests of the application.

Django's connections are those of threads. One that ends with its own keeps it from the pool
of the process, where later tests miss it.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import TypeVar

from django.db import connections

Result = TypeVar("Result")


def giving_back(call: Callable[..., Result]) -> Callable[..., Result]:
    """The function, which gives the connections of its thread back at the end."""

    @wraps(call)
    def run(*arguments, **named) -> Result:
        try:
            return call(*arguments, **named)
        finally:
            connections.close_all()

    return run


def at_once(*calls: Callable[[], Result]) -> list[Result]:
    """What the calls return that as many threads make at one moment.

    Raises what the first of them raised that failed, once all have ended.
    """
    ready = threading.Barrier(len(calls))

    def run(call: Callable[[], Result]) -> Result:
        ready.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(giving_back(run), calls))


def held_by_threads() -> int:
    """How many connections of the pool other threads hold, or have ended with."""
    own = connections["default"]
    pool = type(own)._connection_pools.get("default")
    if pool is None:
        return 0
    found = pool.get_stats()
    return found["pool_size"] - found["pool_available"] - (own.connection is not None)


def check_given_back(held_before: int) -> None:
    """Raises AssertionError when threads hold more connections than before.

    A connection that is being replaced counts as held: that ends soon.
    """
    deadline = time.monotonic() + 5
    while (held := held_by_threads()) > held_before:
        text = f"threads keep {held - held_before} connections (tests/threads.py)"
        assert time.monotonic() < deadline, text
        time.sleep(0.01)
