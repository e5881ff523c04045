"""Requests per minute, counted once for all workers and machines.

Minutes are those of the database's clock; a worker only measures how long one still lasts.
The database grants a minute's requests in leases, so that most requests write nothing:

- Without Redis each worker has leases of its own, a thirtieth of the limit each. The limit
  is never exceeded; what other workers have leased and do not use is the error, less than
  a thirtieth of the limit for each of them.
- With Redis all workers share the leases (accounts/limits/request_pool.py), so that every request
  of the limit is granted.

A lease belongs to the limit it was made for. When the limit changes, the rest of the lease is
returned, and the database decides again.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

from accounts.limits import LimitExceeded, RateLimitStatus, shown_remainder
from accounts.limits.request_buckets import Bucket, Taken
from accounts.limits.request_pool import Pooled, pool
from core import bridge, json_writer
from core.database.group_commit import Execute, GroupWriter

# A lease is this fraction of a minute's limit: for one worker, and for all through Redis.
_OWN_SHARE, _POOL_SHARE = 30, 10
_MAX_LEASES = 100_000
# How long, and how often, to wait until a lease that was granted is in Redis.
_IN_FLIGHT_SECONDS, _IN_FLIGHT_LOOKS = 0.02, 5
_TAKE = """
SELECT granted, per_minute, rest, extract(epoch FROM this_minute)::bigint, milliseconds
FROM json_to_recordset(%s::json) AS wanted(bucket uuid, address_limit integer, waiting integer,
    share integer, returned integer, returned_minute timestamptz),
LATERAL take_requests(bucket, address_limit, waiting, share, returned, returned_minute)
"""


@dataclass(slots=True)
class _Lease:
    """This worker's share of a bucket's minute, and what it knows of the others'."""

    limit: int
    free: int
    others: int  # left besides, when this worker asked last
    reset: int  # Unix seconds
    ends: float  # of time.monotonic(), never after the minute
    over: float  # never before it
    window: tuple[int, int]  # accounts/limits/shown_remainder.py

    @classmethod
    def of(cls, bucket: Bucket, taken: Taken, *, asked_at: float, free: int) -> "_Lease":
        seconds = taken.milliseconds / 1000
        return cls(
            taken.limit,
            free,
            taken.left - free,
            taken.reset,
            ends=asked_at + seconds,
            over=time.monotonic() + seconds,
            window=shown_remainder.window(bucket.holder, taken.limit, taken.reset),
        )

    def status(self, remaining: int) -> RateLimitStatus:
        return RateLimitStatus(
            self.limit, shown_remainder.lowest(self.window, remaining), self.reset
        )

    def refusal(self, bucket: Bucket) -> LimitExceeded:
        seconds = self.over - time.monotonic()
        return LimitExceeded(bucket.what, limit=self.limit, reset=self.reset, seconds=seconds)


_leases: dict[UUID, _Lease] = {}
_changing = threading.Lock()  # threads and the event loop use the leases

Outcome = RateLimitStatus | LimitExceeded | None


def take_now(bucket: Bucket) -> RateLimitStatus | None:
    """Count a request by this worker's lease; return None if the database has to be asked.

    Raises LimitExceeded.
    """
    with _changing:
        lease = _leases.get(bucket.holder)
        if lease is None or lease.limit != bucket.per_minute or time.monotonic() >= lease.ends:
            return None
        if lease.free:
            lease.free -= 1
            return lease.status(lease.free + lease.others)
        if lease.others:
            return None
    raise lease.refusal(bucket)


async def take(bucket: Bucket) -> RateLimitStatus | None:
    """Count a request; return the status, None if there is no longer a limit.

    Raises LimitExceeded, and DatabaseUnavailable: without counting, nothing is admitted.
    """
    outcome = take_now(bucket) or await _taker.write(bucket)
    if isinstance(outcome, LimitExceeded):
        raise outcome
    return outcome


def take_in_thread(bucket: Bucket) -> RateLimitStatus | None:
    """Count a request like `take`, from a thread."""
    return take_now(bucket) or bridge.run(take(bucket))


def forget() -> None:
    """Drop all leases, for tests."""
    with _changing:
        _leases.clear()


async def _take_group(execute: Execute, buckets: list[Bucket]) -> list[Outcome]:
    """Count a request for each of the buckets; return the outcomes in order."""
    waiting, asked_at = Counter(buckets), time.monotonic()
    pooled = await pool.take(waiting)
    if pooled is None:
        taken = await _lease(execute, waiting, share=_OWN_SHARE)
        return _outcomes(buckets, taken, asked_at, own=set(taken))
    taken, own = await _complete(execute, waiting, pooled)
    return _outcomes(buckets, taken, asked_at, own=own)


