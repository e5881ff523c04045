"""Django's PostgreSQL backend, which hands out no closed connection and keeps no large one."""

from django.db.backends.postgresql import base

from core.database import liveness


class Cursor(base.Cursor):
    def execute(self, query, params=None, **options):
        liveness.mark_if_large(self.connection, params)
        return super().execute(query, params, **options)


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self):
        return {**super().get_connection_params(), "cursor_factory": Cursor}

    def get_new_connection(self, conn_params):
        while True:
            connection = super().get_new_connection(conn_params)
            if not self.pool or liveness.is_live(connection):
                return connection
            liveness.discard(self.pool, connection)

    def _close(self):
        if self.pool and self.connection is not None:
            liveness.close_if_large(self.connection)
        super()._close()
