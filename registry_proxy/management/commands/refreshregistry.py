import json
from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from registry_proxy import refreshing, snapshots
from registry_proxy.changelog import diff
from registry_proxy.client import UpstreamUnavailable
from registry_proxy.models import Snapshot
from registry_proxy.prices import PRICE_PREFIX


class Command(BaseCommand):
    help = "Fetch the public registry now; store and list what has changed."

    def handle(self, **options) -> None:
        console = Console(file=self.stderr)
        try:
            with console.status("fetching the public registry"):
                taken = refreshing.refresh(now=timezone.now())
        except UpstreamUnavailable as error:
            raise CommandError(f"The public registry is not available: {error}") from None
        newest = taken or Snapshot.objects.newest()
        for line in _suspects(newest):
            self.stdout.write(line)
        if taken is None:
            self.stdout.write(f"Nothing has changed: {newest} with {newest.model_count} models")
            return
        if taken.changes:
            Console(file=self.stdout, markup=False).print(_table(taken))
        self.stdout.write(
            f"Stored {taken}: {taken.model_count} models, {taken.change_count} changes"
        )


def _suspects(snapshot: Snapshot) -> Iterator[str]:
    """Yield a line for each entry that differs from another one in letter case only."""
    loaded = snapshots.load(snapshot.id)
    models = loaded.document["models"]
    for suspect, preferred in loaded.prices.models.twins:
        prices = [
            {name: value for name, value in models[key].items() if name.startswith(PRICE_PREFIX)}
            for key in (preferred, suspect)
        ]
        differences = ", ".join(
            f"{change['field'].removeprefix(PRICE_PREFIX)} {change['new_value']} "
            f"instead of {change['old_value']}"
            for change in diff({"": prices[0]}, {"": prices[1]})
        )
        yield f"Suspect: {suspect}, priced as {preferred} ({differences or 'same prices'})"


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
