"""Check without a round trip whether a pooled connection is alive."""

import select

import psycopg
from psycopg_pool import ConnectionPool


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


def take(pool: ConnectionPool) -> psycopg.Connection:
    """Return a live connection of the pool; those that are not are replaced by it.

    Without the pool's own check, which asks the server each time, and pauses after each
    connection that it finds dead.
    """
    pool.open()
    while True:
        connection = pool.getconn()
        if is_live(connection):
            return connection
        discard(pool, connection)


def discard(pool: ConnectionPool, connection: psycopg.Connection) -> None:
    """Give a dead connection back; the pool opens another."""
    connection.close()
    pool.putconn(connection)
