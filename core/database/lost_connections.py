"""What a statement may do when its connection turns out to be dead: sometimes, run again.

Most dead connections are found before they are used (core/database/liveness.py). One that
dies on the way, or whose server vanishes silently, shows only when a statement fails. It is
run once more, on a new connection, where nothing can have come of it: a read, and the first
statement of a transaction, which was not committed. All others may have been carried out, or
stand on statements that are lost.
"""

import re
import time

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout

_READ = re.compile(r"[\s(]*(SELECT|WITH|VALUES|SHOW)\b", re.IGNORECASE)
# Also in a word of a comment or a text: then a read is not repeated, which is safe.
_EFFECT = re.compile(
    r"\b(INSERT|UPDATE|DELETE|MERGE|INTO|CALL|nextval|setval|set_config|pg_notify|pg_advisory\w*)\b",
    re.IGNORECASE,
)
# SQLSTATEs of a server that shuts down or ends a session, and of broken connections.
_ENDED = ("57P01", "57P02", "57P05", "25P03")
_BROKEN = "08"


def is_lost(error: BaseException) -> bool:
    """Return whether an error of psycopg, or of Django about one, means a lost connection.

    Not when there was none: then the server is away, and the pool has waited for it.
    """
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if not isinstance(cause, psycopg.OperationalError) or isinstance(cause, PoolTimeout):
        return False
    state = cause.sqlstate
    return state is None or state in _ENDED or state.startswith(_BROKEN)


def is_idle(connection: psycopg.Connection) -> bool:
    """Return whether the next statement begins a transaction, or is one of its own."""
    # Of a broken connection, the status is unknown: one that is known dead held no transaction.
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def can_repeat(statement: object, connection: psycopg.Connection) -> bool:
    """Return whether a statement that was sent on an idle connection may run again."""
    if not connection.autocommit:
        return True  # its transaction ended with the connection
    text = statement if isinstance(statement, str) else ""
    return bool(_READ.match(text)) and not _EFFECT.search(text)


def mark_taken(connection: psycopg.Connection) -> None:
    """Note on a connection of a pool when it was taken."""
    connection.taken_at = time.monotonic()


def replace_others(pool: ConnectionPool, lost: psycopg.Connection) -> None:
    """Have the pool replace its connections: what ended one has probably ended others.

    Once for all that were taken before. They are not asked: one whose server vanished
    silently would not answer.
    """
    if getattr(pool, "replaced_at", 0) < lost.taken_at:
        pool.replaced_at = time.monotonic()
        pool.drain()
