"""Keeps the memory of a process with many threads from growing for ever."""

import ctypes
from contextlib import suppress

_M_ARENA_MAX = -8  # malloc.h


def use_few_arenas() -> None:
    """Let all threads allocate from two of glibc's arenas instead of eight for each core.

    What a large request frees in its thread's own arena no other thread can use:
    64 threads would keep 64 times the largest request. Other C libraries have no
    such arenas, and ignore the call or lack it.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
