"""Emptying the database after a test that commits.

Django truncates every table, which makes some two hundred files anew, and then makes
content types and permissions again: half a second for each such test. Most tests leave
rows in five tables. A function finds them, in a session of its own: there triggers are off,
which for a function's time alone would have its plans made anew at each call.
"""

from functools import cache

import psycopg
from django.db import connection
from django.test import TransactionTestCase
from psycopg.errors import DeadlockDetected

from core.database import raw_connection

_KEPT = {"django_migrations", "django_content_type", "auth_permission"}  # as migrations left them
_SETTINGS = {
    # Without triggers: the next test would hear at some time that keys have changed.
    "session_replication_role": "replica",
    "llmring.audit_retention": "on",  # that trigger is always there
    "deadlock_timeout": "20ms",  # so that this is ended, and not who is writing
}
_FUNCTION = """
CREATE OR REPLACE FUNCTION public.empty_tables() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
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

    while not _is_emptied():
        pass
    listener._forget()


def _is_emptied() -> bool:
    """Return False when it has to be tried again."""
    try:
        _session().execute("SELECT public.empty_tables()")
    except DeadlockDetected:  # somebody who has a table waited for another one
        return False
    except psycopg.OperationalError:
        if not _session().closed:
            raise
        _session.cache_clear()  # the test was about lost connections
        return False
    return True


def close() -> None:
    """Close the session, if there is one."""
    if _session.cache_info().currsize:
        _session().close()


@cache
def _session() -> psycopg.Connection:
    made = raw_connection.connect()
    for name, value in _SETTINGS.items():
        made.execute(f"SET {name} = '{value}'")
    return made
