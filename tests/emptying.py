"""Emptying the database after a test that commits.

Django truncates every table, which makes some two hundred files anew, and then makes
content types and permissions again: half a second for each such test. Most tests leave
rows in five tables. A function finds them whose plans each session makes only once.
"""

from django.db import OperationalError, connection
from django.test import TransactionTestCase
from psycopg.errors import DeadlockDetected

_KEPT = {"django_migrations", "django_content_type", "auth_permission"}  # as migrations left them
# Without triggers: the next test would hear at some time that keys have changed.
_FUNCTION = """
CREATE OR REPLACE FUNCTION public.empty_tables() RETURNS void LANGUAGE plpgsql
SET session_replication_role = replica
SET llmring.audit_retention = 'on'  -- that trigger is always there
SET deadlock_timeout = '20ms'  -- so that this is ended, and not who is writing
AS $$ BEGIN
    LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE;
    {}
END $$
"""
# Thousands of dead rows, also of transactions that were undone, would be read after each test.
_EACH = """
    IF pg_relation_size('{0}') > 2000000 THEN TRUNCATE {0} CASCADE;
    ELSIF EXISTS (SELECT FROM {0}) THEN DELETE FROM {0};
    END IF;
"""


def use_quick_emptying() -> None:
    """Let tests that commit end by `empty_tables` instead of Django's `flush`."""
    TransactionTestCase._fixture_teardown = lambda test_case: empty_tables()


def make_function() -> None:
    """Make what `empty_tables` calls, for the tables that there are now."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(names) - _KEPT)
    with connection.cursor() as cursor:
        each = "".join(_EACH.format(table) for table in tables)
        cursor.execute(_FUNCTION.format(", ".join(tables), each))


def empty_tables() -> None:
    """Delete all rows, when those who are writing some have finished."""
    from accounts.key_cache import listener

    with connection.cursor() as cursor:
        while not _is_emptied(cursor):
            pass
    listener._forget()


def _is_emptied(cursor) -> bool:
    """Return False when somebody who has a table waited for another one."""
    try:
        cursor.execute("SELECT public.empty_tables()")
    except OperationalError as error:
        if isinstance(error.__cause__, DeadlockDetected):
            return False
        raise
    return True
