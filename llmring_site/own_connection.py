"""Connections outside Django's: for the log writer, the key listener and start-up."""

import psycopg
from django.conf import settings
from django.db import connection

from llmring_site import startup
from llmring_site.embedded import EmbeddedDatabaseError

# Django's additions to the connection parameters that psycopg's connect() does not expect here.
_DJANGO_ONLY = ("cursor_factory", "context", "prepare_threshold")


def connect() -> psycopg.Connection:
    """A new connection to the database of the settings, in autocommit mode.

    An embedded server that has crashed is started again first.
    """
    parameters = connection.get_connection_params()
    for name in _DJANGO_ONLY:
        parameters.pop(name, None)
    try:
        return psycopg.connect(**parameters, autocommit=True)
    except psycopg.OperationalError:
        if settings.DATABASE_URL:
            raise
    try:
        startup.use_database()
    except EmbeddedDatabaseError as error:
        raise psycopg.OperationalError(str(error)) from error
    return psycopg.connect(**parameters, autocommit=True)
