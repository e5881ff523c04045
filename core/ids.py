"""Ids that carry their own time: UUIDv7 (RFC 9562, section 5.7, method 3).

Libraries fill the sub-millisecond bits with a counter. Here both directions are needed: the
id for a time (imported rows, range bounds), and the time of an id, exact to the microsecond.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # ids carry no earlier time
_VERSION_7 = 7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = (1 << 62) - 1
_MICROSECOND = timedelta(microseconds=1)
# Ids are unique, not secret: a system call for each would cost as much as the rest.
_generator = Random()
os.register_at_fork(after_in_child=_generator.seed)


def uuid7(at: datetime | None = None, *, random: int | None = None) -> UUID:
    """Return a new id for the time `at` (aware; default now).

    `random` (64 bits) fixes its random part.
    """
    microseconds = time.time_ns() // 1000 if at is None else _microseconds(at)
    if random is None:
        random = _generator.getrandbits(64)
    return UUID(int=_prefix(microseconds) | (random & _RANDOM_BITS))


def derived(at: datetime, name: bytes) -> UUID:
    """Return the id for the time `at` that the same name always has."""
    return uuid7(at, random=int.from_bytes(sha256(name).digest()[:8]))


def several(at: datetime, count: int) -> list[UUID]:
    """Return new ids for the time `at`, unordered; cheaper than one by one."""
    prefix, random = _prefix(_microseconds(at)), _generator.randbytes(8 * count)
    return [
        UUID(int=prefix | (int.from_bytes(random[n : n + 8]) & _RANDOM_BITS))
        for n in range(0, 8 * count, 8)
    ]


def lowest(at: datetime) -> UUID:
    """Return the smallest id of the time `at`: a half-open range bound."""
    return UUID(int=_prefix(_microseconds(at)))


def days_ago(days: int, *, now: datetime) -> datetime:
    """Return the time so many days ago, or the earliest that an id can carry."""
    return now - timedelta(days=min(days, (now - EPOCH).days))


def moment(id: UUID) -> datetime:
    """Return the time of an id, in UTC, to the microsecond."""
    milliseconds, fraction = id.int >> 80, (id.int >> 64) & 0xFFF
    return EPOCH + timedelta(microseconds=milliseconds * 1000 + (fraction * 1000 >> 12))


def _microseconds(at: datetime) -> int:
    return (at - EPOCH) // _MICROSECOND


def _prefix(microseconds: int) -> int:
    """Return the 128-bit value with time, version and variant set, and no random bits."""
    milliseconds, rest = divmod(microseconds, 1000)
    # Rounded up, so that the 12 bits turn back into the same microsecond.
    fraction = -(-(rest << 12) // 1000)
    return milliseconds << 80 | _VERSION_7 | fraction << 64 | _VARIANT
