"""One round of a background thread's work."""

from collections.abc import Callable
from logging import Logger

from django.db import connection

from core.errors import DATABASE_AWAY


def run_round(
    work: Callable[[], object],
    *,
    logger: Logger,
    failed: str,
    expected: tuple[type[Exception], ...] = (),
) -> None:
    """Do the work; if it raises, log `failed`. Return Django's connection to its pool.

    No exception propagates: it would end the thread, whose work nothing else does. `expected`
    errors, and those of an unavailable database, are logged without a traceback.
    """
    try:
        work()
    except (*DATABASE_AWAY, *expected) as error:
        logger.warning("%s: %s", failed, type(error).__name__)
    except Exception:
        logger.exception(failed)
    finally:
        if not connection.in_atomic_block:  # as of a test
            connection.close()
