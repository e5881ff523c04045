"""Leases of requests that all workers share, in Redis.

Redis only distributes what the database has granted (accounts/limits/request_limits.py), so no
failure of it exceeds the limit. A lease that it loses is not granted again in that minute. While
it is unavailable (core/redis_client.py), each worker leases from the database for itself.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
from django.conf import settings

from accounts.limits.request_buckets import Bucket, Taken
from core import bridge, redis_client

# A lease has its own end; the key's expiry only removes it.
_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
_TAKE = (
    _NOW
    + """
local limit, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', KEYS[1], 'limit', 'free', 'rest', 'reset', 'ends')
if not held[1] then return {0, 0, 0, 0, 0, 0} end
local free = tonumber(held[2])
if tonumber(held[5]) <= now or tonumber(held[1]) ~= limit then
    redis.call('DEL', KEYS[1])
    return {0, 0, free, 0, held[4], 0}
end
local granted = math.min(free, wanted)
if granted > 0 then redis.call('HSET', KEYS[1], 'free', free - granted) end
return {1, granted, free - granted, held[3], held[4], held[5] - now}
"""
)
_PUT = (
    _NOW
    + """
local limit, free, rest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local reset, milliseconds = tonumber(ARGV[4]), tonumber(ARGV[5])
local ends = now + milliseconds
local held = redis.call('HMGET', KEYS[1], 'limit', 'free', 'rest', 'reset', 'ends')
if held[1] and tonumber(held[5]) > now then
    if tonumber(held[4]) > reset then return {0, 0} end
    if tonumber(held[4]) == reset and tonumber(held[1]) == limit then
        free, rest = free + held[2], math.min(rest, held[3])
        ends = math.min(ends, held[5])
    end
end
redis.call('HSET', KEYS[1], 'limit', limit, 'free', free, 'rest', rest, 'reset', reset,
    'ends', ends)
redis.call('PEXPIRE', KEYS[1], milliseconds + 1000)
return {free, rest}
"""
)


@dataclass(frozen=True, slots=True)
class Pooled:
    """What Redis granted; `taken` is None without a lease of this minute and limit.

    `stale` is the lease it had instead: a number of requests, and the end of their minute.
    """

    taken: Taken | None
    stale: tuple[int, int]


class RequestPool:
    """The leases in Redis. Each process has its own connection."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._pid, self._url = 0, ""

    async def take(self, wanted: Mapping[Bucket, int]) -> dict[Bucket, Pooled] | None:
        """Take requests from the shared leases; return None if Redis is unavailable."""
        if not settings.REDIS_URL or redis_client.presence.is_away:
            return None
        return await self._call(
            lambda: {bucket: self._take(bucket, count) for bucket, count in wanted.items()}
        )

    async def put(self, leased: Mapping[Bucket, Taken]) -> set[Bucket]:
        """Share the rest of new leases, and update them with what all workers have.

        Return the buckets that Redis refused. A lease whose fate is unknown is lost: used
        twice, it would exceed the limit.
        """
        limited = [(bucket, got) for bucket, got in leased.items() if got.limit is not None]
        if not limited:
            return set()
        return (
            await self._call(
                lambda: {bucket for bucket, got in limited if not self._put(bucket, got)}
            )
            or set()
        )

    async def _call(self, function: Callable[[], Any]) -> Any:
        """Return the function's result; None if Redis is unavailable.

        Runs in a thread of its own: those of requests may all be waiting for this.
        """
        if (self._pid, self._url) != (os.getpid(), settings.REDIS_URL):
            with self._starting:
                self._connect()
        if bridge.is_inline():
            return _attempt(function)
        return await asyncio.get_running_loop().run_in_executor(self._thread, _attempt, function)

    def _connect(self) -> None:
        client = redis_client.connect()
        self._take_script = client.register_script(_TAKE)
        self._put_script = client.register_script(_PUT)
        self._thread = ThreadPoolExecutor(1, "request-pool")
        self._pid, self._url = os.getpid(), settings.REDIS_URL

    def _take(self, bucket: Bucket, count: int) -> Pooled:
        answer = self._take_script([_key(bucket.holder)], [bucket.per_minute, count])
        is_current, granted, free, rest, reset, milliseconds = map(int, answer)
        if not is_current:
            return Pooled(None, (free, reset))
        taken = Taken(granted, bucket.per_minute, free, rest, reset, milliseconds)
        return Pooled(taken, (0, 0))

    def _put(self, bucket: Bucket, leased: Taken) -> bool:
        arguments = [leased.limit, leased.free, leased.rest, leased.reset, leased.milliseconds]
        try:
            answer = self._put_script([_key(bucket.holder)], arguments)
        except (redis.ResponseError, redis_client.Away):  # refused (such as OOM), or not sent
            return False
        leased.free, leased.rest = map(int, answer)
        return True


def _attempt(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except redis.RedisError:
        return None


def _key(holder: UUID) -> str:
    return f"{settings.DATABASE_SCHEMA}:requests:{holder}"


pool = RequestPool()
