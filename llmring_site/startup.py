"""What happens before a process of ours does its work: database, migrations, first accounts."""

import io
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.core.exceptions import ImproperlyConfigured

from core.database import embedded
from core.database.embedded import EmbeddedDatabaseError

# One server migrates and makes the first accounts; others that start meanwhile wait.
_STARTUP_LOCK = 0x6C6C6D72
_WAIT_SECONDS = 30  # for a database that starts together with us


class NotStarted(RuntimeError):
    """The server cannot start; the text says why."""


# What the operator can fix: shown as one line, without a traceback.
OPERATOR_ERRORS = (ImproperlyConfigured, EmbeddedDatabaseError, NotStarted)


@contextmanager
def exit_on_config_error() -> Iterator[None]:
    """Ends the program with one line, not a traceback, for what its operator can mend."""
    try:
        yield
    except OPERATOR_ERRORS as error:
        sys.exit(f"error: {error}")


def use_settings() -> None:
    """Make django.conf.settings ours."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmring_site.settings")


def use_database() -> None:
    """Make django.conf.settings ours, and run the embedded PostgreSQL if it is in use."""
    use_settings()
    embedded.ensure_running()


def make_ready() -> None:
    """Set Django up, check the settings and prepare the database. Raises what `prepare` does."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("check", fail_level="ERROR", stdout=io.StringIO())  # silent when all is well
    prepare()


def prepare() -> None:
    """Migrate, and make the admin and the first key when there are none. Django is set up.

    Raises NotStarted when the database cannot be reached, was made by a development
    version, or a migration fails.
    """
    from django.core.management import call_command
    from django.db import DatabaseError, connections

    try:
        with migration_lock():
            _refuse_development_database()
            try:
                call_command("migrate", interactive=False, verbosity=0)
            except DatabaseError as error:
                raise NotStarted(f"a migration failed: {error}") from error
            _make_first_accounts()
    finally:
        # Workers are forked from this process: they must not share its connections.
        for connection in connections.all(initialized_only=True):
            connection.close()
            connection.close_pool()


def _refuse_development_database() -> None:
    """Raise NotStarted for a database whose tables come from before the first release."""
    from django.apps import apps
    from django.conf import settings
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(connection)
    ours = {
        app.label for app in apps.get_app_configs() if Path(app.path).parent == settings.BASE_DIR
    }
    unknown = [
        name
        for name in loader.applied_migrations
        if name[0] in ours and name not in loader.disk_migrations
    ]
    if unknown:
        raise NotStarted(
            f"the database was made by a development version ({'.'.join(unknown[0])}): export its "
            "logs with that version (GET /api/v1/logs/export), start this one with an empty "
            "LLMRING_DATA_DIR or another LLMRING_DATABASE_URL, and run `manage.py importlogs`"
        )


@contextmanager
def migration_lock() -> Iterator[None]:
    """Hold the start-up lock, in a transaction so that it works behind a pooler too."""
    with _connect() as own, own.transaction():
        own.execute("SELECT pg_advisory_xact_lock(%s)", [_STARTUP_LOCK])
        yield


def _connect() -> psycopg.Connection:
    from core.database import raw_connection as own_connection

    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return own_connection.connect()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                # The first line names host and reason, never the password.
                reason = str(error).strip().split("\n")[0]
                raise NotStarted(f"the database cannot be reached: {reason}") from None
            time.sleep(0.5)


def _make_first_accounts() -> None:
    from django.conf import settings
    from django.contrib.auth import get_user_model

    from accounts.models import ApiKey, Project

    people = get_user_model().objects
    if not people.filter(is_superuser=True).exists():
        password = settings.ADMIN_PASSWORD or secrets.token_urlsafe(12)
        people.create_superuser(settings.ADMIN_USER, password=password)
        shown = "(the one you set)" if settings.ADMIN_PASSWORD else password
        print(f"\n  Admin     {_address()}/admin/  user {settings.ADMIN_USER}, password {shown}")
    if not ApiKey.objects.exists():
        _, key = ApiKey.issue(Project.objects.create(name="default"), name="made at first start")
        print(
            f"  API key   {key}\n\n  Neither is shown again. Try:\n\n{_first_call(key)}\n",
            flush=True,
        )


def _first_call(key: str) -> str:
    body = '{"provider":"openai","model":"gpt-4o-mini","input_tokens":1000,"output_tokens":200}'
    return (
        f"  curl -s {_address()}/api/v1/log -H 'X-API-Key: {key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _address() -> str:
    from django.conf import settings

    return settings.PUBLIC_URL
