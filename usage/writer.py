"""Group commit: requests that arrive together share one statement and one commit.

The first request to find the writer idle is the leader: it writes what waits
and wakes the others. Rows that arrive meanwhile form the next group, whose
first becomes its leader. Alone, a request writes at once; there is no timer.
Everybody is answered only after the commit that holds their row.

By hand, because the group is what makes the server fast (twice to four times
the requests per second) and no library does it. The connection is the
writer's own: one in each process, however many requests wait.
"""

import logging
import threading
from collections import deque
from uuid import UUID

import psycopg
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName

from llmring_site import own_connection
from llmring_site.errors import DatabaseUnavailable
from usage import statement
from usage.rows import Row

logger = logging.getLogger(__name__)

# Larger groups gain nothing and make their last member wait.
_LARGEST_GROUP = 256
_ATTEMPTS = 3


class _Waiting:
    """A row in the queue and the request that waits for it."""

    __slots__ = ("error", "is_new", "leads", "row", "turn")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.is_new = True
        self.error: Exception | None = None
        self.leads = False
        self.turn = threading.Lock()  # a bare lock wakes faster than an Event
        self.turn.acquire()


class GroupWriter:
    def __init__(self) -> None:
        self._queue: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._busy = False
        self._connection: psycopg.Connection | None = None
        self._prepares = True

    def write(self, row: Row) -> bool:
        """Store the row durably; False if its event id was there already.

        Raises DatabaseUnavailable, or what the database says of this one row.
        """
        waiting = _Waiting(row)
        with self._lock:
            self._queue.append(waiting)
            leads = not self._busy
            self._busy = True
        if not leads:
            waiting.turn.acquire()
            leads = waiting.leads
        if leads:
            self._lead()
        if waiting.error is not None:
            raise waiting.error
        return waiting.is_new

    def close(self) -> None:
        """Close the connection; the next row opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lead(self) -> None:
        """Write the group at the head of the queue, then make the next one's first its leader."""
        with self._lock:
            group = [self._queue.popleft() for _ in range(min(len(self._queue), _LARGEST_GROUP))]
        try:
            self._write(group)
        finally:
            with self._lock:
                successor = self._queue[0] if self._queue else None
                self._busy = successor is not None
            if successor is not None:
                successor.leads = True
                successor.turn.release()
            for waiting in group:
                if not waiting.leads:
                    waiting.turn.release()

    def _write(self, group: list[_Waiting]) -> None:
        try:
            new = self._insert([waiting.row for waiting in group])
        except psycopg.Error as error:
            if len(group) == 1 or isinstance(error, psycopg.OperationalError):
                for waiting in group:
                    waiting.error = _shown(error)
                return
            # One row is bad, and only that one shall fail.
            for waiting in group:
                self._write([waiting])
            return
        except Exception as error:
            for waiting in group:
                waiting.error = error
            return
        for waiting in group:
            waiting.is_new = waiting.row.event_id is None or waiting.row.id in new

    def _insert(self, rows: list[Row]) -> set[UUID]:
        """The ids of those of the rows with an event id that were new."""
        parameters = statement.parameters([row.text for row in rows])
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if self._connection is None:
                    self._connection = own_connection.connect()
                cursor = self._connection.execute(
                    statement.INSERT, parameters, prepare=self._prepares
                )
                _, new_events = cursor.fetchone()
                return set(new_events or ())
            except (InvalidSqlStatementName, DuplicatePreparedStatement):
                # An old pooler in transaction mode: each statement may meet another server.
                self._prepares = False
                self.close()
            except psycopg.OperationalError as error:
                # A lost connection, a restarted server, a deadlock: the statement
                # can be repeated, rows that were committed after all are skipped.
                if self._connection is not None and self._connection.broken:
                    self.close()
                if attempt == _ATTEMPTS:
                    raise
                logger.warning("usage write repeated: %s", type(error).__name__)
        raise AssertionError("unreachable")


def _shown(error: psycopg.Error) -> Exception:
    return DatabaseUnavailable() if isinstance(error, psycopg.OperationalError) else error


writer = GroupWriter()
