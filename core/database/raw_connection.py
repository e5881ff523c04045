"""The database without Django's connection: for the hottest statements, listeners, start-up."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from core.database import embedded, liveness, lost_connections
from core.database.embedded import EmbeddedDatabaseError
from core.database.prepared_cursor import PreparedCursor

# Django's additions to the connection parameters that psycopg's connect() does not expect here.
_DJANGO_ONLY = ("cursor_factory", "context", "prepare_threshold")


def connect() -> psycopg.Connection:
    """Return a new connection to the database of the settings, in autocommit mode.

    Restart the embedded server if it has crashed. Raises psycopg.OperationalError.
    """
    try:
        return psycopg.connect(**_parameters())
    except psycopg.OperationalError:
        if settings.DATABASE_URL:
            raise
    _restart_embedded()
    return psycopg.connect(**_parameters())


def is_rejecting() -> bool:
    """Return whether the server is there, but starts or stops: not by its words, but its code."""
    parameters = {**_parameters(), "autocommit": None}
    return PGconn.ping(make_conninfo(**parameters).encode()) == Ping.REJECT


async def connect_async(*, options: str = "") -> psycopg.AsyncConnection:
    """Return a new connection like `connect`, for the event loop.

    `options` are command-line options of the server, such as `-c name=value`.
    """
    parameters = _parameters()
    parameters["options"] = f"{parameters.get('options', '')} {options}".strip()
    try:
        return await psycopg.AsyncConnection.connect(**parameters)
    except psycopg.OperationalError:
        if settings.DATABASE_URL:
            raise
    await asyncio.to_thread(_restart_embedded)
    return await psycopg.AsyncConnection.connect(**parameters)


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


class PooledCursor:
    """A cursor that repeats a read once if its connection turns out to be dead."""

    def __init__(self) -> None:
        # Django's own connection if it has one: the pool may have no second one to give.
        self._is_own = connection.connection is None
        self._renew(liveness.take(connection.pool) if self._is_own else connection.connection)

    def _renew(self, used: psycopg.Connection) -> None:
        self._connection = used
        self._cursor = PreparedCursor(used) if self._is_own else psycopg.Cursor(used)

    def execute(self, query: str, params: Collection | None = None) -> "PooledCursor":
        is_idle = lost_connections.is_idle(self._connection)
        try:
            self._cursor.execute(query, params)
        except lost_connections.OPERATIONAL as error:
            liveness.mark_if_unable(self._connection, error)
            if not (
                is_idle
                and lost_connections.is_lost(error)
                and lost_connections.can_repeat(query, self._connection)
            ):
                raise
            self._replace_connection()
            self._cursor.execute(query, params)
        return self

    def _replace_connection(self) -> None:
        if not self._is_own:
            connection.replace_connection()
            self._renew(connection.connection)
            return
        lost, self._connection = self._connection, None
        self._renew(liveness.replace(connection.pool, lost))

    def fetchone(self) -> tuple | None:
        return self._cursor.fetchone()

    def fetchall(self) -> list[tuple]:
        return self._cursor.fetchall()

    def __iter__(self) -> Iterator[tuple]:
        return iter(self._cursor)

    def close(self) -> None:
        """Return the connection to the pool, unless it is Django's."""
        used = self._connection
        if not self._is_own or used is None:
            return
        liveness.close_if_marked(used)
        connection.pool.putconn(used)


@contextmanager
def pooled_cursor() -> Iterator[PooledCursor]:
    """Yield a cursor on a connection of Django's pool; each statement is its own transaction.

    Django's own cursor sends parameters as text inside the statement and takes
    the connection through its wrapper: both cost more than a small statement.
    """
    with closing(PooledCursor()) as cursor:
        yield cursor
