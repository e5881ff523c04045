"""The DATABASES entry of Django's settings."""

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from core.database.embedded import DATABASE, USER, EmbeddedPostgres

# Each worker keeps five connections outside the pool: four that write usage logs, new
# conversations, and the gateway's calls before and after they are made, and one that listens
# for revoked keys.
OWN_CONNECTIONS = 5
# Where requests are limited, another one counts them. The pool leaves room for it, unless the
# pool itself would have none: then the worker opens one more than its share.
_COUNTING_CONNECTIONS = 1
_DJANGO_NAMES = {
    "dbname": "NAME",
    "user": "USER",
    "password": "PASSWORD",
    "host": "HOST",
    "port": "PORT",
}
# When to give up a TCP connection whose host vanished without closing it. The system's
# defaults are hours. Unix sockets ignore these.
_SILENCE = {
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "15000",  # milliseconds
}
_ENCODING = "write @, /, ?, # and % in a password as %40, %2F, %3F, %23 and %25"


def max_workers(connections: int) -> int:
    """Return how many workers can share so many connections; at least one."""
    return max(connections // (OWN_CONNECTIONS + _COUNTING_CONNECTIONS + 1), 1)


def database_settings(
    *, url: str, data_dir: Path, schemas: list[str], connections: int, workers: int
) -> dict:
    """Return the settings for the database at `url`, or for the embedded one when it is empty.

    `connections` bounds what all `workers` together open. Raises ImproperlyConfigured.
    """
    share = connections // workers
    if share <= OWN_CONNECTIONS:
        raise ImproperlyConfigured(
            "LLMRING_DATABASE_POOL_SIZE must be such that, with the overflow, each of the "
            f"{workers} workers gets {OWN_CONNECTIONS + 1} connections or more, "
            f"got {str(connections)!r}."
        )
    target = _parse(url) if url else _embedded(data_dir)
    options = {name: value for name, value in target.items() if name not in _DJANGO_NAMES}
    # Not `public`: a second deployment in the same database would find the first one's table
    # of migrations there.
    search_path = f"-c search_path={','.join(schemas)}"
    return {
        "ENGINE": "core.database.postgresql",
        **{_DJANGO_NAMES[name]: value for name, value in target.items() if name in _DJANGO_NAMES},
        "OPTIONS": {
            **_SILENCE,
            **options,
            "options": f"{options.get('options', '')} {search_path}".strip(),
            "application_name": options.get("application_name", "llmring-server"),
            "connect_timeout": int(options.get("connect_timeout") or 5),  # seconds
            "pool": {
                "min_size": 1,
                "max_size": max(share - OWN_CONNECTIONS - _COUNTING_CONNECTIONS, 1),
                "timeout": 30,  # seconds a request waits for a free connection
                # seconds after which the growing intervals between attempts are reset
                "reconnect_timeout": 5,
            },
        },
    }


def _parse(url: str) -> dict[str, str]:
    if not url.startswith(("postgresql://", "postgres://")):
        raise _invalid_url()
    try:
        target = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise _invalid_url(_reason(url)) from None
    if "@" in target.get("host", "") + target.get("dbname", ""):
        raise _invalid_url(_ENCODING)
    if "dbname" not in target:
        raise _invalid_url("the database is missing")
    if target.get("client_encoding", "UTF8").upper().replace("-", "") != "UTF8":
        raise _invalid_url("client_encoding must be UTF8, or not be set")
    for name, accepted in (("port", range(1, 65_536)), ("connect_timeout", range(0, 3_600))):
        values = target.get(name, "").split(",")  # one for each of several hosts
        if not all(not value or _integer(value) in accepted for value in values):
            raise _invalid_url(f"{name} must be a number from {accepted[0]} to {accepted[-1]}")
    return target


def _integer(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() else None


def _reason(url: str) -> str:
    """Return why libpq refuses the URL, without its own text, which may quote a password."""
    query = urlsplit(url).query if "?" in url else ""
    if "@" in query:
        return _ENCODING
    accepted = {option.keyword.decode() for option in Conninfo.get_defaults()} | {"ssl"}
    for parameter in query.split("&"):
        name = parameter.partition("=")[0]
        if name and name not in accepted:
            return f"PostgreSQL has no parameter {name!r}"
    return _ENCODING


def _invalid_url(reason: str = "") -> ImproperlyConfigured:
    # Without the value, which may contain a password.
    return ImproperlyConfigured(
        "LLMRING_DATABASE_URL must be an address such as "
        "postgresql://user:password@host:5432/database" + (f" ({reason})." if reason else ".")
    )


def _embedded(data_dir: Path) -> dict[str, str]:
    return {
        "dbname": DATABASE,
        "user": USER,
        "host": str(EmbeddedPostgres(data_dir).socket_dir),
    }
