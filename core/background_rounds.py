"""One round of what a background thread does again and again."""

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
    """Do the work; log `failed` where it raises. Django's connection goes back to its pool.

    No error gets out: it would end the thread, and nothing else in the process does its work.
    One that is `expected`, as a database that is away always is, is logged without a traceback.
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
