"""Limits of attempts, counted in the database and so for all workers together.

    attempts.take("login", address, limit=30)      raises TooManyAttempts

A bucket has a window of 15 minutes, which begins with its first attempt and ends by the
database's clock: attempts during a lock do not prolong it. The libraries for Django count in
its cache, which without Redis is each process's own, or restart the lock at each failure.
"""

import hashlib
import math

from django.db import connection
from django.http import HttpRequest

from accounts.client_networks import client_network
from core.errors import DomainError

WINDOW_SECONDS = 900
PER_ADDRESS = 30  # requests of one kind in a window from one address
_PRUNED = 20  # old counts that one attempt deletes at most


class TooManyAttempts(DomainError):
    """The bucket is full. The message does not depend on what was tried."""

    status_code = 429
    code = "too_many_attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many attempts; try again later")
        self.headers = {"Retry-After": str(retry_after)}


def take(*name: str, limit: int) -> bytes:
    """Count an attempt and return its bucket, for `give_back`. Raises TooManyAttempts.

    Counted before the attempt is made, so that parallel ones do not exceed the limit.
    """
    bucket = _bucket(name)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO attempt_counts AS c (bucket, attempts, window_ends_at)
            VALUES (%(bucket)s, 1, clock_timestamp() + make_interval(secs => %(seconds)s))
            ON CONFLICT (bucket) DO UPDATE SET
                attempts = CASE WHEN c.window_ends_at <= clock_timestamp() THEN 1
                    ELSE least(c.attempts + 1, %(limit)s + 1) END,
                window_ends_at = CASE WHEN c.window_ends_at <= clock_timestamp()
                    THEN excluded.window_ends_at ELSE c.window_ends_at END
            RETURNING attempts, extract(epoch FROM window_ends_at - clock_timestamp())
            """,
            {"bucket": bucket, "seconds": WINDOW_SECONDS, "limit": limit},
        )
        attempts, seconds = cursor.fetchone()
        if attempts == 1:
            _prune(cursor)
    if attempts > limit:
        raise TooManyAttempts(max(math.ceil(seconds), 1))
    return bucket


def take_of_address(request: HttpRequest, name: str) -> None:
    """Count an attempt of the client's address. Raises TooManyAttempts."""
    take(name, client_network(request), limit=PER_ADDRESS)


def give_back(*buckets: bytes) -> None:
    """Uncount attempts that succeeded: only failures count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE attempt_counts SET attempts = greatest(attempts - 1, 0) WHERE bucket = ANY(%s)",
            [sorted(buckets)],
        )


def _bucket(name: tuple[str, ...]) -> bytes:
    # A digest: people type passwords into the wrong field.
    return hashlib.sha256("\n".join(name).encode("utf-8", "surrogateescape")).digest()


def _prune(cursor) -> None:
    cursor.execute(
        """
        DELETE FROM attempt_counts WHERE id IN (
            SELECT id FROM attempt_counts WHERE window_ends_at < now() - interval '1 hour'
            LIMIT %s FOR UPDATE SKIP LOCKED
        )
        """,
        [_PRUNED],
    )
