import json

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from registry_proxy import refreshing
from registry_proxy.client import UpstreamUnavailable
from registry_proxy.models import Snapshot


class Command(BaseCommand):
    help = "Fetch the public registry now; store and list what has changed."

    def handle(self, **options) -> None:
        console = Console(file=self.stderr)
        try:
            with console.status("fetching the public registry"):
                taken = refreshing.refresh(now=timezone.now())
        except UpstreamUnavailable as error:
            raise CommandError(f"The public registry is not available: {error}") from None
        if taken is None:
            newest = Snapshot.objects.newest()
            self.stdout.write(f"Nothing has changed: {newest} with {newest.model_count} models")
            return
        if taken.changes:
            Console(file=self.stdout, markup=False).print(_table(taken))
        self.stdout.write(
            f"Stored {taken}: {taken.model_count} models, {taken.change_count} changes"
        )


def _table(snapshot: Snapshot) -> Table:
    table = Table("change", "model", "member", "before", "now")
    for entry in snapshot.changes:
        table.add_row(
            entry["change_type"],
            entry["model"],
            entry["field"] or "",
            *(
                "" if entry["field"] is None else json.dumps(entry[name], ensure_ascii=False)
                for name in ("old_value", "new_value")
            ),
        )
    return table
