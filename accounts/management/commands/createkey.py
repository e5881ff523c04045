from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts import audit, keys, projects
from accounts.models import ApiKey, Scope
from core.terminals import printable

MAX_NAME = ApiKey._meta.get_field("name").max_length


class Command(BaseCommand):
    help = "Create an API key for a project, which is created if it does not exist; print it once."

    def add_arguments(self, parser) -> None:
        parser.add_argument("project", help="name or id of the project")
        parser.add_argument("--name", default="", help="where the key will be used")
        parser.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            choices=Scope.values,
            help="what it may do, repeatable; default all",
        )
        parser.add_argument("--days", type=int, help="days until the key expires; default never")

    def handle(self, *, project: str, name, scopes, days, **options) -> None:
        if days is not None and not 1 <= days <= 36_500:
            raise CommandError("--days must be between 1 and 36500")
        name, scopes = name.strip(), list(dict.fromkeys(scopes or [Scope.ALL.value]))
        if len(name) > MAX_NAME:
            raise CommandError(f"--name must be {MAX_NAME} characters long at most")
        expires_at = timezone.now() + timedelta(days=days) if days else None
        origin = audit.of_command("createkey")
        with transaction.atomic():
            try:
                owner = projects.named_or_new(project, origin)
            except ValidationError as error:
                raise CommandError(f"project: {' '.join(error.messages)}") from None
            row, key = keys.issue_key(
                owner, origin, name=name, expires_at=expires_at, scopes=scopes
            )
        self.stdout.write(key)
        name = printable(owner.name)
        self.stderr.write(f"Key {row.id} opens project {name} ({owner.id}). Not shown again.")
