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


def check_given_back(*, patience: float = 5) -> None:
    """Raises AssertionError when threads hold connections of the pool, or have ended with them.

    A connection that is being replaced counts as held: that ends within the patience, in seconds.
    """
    own = connections["default"]
    pool = type(own)._connection_pools.get("default")
    deadline = time.monotonic() + patience
    while pool is not None:
        found = pool.get_stats()
        held = found["pool_size"] - found["pool_available"] - (own.connection is not None)
        if held <= 0:
            return
        assert time.monotonic() < deadline, f"threads keep {held} connections (tests/threads.py)"
        time.sleep(0.01)
