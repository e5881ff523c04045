"""Keeping the memory of a threaded process from growing with its largest requests."""

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

# Names and numbers of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_128_KIB = 128 * 1024


def limit_retained_memory() -> None:
    """Make glibc return freed memory to the system, and share the rest among all threads.

    By default each thread may get an arena of its own, whose free memory no other thread can
    use, and freeing a large buffer raises the threshold below which buffers are not returned.
    Other C libraries do neither, and ignore or lack the call.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _128_KIB)
        mallopt(_M_TRIM_THRESHOLD, _128_KIB)


def release() -> None:
    """Free what a large request left behind, and return the memory to the system.

    Django's and DRF's requests and responses refer to each other: until the next garbage
    collection, many requests later, they keep body and results alive. Takes a few milliseconds
    if the objects that were loaded at the start are frozen.
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
    """Pause the garbage collector while many objects are created, none of them garbage.

    It would traverse all of them again and again, and stop every thread for seconds.
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


def gc_paused_for(body: bytes | str) -> AbstractContextManager:
    """Pause the garbage collector while a body is parsed, if it is large."""
    return gc_paused() if len(body) > _GC_PAUSE_BYTES else _NO_PAUSE
