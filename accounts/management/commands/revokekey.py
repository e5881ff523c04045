from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from accounts import api_keys, audit, keys
from accounts.models import ApiKey
from core.terminals import printable


class Command(BaseCommand):
    help = "Revoke an API key permanently, by its id or by the key itself."

    def add_arguments(self, parser) -> None:
        parser.add_argument("key", help="the key's id (see listkeys) or its text")

    def handle(self, *, key, **options) -> None:
        try:
            rows = ApiKey.objects.filter(id=UUID(key))
        except ValueError:
            digest = api_keys.digest(key)
            rows = ApiKey.objects.filter(Q(digest=digest) | Q(previous_digest=digest))
        row = rows.first()
        if row is None:
            raise CommandError("There is no such key.")
        if not keys.revoke_keys(rows, audit.of_command("revokekey"), reason="by command"):
            raise CommandError(
                f"Key {row.id} was revoked before, at {row.revoked_at:%Y-%m-%d %H:%M}."
            )
        self.stdout.write(f"Key {row.id} of project {printable(row.project.name)} is revoked.")
