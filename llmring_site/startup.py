"""The start of every process: settings, database, migrations."""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, OperationalError, ProgrammingError
from psycopg.errors import UndefinedColumn, UndefinedTable

from core import memory
from core.database import embedded
from core.database.embedded import EmbeddedDatabaseError
from core.database.lost_connections import OPERATIONAL

SETTINGS_MODULE = "llmring_site.settings"
# One server migrates and creates the first accounts; others that start meanwhile wait.
_MIGRATION_LOCK = 0x6C6C6D72
_WAIT_SECONDS = 30  # for a database that starts at the same time
_MIN_POSTGRESQL = 14
# Errors of a database that is starting, restarting or out of connections; all others are final.
# raw_connection.is_rejecting also covers a database whose messages are not in English.
_TRANSIENT = re.compile(
    r"refused|timeout|timed out|resolve host|translate host|unreachable|no route|reset by peer"
    r"|closed the connection|socket.*no such file|starting up|shutting down|not yet accepting"
    r"|recovery mode|too many (clients|connections)|connection slots|server.login",
    re.IGNORECASE,
)


class StartupError(RuntimeError):
    """The server cannot start; the message is the reason."""


# Errors that the operator can fix: printed as one line, without a traceback.
OPERATOR_ERRORS = (ImproperlyConfigured, EmbeddedDatabaseError, StartupError)


@contextmanager
def exit_on_config_error() -> Iterator[None]:
    """End the program with one line instead of a traceback, for errors the operator can fix."""
    try:
        yield
    except OPERATOR_ERRORS as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except ProgrammingError as error:
        if not isinstance(error.__cause__, (UndefinedColumn, UndefinedTable)):
            raise
        sys.exit("error: the database lacks tables of this version: run `llmring-db migrate`")
    except (OperationalError, *OPERATIONAL) as error:  # such as a full disk
        reason = " ".join(str(error).split())
        sys.exit(f"error: the database of {_source()} cannot be used: {reason}")


