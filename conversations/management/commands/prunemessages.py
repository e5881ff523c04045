from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from conversations import retention


class Command(BaseCommand):
    help = "Delete messages older than LLMRING_MESSAGE_RETENTION_DAYS, of all projects."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--days", type=int, help="instead of the setting; 0 keeps everything")
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *, days: int | None, dry_run: bool, **options) -> str:
        days = settings.MESSAGE_RETENTION_DAYS if days is None else days
        if days < 0:
            raise CommandError("--days must be 0 or more")
        now = timezone.now()
        if dry_run:
            return f"{retention.count_old(days, now=now)} messages older than {days} days"
        deleted = 0
        columns = SpinnerColumn(), TextColumn("{task.completed} messages deleted")
        console = Console(file=self.stderr._out)
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
            task = progress.add_task("", total=None)
            for count in retention.prune(days, now=now):
                deleted += count
                progress.advance(task, count)
        return f"{deleted} messages older than {days} days deleted"
