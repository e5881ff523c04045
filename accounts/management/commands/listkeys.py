from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from accounts.models import ApiKey, Project


class Command(BaseCommand):
    help = "List the API keys: what is known of them, never the keys themselves."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--project", help="only the keys of this project (name or id)")

    def handle(self, *, project, **options) -> None:
        keys = ApiKey.objects.select_related("project")
        if project:
            row = Project.objects.named(project)
            if row is None:
                raise CommandError(f"There is no project {project}.")
            keys = keys.filter(project=row)
        table = Table("id", "prefix", "project", "name", "state", "expires")
        for key in keys.iterator():
            expires = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never"
            table.add_row(str(key.id), key.hint, key.project.name, key.name, key.state, expires)
        Console(file=self.stdout).print(table)
        self.stdout.write(f"{table.row_count} keys")
