"""Django's `migrate`, which records a migration in the transaction that applies it.

Django often records it in a transaction of its own, after the schema has changed: a
process killed in between leaves a database that no later start can migrate.
"""

from contextlib import nullcontext

from django.core.management.commands import migrate
from django.db import transaction
from django.db.migrations.executor import MigrationExecutor


class AtomicExecutor(MigrationExecutor):
    def apply_migration(self, state, migration, **options):
        with self._transaction(migration):
            return super().apply_migration(state, migration, **options)

    def unapply_migration(self, state, migration, **options):
        with self._transaction(migration):
            return super().unapply_migration(state, migration, **options)

    def _transaction(self, migration):
        if not migration.atomic:
            return nullcontext()
        return transaction.atomic(using=self.connection.alias)


migrate.MigrationExecutor = AtomicExecutor  # the command offers no other way


class Command(migrate.Command):
    pass
