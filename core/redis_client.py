"""The Redis client, which sends nothing to a Redis that is unavailable.

A Redis that hangs costs a timeout, in a thread that other requests need. After the first
failure, every command of this process fails at once, until a background thread sees that Redis
stores values again. So no request waits twice.
"""

import logging
import os
import threading
import time

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

logger = logging.getLogger(__name__)

_PROBE_SECONDS = 1


class Presence:
    """Whether this process can use the Redis of the settings."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._of = (0, "")  # process and address that the reason applies to
        self._reason: str | None = None

    @property
    def is_away(self) -> bool:
        return self._reason is not None and self._of == _here()

    def lose(self, error: redis.RedisError) -> None:
        """Stop using Redis, and start a thread that waits for its return."""
        here, reason = _here(), type(error).__name__
        with self._changing:
            if self.is_away:
                return
            self._of, self._reason = here, reason
        logger.warning("Redis is away, the server goes on without it: %s (%s)", reason, error)
        probe = threading.Thread(
            target=self._await_return, args=[here], name="redis-probe", daemon=True
        )
        probe.start()

    def _await_return(self, here: tuple[int, str]) -> None:
        """Use Redis again once it stores a value; log another reason if there is one."""
        client = connect(redis.Redis)
        while True:
            time.sleep(_PROBE_SECONDS)
            if _here() != here:
                break
            try:
                client.set(f"{settings.DATABASE_SCHEMA}:probe", 1, px=1000)
            except redis.RedisError as error:
                self._explain(error)
                continue
            self._reason = None
            logger.info("Redis is back")
            break
        client.close()

    def _explain(self, error: redis.RedisError) -> None:
        # Refused connections and loading are normal during a restart; these are not.
        reason = type(error).__name__
        if reason != self._reason and isinstance(
            error, redis.AuthenticationError | redis.ResponseError
        ):
            self._reason = reason
            logger.warning("Redis is still away: %s (%s)", reason, error)


presence = Presence()


class Away(redis.ConnectionError):
    """Redis is known to be unavailable: nothing was sent."""


class Client(redis.Redis):
    """Fails at once while Redis is unavailable, as a failed command has shown."""

    def execute_command(self, *args, **options):
        if presence.is_away:
            raise Away("Redis is away")
        try:
            return super().execute_command(*args, **options)
        except NoScriptError:  # after a restart: redis-py then sends the script
            raise
        except redis.RedisError as error:
            presence.lose(error)
            raise


def connect(kind: type[redis.Redis] = Client) -> redis.Redis:
    """Return a client with connections of its own."""
    return kind.from_url(
        settings.REDIS_URL,
        socket_timeout=settings.REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def _here() -> tuple[int, str]:
    return os.getpid(), settings.REDIS_URL
