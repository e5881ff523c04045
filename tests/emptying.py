"""Emptying the database after a test that commits.

Django truncates every table, which makes some two hundred files anew, and then makes
content types and permissions again: half a second for each such test. Most tests leave
rows in five tables.
"""

from functools import cache

from django.db import connection, transaction
from django.test import TransactionTestCase

_KEPT = {"django_migrations", "django_content_type", "auth_permission"}  # as migrations left them


def use_quick_emptying() -> None:
    """Let tests that commit end by `empty_tables` instead of Django's `flush`."""
    TransactionTestCase._fixture_teardown = lambda test_case: empty_tables()


def empty_tables() -> None:
    """Delete all rows, when those who are writing some have finished."""
    from accounts.key_cache import listener

    with transaction.atomic(), connection.cursor() as cursor:
        # No trigger: the next test would hear at some time that keys have changed.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL llmring.audit_retention = 'on'")  # that one is always there
        cursor.execute(f"LOCK TABLE {', '.join(_tables())} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in _tables()
            )
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {table}")
    listener._forget()


@cache
def _tables() -> tuple[str, ...]:
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return tuple(name for name in names if name not in _KEPT)