def use_settings() -> None:
    """Make django.conf.settings ours."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", SETTINGS_MODULE)


def use_database() -> None:
    """Make django.conf.settings ours, and run the embedded PostgreSQL if it is in use."""
    use_settings()
    embedded.ensure_running()


def load(*, keep_logging: bool = False) -> None:
    """Set Django up, check the settings unless this process has, and run the database.

    For servers that import the application. Raises StartupError before a database is made.
    """
    from django.apps import apps

    use_settings()
    is_first = not apps.ready
    if keep_logging:
        settings.LOGGING_CONFIG = None
    with memory.gc_paused():
        set_up(set_prefix=False)
        if is_first:
            check_configuration()
    use_database()


def make_ready() -> None:
    """Set Django up, check the settings and prepare the database. Raises StartupError."""
    check_settings()
    prepare()


def check_settings(*, with_warnings: bool = True) -> None:
    """Set Django up and check the settings, without the database. Raises StartupError."""
    with memory.gc_paused():  # it would take a tenth of the start, and find no garbage
        set_up()
        check_configuration(with_warnings=with_warnings)


def set_up(*, set_prefix: bool = True) -> None:
    """Set Django up; without `set_prefix` leave the prefix of addresses to each request."""
    import django

    with memory.gc_paused():
        django.setup(set_prefix=set_prefix)


def check_configuration(*, with_warnings: bool = True) -> None:
    """Raise StartupError for the first error of Django's checks; print warnings about variables.

    Requires `set_up`.
    """
    from django.core import checks

    from llmring_site.checks import UNKNOWN_VARIABLE

    messages = checks.run_checks()
    _raise_first(messages)
    for message in messages:
        if with_warnings and message.id == UNKNOWN_VARIABLE:
            print(f"warning: {_text(message)}", file=sys.stderr)


def prepare(*, with_accounts: bool = True) -> None:
    """Migrate, and create the admin and the first key if there are none. Requires `set_up`.

    Nothing is written before database and data directory have been checked. Raises StartupError
    if the database cannot be reached or used or was made by another version, or if a migration
    fails.
    """
    from django.db import connections

    from llmring_site import first_accounts, static_files
    from llmring_site.checks import check_database, check_redis

    _raise_first(check_redis())
    try:
        with migration_lock():
            _raise_first(check_database(None, ["default"]))
            _refuse_other_versions()
            _create_key_files()
            _migrate()
            _check_tiers()
            static_files.collect()
            if with_accounts:
                first_accounts.create()
    finally:
        # Workers are forked from this process: they must not share its connections.
        for connection in connections.all(initialized_only=True):
            connection.close()
            connection.close_pool()


def _check_tiers() -> None:
    """Raise StartupError for the name of a tier that does not exist, which would limit nobody.

    `free`, the default, may be missing: operators may delete tiers.
    """
    from accounts.models import Tier

    names = [*Tier.objects.values_list("name", flat=True)]
    for variable, name, others in (
        ("LLMRING_DEFAULT_TIER", settings.DEFAULT_TIER, [""]),
        ("LLMRING_ACCOUNT_TIER", settings.ACCOUNT_TIER, ["free", "none"]),
    ):
        if name not in [*names, *others]:
            raise StartupError(
                f"{variable} must be a tier of this server ({', '.join(names)}), got {name!r}"
            )


def _migrate() -> None:
    from django.core.management import call_command

    def migrate() -> None:
        call_command("migrate", interactive=False, verbosity=0)

    try:
        try:
            migrate()
        except DatabaseError:
            # PostgreSQL may have committed a migration of a killed server since we read which are
            # applied. Each is a transaction: one that fails for another reason fails again.
            migrate()
    except DatabaseError as error:
        raise StartupError(f"a migration failed: {error}") from error


def require_database() -> None:
    """Raise StartupError if the database cannot be reached now. Requires `set_up`."""
    _connect(wait_seconds=0).close()


def is_encrypted() -> bool:
    """Return whether connections to the database are encrypted. Raises StartupError."""
    with _connect(wait_seconds=0) as connection:
        return connection.pgconn.ssl_in_use


@contextmanager
def migration_lock() -> Iterator[psycopg.Connection]:
    """Yield the connection that holds the migration lock.

    It does so in a transaction, so that it works behind a pooler too.
    It may wait for long, and then be idle for long, whatever limits a role has.
    """
    from core.database import timeouts

    with _connect(wait_seconds=_WAIT_SECONDS) as connection, connection.transaction():
        connection.execute(timeouts.LIFT_ALL)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
        yield connection


def _connect(*, wait_seconds: float) -> psycopg.Connection:
    connection = _await_connection(wait_seconds)
    version = connection.info.server_version // 10_000
    if version < _MIN_POSTGRESQL:
        connection.close()
        raise StartupError(
            f"PostgreSQL must be of version {_MIN_POSTGRESQL} or later, and that of {_source()} "
            f"is of {version}"
        )
    return connection


def _await_connection(wait_seconds: float) -> psycopg.Connection:
    from core.database import raw_connection

    started = time.monotonic()
    is_explained = False
    while True:
        try:
            return raw_connection.connect()
        except (psycopg.OperationalError, UnicodeError) as error:
            # libpq names host and reason, never the password.
            reason = " ".join(str(error).split())
        is_transient = _TRANSIENT.search(reason) or raw_connection.is_rejecting()
        if not is_transient or time.monotonic() - started >= wait_seconds:
            raise StartupError(f"the database of {_source()} cannot be reached: {reason}")
        if not is_explained:
            print(f"waiting for the database… ({reason})", file=sys.stderr, flush=True)
            is_explained = True
        time.sleep(0.5)


def _source() -> str:
    return "LLMRING_DATABASE_URL" if settings.DATABASE_URL else "LLMRING_DATA_DIR"


def _raise_first(messages: list) -> None:
    for message in messages:
        if message.is_serious():
            raise StartupError(_text(message))


def _text(message) -> str:
    return f"{message.msg} {message.hint or ''}".strip()


def _create_key_files() -> None:
    from core import key_files

    str(settings.SECRET_KEY)  # lazy: its file is created now, unless the variable is set
    if not settings.ENCRYPTION_KEYS:
        key_files.load_or_create(settings.DATA_DIR, "encryption_key")


def _refuse_other_versions() -> None:
    """Raise StartupError for a database whose migrations this version does not know."""
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(connection)
    unknown = sorted(
        (app, name)
        for app, name in loader.applied_migrations
        if app in {"core", *settings.OWN_APPS} and (app, name) not in loader.disk_migrations
    )
    if not unknown:
        return
    first = ".".join(unknown[0])
    # Only versions before the first release had migrations of this name.
    if any(name == "0001_initial" for _, name in unknown):
        raise StartupError(
            f"the database was made by a development version ({first}): export its "
            "logs with that version (GET /api/v1/logs/export), start this one with an empty "
            "LLMRING_DATA_DIR or another LLMRING_DATABASE_URL, and run `manage.py importlogs`"
        )
    raise StartupError(
        f"the database was made by a newer version ({first}) than {settings.VERSION}: "
        "install that version, or restore the backup from before the upgrade"
    )
