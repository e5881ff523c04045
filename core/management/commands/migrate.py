"""Django's `migrate`, which records a migration in the transaction that applies it.

Django often records it in a transaction of its own, after the schema has changed: a
process killed in between leaves a database that no later start can migrate.

No timeout ends that transaction, such as one that is set for the role because of a pooler.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.commands import migrate
from django.db import transaction
from django.db.migrations.executor import MigrationExecutor

from core.database import timeouts


class AtomicExecutor(MigrationExecutor):
    def apply_migration(self, state, migration, **options):
        with self._transaction(migration):
            return super().apply_migration(state, migration, **options)

    def unapply_migration(self, state, migration, **options):
        with self._transaction(migration):
            return super().unapply_migration(state, migration, **options)

    @contextmanager
    def _transaction(self, migration) -> Iterator[None]:
        if not migration.atomic:
            yield
            return
        with transaction.atomic(using=self.connection.alias):
            with self.connection.cursor() as cursor:
                cursor.execute(timeouts.LIFT_ALL)  # a large table takes its time
            yield


migrate.MigrationExecutor = AtomicExecutor  # the command offers no other way


class Command(migrate.Command):
    pass
