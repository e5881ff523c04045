"""The parts of a body as one, without holding up the event loop."""

from core import bridge

# More takes the loop some milliseconds. Above this size Python copies without its lock.
_MAX_COPIED_ON_LOOP = 1024 * 1024


async def join(parts: list[bytes]) -> bytes:
    """Return the parts as one. Many bytes are copied in a thread."""
    if len(parts) == 1:
        return parts[0]
    if sum(map(len, parts)) > _MAX_COPIED_ON_LOOP:
        return await bridge.in_thread(b"".join, parts)
    return b"".join(parts)
