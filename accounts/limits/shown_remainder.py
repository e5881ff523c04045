"""What X-RateLimit-Remaining has shown, so that no worker of this machine shows more later.

Workers learn at different times what others have leased: without this, the figure would
rise and fall from one connection to the next. It decides nothing.
"""

import mmap
from uuid import UUID

_SLOTS = 1 << 14
# Made before workers are forked, and shared by them. A slot is one word, written at once:
# 32 bits that tell the window, 32 of what was shown for it.
_memory = mmap.mmap(-1, 8 * _SLOTS)
_words = memoryview(_memory).cast("Q")
_LOW = 0xFFFF_FFFF


def forget() -> None:
    """Forget what was shown, as a machine that has just started."""
    _memory[:] = bytes(8 * _SLOTS)


def window(holder: UUID, limit: int, reset: int) -> tuple[int, int]:
    """Return how `lowest` identifies a window: its slot, and a tag that differs from others'."""
    digest = hash((holder.int, limit, reset))
    return (digest >> 32) % _SLOTS, (digest & _LOW) or 1


def lowest(window: tuple[int, int], remaining: int) -> int:
    """Return `remaining`, or what was shown of this window before if that is less."""
    slot, tag = window
    word = _words[slot]
    if word >> 32 == tag:
        remaining = min(remaining, word & _LOW)
    _words[slot] = tag << 32 | remaining
    return remaining