async def _lease(
    execute: Execute,
    waiting: Mapping[Bucket, int],
    *,
    share: int,
    returned: Mapping[Bucket, tuple[int, int]] = MappingProxyType({}),
) -> dict[Bucket, Taken]:
    """Lease requests from the database, and return this worker's unused ones.

    `returned` are others to return: a number of requests, and the end of their minute.
    """
    buckets = sorted(waiting, key=lambda bucket: bucket.holder)  # as they are locked
    wanted = []
    for bucket in buckets:
        with _changing:
            own = _leases.pop(bucket.holder, None)
        back = returned.get(bucket) or (own and (own.free, own.reset)) or (0, 0)
        wanted.append(
            {
                "bucket": bucket.holder,
                "address_limit": bucket.per_minute if bucket.is_address else None,
                "waiting": waiting[bucket],
                "share": share,
                "returned": back[0],
                "returned_minute": datetime.fromtimestamp(max(back[1] - 60, 0), UTC),
            }
        )
    rows = await execute(_TAKE, [json_writer.dumps(wanted).decode()])
    taken = {}
    for bucket, row in zip(buckets, rows, strict=True):
        granted, limit, rest, minute, milliseconds = row
        used = min(granted, waiting[bucket])
        reset = (minute or 0) + 60
        taken[bucket] = Taken(used, limit, granted - used, rest or 0, reset, milliseconds or 0)
    return taken


async def _complete(
    execute: Execute, waiting: Mapping[Bucket, int], pooled: Mapping[Bucket, Pooled]
) -> tuple[dict[Bucket, Taken], set[Bucket]]:
    """Lease what the shared leases lacked from the database, and take from it.

    Returns what was taken, and of which buckets this worker keeps what is left.
    """
    taken = {bucket: got.taken for bucket, got in pooled.items() if got.taken}
    short = {
        bucket: count - (taken[bucket].granted if bucket in taken else 0)
        for bucket, count in waiting.items()
        if bucket not in taken or taken[bucket].rest
    }
    short = {bucket: count for bucket, count in short.items() if count}
    if not short:
        return taken, set()
    stale = {bucket: got.stale for bucket, got in pooled.items() if got.stale[0]}
    leased = await _lease(execute, short, share=_POOL_SHARE, returned=stale)
    late = {
        bucket: short[bucket] - more.granted
        for bucket, more in leased.items()
        if more.limit is not None and more.granted < short[bucket]
    }
    none = {bucket for bucket in late if not leased[bucket].granted}
    own = await pool.put({bucket: more for bucket, more in leased.items() if bucket not in none})
    _add(taken, leased)
    await _take_what_others_share(taken, late)
    return taken, own


async def _take_what_others_share(taken: dict[Bucket, Taken], late: dict[Bucket, int]) -> None:
    """Take from the last leases, which other workers got and may be about to share.

    Redis has all of them once it knows that the database has no more; after a while this worker
    reports that.
    """
    for _ in range(_IN_FLIGHT_LOOKS):
        if not late or bridge.is_inline():
            break
        await asyncio.sleep(_IN_FLIGHT_SECONDS)
        again = await pool.take(late) or {}
        found = {bucket: got.taken for bucket, got in again.items() if got.taken}
        missing = {bucket: late[bucket] - got.granted for bucket, got in found.items()}
        late = {bucket: count for bucket, count in missing.items() if count and found[bucket].rest}
        _add(taken, found)
    await pool.put({bucket: taken[bucket].without_rest() for bucket in late})


def _add(taken: dict[Bucket, Taken], more: Mapping[Bucket, Taken]) -> None:
    """Add what was granted later."""
    for bucket, later in more.items():
        if bucket in taken:
            later.granted += taken[bucket].granted
        taken[bucket] = later


def _outcomes(
    buckets: Iterable[Bucket],
    taken: Mapping[Bucket, Taken],
    asked_at: float,
    *,
    own: Collection[Bucket],
) -> list[Outcome]:
    """Return the outcome of each request; keep the rest of this worker's own leases."""
    leases = {
        bucket: _Lease.of(bucket, got, asked_at=asked_at, free=got.free if bucket in own else 0)
        for bucket, got in taken.items()
        if got.limit is not None
    }
    with _changing:
        if len(_leases) >= _MAX_LEASES:
            _leases.clear()
        _leases.update({bucket.holder: lease for bucket, lease in leases.items()})
        # While the lock is held: the leases may be used at once.
        left = {bucket: taken[bucket].granted for bucket in leases}
        outcomes: list[Outcome] = []
        for bucket in buckets:
            lease = leases.get(bucket)
            if lease is None:
                outcomes.append(None)
            elif left[bucket]:
                left[bucket] -= 1
                outcomes.append(lease.status(left[bucket] + taken[bucket].left))
            else:
                outcomes.append(lease.refusal(bucket))
    return outcomes


_taker = GroupWriter(_take_group)
