"""What happens before a process of ours does its work: database, migrations, first accounts."""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.core.exceptions import ImproperlyConfigured

from llmring_site.embedded import EmbeddedDatabaseError, EmbeddedPostgres

# One server migrates and makes the first accounts; others that start meanwhile wait.
_STARTUP_LOCK = 0x6C6C6D72
_WAIT_SECONDS = 30  # for a database that starts together with us


class NotStarted(RuntimeError):
    """The server cannot start; the text says why."""


@contextmanager
def clear_errors() -> Iterator[None]:
    """Ends the program with one line, not a traceback, for what its operator can mend."""
    try:
        yield
    except (ImproperlyConfigured, EmbeddedDatabaseError, NotStarted) as error:
        sys.exit(f"error: {error}")


_embedded: EmbeddedPostgres | None = None


def use_settings() -> None:
    """Have django.conf.settings be ours."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmring_site.settings")


def use_database() -> None:
    """Have the embedded PostgreSQL running for as long as this process lives, if it is in use.

    Called again, it starts one that has crashed since.
    """
    global _embedded
    use_settings()
    from django.conf import settings

    if not settings.DATABASE_URL:
        _embedded = _embedded or EmbeddedPostgres(settings.DATA_DIR)
        connections = settings.DATABASE_POOL_SIZE + settings.DATABASE_POOL_OVERFLOW
        # As much again for commands and other processes that share it.
        _embedded.start(max_connections=max(100, 2 * connections + 10))


def prepare() -> None:
    """Migrate, and make the admin and the first key when there are none. Django is set up.

    Raises NotStarted when the database cannot be reached or a migration fails.
    """
    from django.core.management import call_command
    from django.db import DatabaseError, connections

    try:
        with _our_turn():
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


@contextmanager
def _our_turn() -> Iterator[None]:
    """Holds the start-up lock, in a transaction so that it works behind a pooler too."""
    with _connect() as own, own.transaction():
        own.execute("SELECT pg_advisory_xact_lock(%s)", [_STARTUP_LOCK])
        yield


def _connect() -> psycopg.Connection:
    from llmring_site import own_connection

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
