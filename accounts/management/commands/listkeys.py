from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from accounts.management.projects import named_project
from accounts.models import ApiKey
from core.number_formats import counted
from core.terminals import printable


class Command(BaseCommand):
    help = "List the ids of API keys, never the keys themselves."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--project", help="only the keys of this project (name or id)")

    def handle(self, *, project, **options) -> None:
        keys = ApiKey.objects.select_related("project")
        if project:
            keys = keys.filter(project=named_project(project))
        # Two lines for each key: the id, which revokekey takes, fits 80 columns uncut.
        table = Table(box=None, padding=(0, 2, 1, 0))
        table.add_column("id\nprefix of the key", no_wrap=True)
        table.add_column("project\nname", overflow="fold")
        table.add_column("state\nexpires", no_wrap=True)
        for key in keys.iterator():
            expires = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never"
            table.add_row(
                f"{key.id}\n{key.hint}",
                f"{printable(key.project.name)}\n{printable(key.name)}",
                f"{key.state}\n{expires}",
            )
        Console(file=self.stdout, markup=False, emoji=False, highlight=False).print(table)
        self.stdout.write(counted(table.row_count, "key"))
