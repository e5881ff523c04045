"""Connections outside Django's: for the log writer, the key listener and start-up."""

import psycopg
from django.db import connection

# Django's additions to the connection parameters that psycopg's connect() does not expect here.
_DJANGO_ONLY = ("cursor_factory", "context", "prepare_threshold")


def connect() -> psycopg.Connection:
    """A new connection to the database of the settings, in autocommit mode."""
    parameters = connection.get_connection_params()
    for name in _DJANGO_ONLY:
        parameters.pop(name, None)
    return psycopg.connect(**parameters, autocommit=True)
