"""Keep pooled connections alive, and small."""

import select
from collections.abc import Collection, Mapping

import psycopg
from psycopg_pool import ConnectionPool

from core.database import lost_connections

# Characters of all parameters of a statement. libpq's buffers grow with the largest one and never
# shrink, in every connection of the pool. Opening another is cheap beside such a statement only.
_LARGE = 2 * 1024 * 1024


def is_live(connection: psycopg.Connection) -> bool:
    """Return whether the server has kept an idle connection open.

    A server that restarts, or ends a session, closes the socket: then something is there to
    be read where nothing is expected. It may be a notice, so the server is asked then.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return True
    try:
        connection.execute("")
    except psycopg.OperationalError:
        return False
    return True


def take(pool: ConnectionPool, *, seconds: float | None = None) -> psycopg.Connection:
    """Return a live connection of the pool; those that are not are replaced by it.

    Without the pool's own check, which asks the server each time, and pauses after each
    connection that it finds dead. Raises PoolTimeout when there is none for so many seconds,
    those of the pool unless others are given.
    """
    pool.open()
    while True:
        connection = pool.getconn(seconds)
        if is_live(connection):
            lost_connections.mark_taken(connection)
            return connection
        discard(pool, connection)


def require(pool: ConnectionPool, *, seconds: float) -> None:
    """Raise PoolTimeout unless the pool has a live connection within so many seconds."""
    pool.putconn(take(pool, seconds=seconds))


def replace(pool: ConnectionPool, lost: psycopg.Connection) -> psycopg.Connection:
    """Return a live connection instead of one that was lost. Raises PoolTimeout."""
    lost_connections.replace_others(pool, lost)
    discard(pool, lost)
    return take(pool)


def discard(pool: ConnectionPool, connection: psycopg.Connection) -> None:
    """Give a dead connection back; the pool opens another."""
    connection.close()
    pool.putconn(connection)


def mark_if_large(connection: psycopg.Connection, params: Collection | None) -> None:
    """Note on the connection that a statement with these parameters enlarges its buffers."""
    values = params.values() if isinstance(params, Mapping) else params or ()
    if sum(len(value) for value in values if isinstance(value, str | bytes)) > _LARGE:
        connection.is_large = True


def close_if_large(connection: psycopg.Connection) -> None:
    """Close a connection that keeps large buffers, before it is given back to its pool."""
    if getattr(connection, "is_large", False):
        connection.close()
