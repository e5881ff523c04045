"""Databases beside the tests' own, in the same PostgreSQL."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from core.database.embedded import EmbeddedPostgres
from tests.environment import DATA_DIR


@contextmanager
def new_database(*, options: str = "") -> Iterator[str]:
    """Create an empty database, dropped afterwards; its address."""
    server = EmbeddedPostgres(DATA_DIR)
    name = f"extra_{os.getpid()}"
    with server.connect("postgres") as administrator:
        administrator.execute(f"CREATE DATABASE {name} {options}")
    try:
        yield f"postgresql://postgres@/{name}?host={server.socket_dir}"
    finally:
        with server.connect("postgres") as administrator:
            administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
