"""Django's PostgreSQL backend, with retries after lost connections and small buffers."""

from django.db import InterfaceError, OperationalError
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property

from core.database import liveness, lost_connections

# What our statements and psycopg expect, whatever a server, a database or a role has set.
# Dates and intervals are read in one style only, days begin in UTC on all connections, and
# statements that meet wait for each other instead of failing.
_SESSION = (
    "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC "
    r"-c default_transaction_isolation=read\ committed"
)


class ErrorWrapper(DatabaseErrorWrapper):
    """Raises OperationalError for what is no fault of the statement."""

    def __exit__(self, exc_type, exc_value, traceback):
        if exc_type is None:
            return
        if isinstance(exc_value, lost_connections.UNABLE):
            liveness.mark_if_unable(self.wrapper.connection, exc_value)
            self.wrapper.errors_occurred = True
            raise OperationalError(*exc_value.args).with_traceback(traceback) from exc_value
        super().__exit__(exc_type, exc_value, traceback)


class Cursor(base.Cursor):
    def execute(self, query, params=None, **options):
        liveness.mark_if_large(self.connection, params)
        return super().execute(query, params, **options)


class RepeatingCursor(CursorWrapper):
    """Repeats a statement whose connection was lost, if it cannot have had an effect."""

    def _execute(self, sql, params, *ignored_wrapper_args):
        used = self.cursor.connection
        is_idle = lost_connections.is_idle(used)
        try:
            return super()._execute(sql, params, *ignored_wrapper_args)
        except (OperationalError, InterfaceError) as error:
            if not (
                is_idle
                and used is self.db.connection
                and isinstance(self.cursor, Cursor)  # not a server-side cursor, which has a state
                and lost_connections.is_lost(error)
                and lost_connections.can_repeat(sql, used)
            ):
                raise
        self.db.replace_connection()
        self.cursor = self.db.create_cursor()
        return super()._execute(sql, params, *ignored_wrapper_args)


class DatabaseWrapper(base.DatabaseWrapper):
    @cached_property
    def wrap_database_errors(self):
        return ErrorWrapper(self)

    def get_connection_params(self):
        parameters = super().get_connection_params()
        options = f"{parameters.get('options', '')} {_SESSION}".strip()
        return {**parameters, "options": options, "cursor_factory": Cursor}

    def get_new_connection(self, conn_params):
        while True:
            connection = super().get_new_connection(conn_params)
            if not self.pool:
                return connection
            if liveness.is_live(connection):
                lost_connections.mark_taken(connection)
                return connection
            liveness.discard(self.pool, connection)

    def make_cursor(self, cursor):
        return RepeatingCursor(cursor, self) if self.pool else super().make_cursor(cursor)

    def chunked_cursor(self):
        # Outside a transaction, a pooler may give each statement to another session: FETCH would
        # not find the cursor. Django's choices of forms are read so, too.
        return super().chunked_cursor() if self.in_atomic_block else self.cursor()

    def replace_connection(self):
        """Replace a lost connection on which no statement of a transaction had run.

        Raises OperationalError if the pool gets no other one in time.
        """
        lost, self.connection = self.connection, None
        try:
            with self.wrap_database_errors:
                self.connection = liveness.replace(lost._pool, lost)
        except OperationalError:
            if self.in_atomic_block:  # as close() leaves it: no statement may follow
                self.closed_in_transaction = self.needs_rollback = True
            raise
        self.connection.autocommit = lost.autocommit
        self.errors_occurred = False

    def _close(self):
        if self.pool and self.connection is not None:
            liveness.close_if_marked(self.connection)
        super()._close()
