from django.core.management.base import BaseCommand
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from usage import retention


class Command(BaseCommand):
    help = "Delete the logs that the tiers of their projects no longer keep."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *, dry_run: bool, **options) -> str:
        now = timezone.now()
        if dry_run:
            return f"{retention.count_old(now=now)} logs are older than their tiers keep them"
        deleted = 0
        columns = SpinnerColumn(), TextColumn("{task.completed} logs deleted")
        console = Console(file=self.stderr._out)
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
            task = progress.add_task("", total=None)
            for count in retention.enforce(now=now):
                deleted += count
                progress.advance(task, count)
        return f"{deleted} logs deleted that were older than their tiers keep them"
