"""Django's PostgreSQL backend, which never hands out a connection that its server has closed."""

from django.db.backends.postgresql import base

from core.database import liveness


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params):
        while True:
            connection = super().get_new_connection(conn_params)
            if not self.pool or liveness.is_live(connection):
                return connection
            liveness.discard(self.pool, connection)
