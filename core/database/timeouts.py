"""Statement timeouts: a slow statement of one request delays all others."""

from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import connection, connections, transaction

from core.errors import DATABASE_AWAY, is_timeout

Result = TypeVar("Result")

# No limit that an operator may have set for the role or the database, until the end of the
# transaction. Older servers do not know all of them.
LIFT_ALL = """
    SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN (
        'statement_timeout', 'lock_timeout', 'transaction_timeout',
        'idle_in_transaction_session_timeout')
"""
_OPTION = "-c statement_timeout="


def limit_statements() -> None:
    """Set the statement timeout of all connections that this process opens from now on.

    For processes that serve requests; commands have none. A pooler that drops start-up
    options drops the timeout too.
    """
    options = connections.settings["default"]["OPTIONS"]
    if _OPTION not in options["options"]:
        options["options"] += f" {_OPTION}{settings.STATEMENT_TIMEOUT_SECONDS * 1000}"


def unless_too_slow(
    read: Callable[[], Result], *, milliseconds: int | None = None
) -> Result | None:
    """Return the function's result; None if one of its statements timed out.

    The timeout is that of requests unless `milliseconds` is given. An enclosing transaction
    can go on.
    """
    try:
        with transaction.atomic():
            before = None if milliseconds is None else _set_limit(str(milliseconds))
            result = read()
            if before is not None:
                _set_limit(before)
            return result
    except DATABASE_AWAY as error:
        if not is_timeout(error):
            raise
        return None


def lift_limit() -> None:
    """Remove the timeout until the end of the transaction, for writes of bounded size."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")


def _set_limit(value: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting(%(name)s), set_config(%(name)s, %(value)s, true)",
            {"name": "statement_timeout", "value": value},
        )
        return cursor.fetchone()[0]
