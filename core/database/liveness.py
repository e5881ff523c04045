"""Keep pooled connections alive, and small."""

import select
from collections.abc import Collection, Mapping

import psycopg
from psycopg_pool import ConnectionPool

from core.database import lost_connections

# Characters of all parameters of a statement. libpq's buffers grow with the largest statement
# and never shrink. Beside such a statement, opening another connection is cheap.
_LARGE = 2 * 1024 * 1024


def is_live(connection: psycopg.Connection) -> bool:
    """Return whether the server has kept an idle connection open.

    A server that restarts, or ends a session, closes the socket, which makes it readable. A
    notice does so too, so only then is the server queried.
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
    """Return a live connection of the pool, which replaces dead ones.

    The pool's own check queries the server each time, and pauses after each dead connection.
    Raises PoolTimeout after `seconds`, by default the pool's timeout.
    """
    pool.open()
    while True:
        connection = pool.getconn(seconds)
        if is_live(connection):
            lost_connections.mark_taken(connection)
            return connection
        discard(pool, connection)


def require(pool: ConnectionPool, *, seconds: float) -> None:
    """Raise PoolTimeout unless the pool has a live connection within `seconds`."""
    pool.putconn(take(pool, seconds=seconds))


def replace(pool: ConnectionPool, lost: psycopg.Connection) -> psycopg.Connection:
    """Return a live connection in place of a lost one. Raises PoolTimeout."""
    lost_connections.replace_others(pool, lost)
    discard(pool, lost)
    return take(pool)


def discard(pool: ConnectionPool, connection: psycopg.Connection) -> None:
    """Return a dead connection to the pool, which opens another."""
    connection.close()
    pool.putconn(connection)


def mark_if_large(connection: psycopg.Connection, params: Collection | None) -> None:
    """Mark the connection if a statement with these parameters enlarges its buffers."""
    values = params.values() if isinstance(params, Mapping) else params or ()
    if sum(len(value) for value in values if isinstance(value, str | bytes)) > _LARGE:
        connection.is_discarded = True


def mark_if_unable(connection: psycopg.Connection, error: BaseException) -> None:
    """Mark a pool's connection if its server takes no writes, and replace the pool's others.

    New ones may reach another server.
    """
    if isinstance(error, lost_connections.UNABLE) and (pool := connection._pool):
        connection.is_discarded = True
        lost_connections.replace_others(pool, connection)


def close_if_marked(connection: psycopg.Connection) -> None:
    """Close a connection that was marked before it is returned to its pool."""
    if getattr(connection, "is_discarded", False):
        connection.close()
