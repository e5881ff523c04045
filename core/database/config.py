"""Django's DATABASES entry from our variables."""

from pathlib import Path

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from core.database.embedded import DATABASE, USER, EmbeddedPostgres

# Each worker keeps three connections outside the pool: those that write usage
# logs and new conversations, and the one that listens for revoked keys.
OWN_CONNECTIONS = 3
_IN_DJANGO = {
    "dbname": "NAME",
    "user": "USER",
    "password": "PASSWORD",
    "host": "HOST",
    "port": "PORT",
}


def database_settings(
    *, url: str, data_dir: Path, schemas: list[str], connections: int, workers: int
) -> dict:
    """Settings for the database at `url`, or for the embedded one when `url` is empty.

    `connections` bounds what all `workers` together open.
    """
    share = connections // workers
    if share <= OWN_CONNECTIONS:
        raise ImproperlyConfigured(
            "LLMRING_DATABASE_POOL_SIZE must be such that, with the overflow, each of the "
            f"{workers} workers gets {OWN_CONNECTIONS + 1} connections or more, "
            f"got {str(connections)!r}."
        )
    target = _parse(url) if url else _embedded(data_dir)
    options = {name: value for name, value in target.items() if name not in _IN_DJANGO}
    # The schemas are all: with `public` on the path, a second deployment in
    # the same database would find the first one's table of migrations there.
    search_path = f"-c search_path={','.join(schemas)}"
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{_IN_DJANGO[name]: value for name, value in target.items() if name in _IN_DJANGO},
        "OPTIONS": {
            **options,
            "options": f"{options.get('options', '')} {search_path}".strip(),
            "application_name": options.get("application_name", "llmring-server"),
            "connect_timeout": int(options.get("connect_timeout", 5)),  # seconds
            "pool": {
                "min_size": 1,
                "max_size": share - OWN_CONNECTIONS,
                "timeout": 30,  # seconds a request waits for a free connection
            },
        },
    }


def _parse(url: str) -> dict[str, str]:
    if not url.startswith(("postgresql://", "postgres://")):
        raise _invalid_url()
    try:
        target = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise _invalid_url() from None
    if "dbname" not in target:
        raise _invalid_url(" (the database is missing)")
    return target


def _invalid_url(reason: str = "") -> ImproperlyConfigured:
    # The value may hold a password: it is not repeated.
    return ImproperlyConfigured(
        "LLMRING_DATABASE_URL must be an address such as "
        f"postgresql://user:password@host:5432/database{reason}."
    )


def _embedded(data_dir: Path) -> dict[str, str]:
    return {
        "dbname": DATABASE,
        "user": USER,
        "host": str(EmbeddedPostgres(data_dir).socket_dir),
    }
