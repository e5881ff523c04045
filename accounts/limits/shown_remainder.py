"""The lowest X-RateLimit-Remaining so far, shared by the workers of this machine.

Workers learn at different times what others have leased: without this, the header would rise
and fall from one connection to the next. It decides nothing.
"""

import mmap
from uuid import UUID

_SLOTS = 1 << 14
# Created before workers are forked, and shared by them. A slot is one word, written atomically:
# 32 bits identify the window, 32 are the value that was shown for it.
_memory = mmap.mmap(-1, 8 * _SLOTS)
_words = memoryview(_memory).cast("Q")
_LOW = 0xFFFF_FFFF


def forget() -> None:
    """Clear all slots, for tests."""
    _memory[:] = bytes(8 * _SLOTS)


def window(holder: UUID, limit: int, reset: int) -> tuple[int, int]:
    """Return slot and tag of a window, for `lowest`."""
    digest = hash((holder.int, limit, reset))
    return (digest >> 32) % _SLOTS, (digest & _LOW) or 1


def lowest(window: tuple[int, int], remaining: int) -> int:
    """Return `remaining`, or the value that was shown for this window if that is lower."""
    slot, tag = window
    word = _words[slot]
    if word >> 32 == tag:
        remaining = min(remaining, word & _LOW)
    _words[slot] = tag << 32 | remaining
    return remaining
