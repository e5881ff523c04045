"""Which statements may run again after their connection was lost.

Most dead connections are found before they are used (core/database/liveness.py). If one dies
during a statement, or its server vanished silently, the statement fails. It is run once more,
on a new connection, if it cannot have had an effect: a read, or the first statement of a
transaction, which was not committed. Any other may have been carried out, or depends on
statements that are lost.
"""

import re
import time

import psycopg
from psycopg.errors import (
    IdleInTransactionSessionTimeout,
    ReadOnlySqlTransaction,
    TransactionTimeout,
)
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout

_READ = re.compile(r"[\s(]*(SELECT|WITH|VALUES|SHOW)\b", re.IGNORECASE)
# Also matches in comments and string literals: then a read is not repeated, which is safe.
_EFFECT = re.compile(
    r"\b(INSERT|UPDATE|DELETE|MERGE|INTO|CALL|nextval|setval|set_config|pg_notify|pg_advisory\w*)\b",
    re.IGNORECASE,
)
# SQLSTATEs of a server that shuts down or ends a session, and of broken connections.
_ENDED = ("57P01", "57P02", "57P05")
_BROKEN = "08"
# Internal errors to psycopg, though no statement is at fault: a server that takes no writes, as
# after a failover, and sessions that it has ended.
UNABLE = (ReadOnlySqlTransaction, IdleInTransactionSessionTimeout, TransactionTimeout)
OPERATIONAL = (psycopg.OperationalError, *UNABLE)


def is_lost(error: BaseException) -> bool:
    """Return whether an error, of psycopg or Django's of one, means a lost connection.

    False if there was no connection: then the pool has waited for the server in vain.
    """
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if isinstance(cause, UNABLE):
        return True  # a server that takes writes is reached by another connection
    if not isinstance(cause, psycopg.OperationalError) or isinstance(cause, PoolTimeout):
        return False
    state = cause.sqlstate
    return state is None or state in _ENDED or state.startswith(_BROKEN)


def is_idle(connection: psycopg.Connection) -> bool:
    """Return whether the next statement begins a transaction, or is one of its own."""
    # UNKNOWN for a broken connection.
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def can_repeat(statement: object, connection: psycopg.Connection) -> bool:
    """Return whether a statement that was sent on an idle connection may run again."""
    if not connection.autocommit:
        return True  # its transaction ended with the connection, or can be ended
    text = statement if isinstance(statement, str) else ""
    return bool(_READ.match(text)) and not _EFFECT.search(text)


def mark_taken(connection: psycopg.Connection) -> None:
    """Note on a connection of a pool when it was taken."""
    connection.taken_at = time.monotonic()


def replace_others(pool: ConnectionPool, lost: psycopg.Connection) -> None:
    """Replace the pool's connections: what ended one has probably ended the others.

    Once for all that were taken before. They are not queried: one whose server vanished
    silently would not answer.
    """
    if getattr(pool, "replaced_at", 0) < lost.taken_at:
        pool.replaced_at = time.monotonic()
        pool.drain()
