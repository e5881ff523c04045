"""The database without Django's connection: for the hottest statements, listeners, start-up."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName

from core.database import embedded, liveness
from core.database.embedded import EmbeddedDatabaseError

# Django's additions to the connection parameters that psycopg's connect() does not expect here.
_DJANGO_ONLY = ("cursor_factory", "context", "prepare_threshold")


def connect() -> psycopg.Connection:
    """A new connection to the database of the settings, in autocommit mode.

    An embedded server that has crashed is started again first.
    """
    try:
        return psycopg.connect(**_parameters())
    except psycopg.OperationalError:
        if settings.DATABASE_URL:
            raise
    _restart_embedded()
    return psycopg.connect(**_parameters())


async def connect_async() -> psycopg.AsyncConnection:
    """Return what `connect` does, for the event loop."""
    try:
        connection = await psycopg.AsyncConnection.connect(**_parameters())
    except psycopg.OperationalError:
        if settings.DATABASE_URL:
            raise
        await asyncio.to_thread(_restart_embedded)
        connection = await psycopg.AsyncConnection.connect(**_parameters())
    name_statements_apart(connection)
    return connection


def name_statements_apart(connection: psycopg.Connection | psycopg.AsyncConnection) -> None:
    """Number the connection's prepared statements from a random start.

    Psycopg's own names begin with the same one on every connection. An old pooler in
    transaction mode lets two connections share a server: one would run the other's
    statement. An unknown name is an error, after which nothing is prepared.
    """
    connection._prepared._prepared_idx = secrets.randbits(60)


def _parameters() -> dict:
    parameters = connection.get_connection_params()
    for name in _DJANGO_ONLY:
        parameters.pop(name, None)
    return {**parameters, "autocommit": True}


def _restart_embedded() -> None:
    try:
        embedded.ensure_running()
    except EmbeddedDatabaseError as error:
        raise psycopg.OperationalError(str(error)) from error


class _FastCursor(psycopg.Cursor):
    """Prepares every statement at its first use: planning it costs as much as running it."""

    prepares = True  # until a pooler turns out to mix connections

    def execute(self, query, params=None):
        liveness.mark_if_large(self.connection, params)
        if not _FastCursor.prepares:
            return super().execute(query, params, prepare=False, binary=True)
        try:
            return super().execute(query, params, prepare=True, binary=True)
        except (InvalidSqlStatementName, DuplicatePreparedStatement):
            # An old pooler in transaction mode; the statement itself was not run.
            _FastCursor.prepares = False
            return self.execute(query, params)


@contextmanager
def pooled_cursor() -> Iterator[psycopg.Cursor]:
    """A cursor on a connection of Django's pool, each statement a transaction of its own.

    Django's own cursor sends parameters as text inside the statement and takes
    the connection through its wrapper: both cost more than a small statement.
    """
    if connection.connection is not None:  # ours already: a second one could be waited for in vain
        yield psycopg.Cursor(connection.connection)
        return
    pool = connection.pool
    pooled = liveness.take(pool)
    try:
        if not pooled._prepared._prepared_idx:
            name_statements_apart(pooled)
        pooled.prepare_threshold = 0
        yield _FastCursor(pooled)
    finally:
        # Django's cursors never prepare, but would have psycopg count their statements: it
        # keeps the last hundred of each connection, parameters and all, megabytes of a batch.
        pooled.prepare_threshold = None
        liveness.close_if_large(pooled)
        pool.putconn(pooled)
