"""Cancel a thread's network waits from another thread, when their result is not needed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class _Cancellation:
    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()
        self._interrupts: list[Callable[[], None]] = []  # of the current waits

    def set(self) -> None:
        with self._lock:
            self.is_set = True
            for interrupt in self._interrupts:
                interrupt()

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            self._interrupts.append(interrupt)
        try:
            yield
        finally:
            with self._lock:
                self._interrupts.remove(interrupt)


_current: ContextVar[_Cancellation | None] = ContextVar("cancellation", default=None)


@contextmanager
def cancellable() -> Iterator[Callable[[], None]]:
    """Yield a function that cancels the block from any thread: its waits then time out."""
    cancellation = _Cancellation()
    token = _current.set(cancellation)
    try:
        yield cancellation.set
    finally:
        _current.reset(token)


def is_cancelled() -> bool:
    """Return whether the enclosing `cancellable` block was cancelled; False outside of one."""
    cancellation = _current.get()
    return cancellation is not None and cancellation.is_set


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `interrupt` on cancellation, to end the block's wait. Raises TimeoutError then."""
    cancellation = _current.get()
    if cancellation is None:
        yield
        return
    with cancellation.interrupting(interrupt):
        if not cancellation.is_set:
            try:
                yield
            except OSError:  # the interruption may look like one
                if not cancellation.is_set:
                    raise
    if cancellation.is_set:
        raise TimeoutError("cancelled")
