"""Memory of a threaded process, which would otherwise grow with its largest requests."""

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

# Names and numbers of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_128_KIB = 128 * 1024


def limit_retained_memory() -> None:
    """Make glibc return freed memory to the system, and share what it keeps among all threads.

    By default each thread may get an arena of its own, whose free memory no other
    thread can use, and freeing the first large buffer raises the size up to which buffers
    are never returned. Other C libraries do neither; they ignore the call or lack it.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _128_KIB)
        mallopt(_M_TRIM_THRESHOLD, _128_KIB)


def release() -> None:
    """Free what a large request left behind, and return it to the system.

    Requests and responses of Django and DRF refer to each other: without a collection
    they stay, with body and results, until many more have come. Takes a few milliseconds
    where the objects of the start are frozen.
    """
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


_GC_PAUSE_BYTES = 64 * 1024
_NO_PAUSE = nullcontext()
_pausing = threading.Lock()
_pauses = 0
_was_enabled = True


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector while many objects are made, none of them garbage.

    It would look at all of them again and again, and hold up every thread for seconds.
    """
    global _pauses, _was_enabled
    with _pausing:
        if not _pauses:
            _was_enabled = gc.isenabled()
        _pauses += 1
        gc.disable()
    try:
        yield
    finally:
        with _pausing:
            _pauses -= 1
            if not _pauses and _was_enabled:
                gc.enable()


def gc_paused_for(body: bytes) -> AbstractContextManager:
    """Pause the garbage collector while a body is read that may be many objects."""
    return gc_paused() if len(body) > _GC_PAUSE_BYTES else _NO_PAUSE
