from datetime import UTC, datetime

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from accounts.models import Project
from core import media
from usage import repricing
from usage.windows import parse_end, parse_start

_EARLIEST, _LATEST = "1970-01-02", "9000-01-01"


class Command(BaseCommand):
    help = "Price logs again by today's knowledge of the prices of their time, as corrections."

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "--from", dest="start", default=_EARLIEST, help="date, or date and time"
        )
        parser.add_argument("--to", dest="end", default=_LATEST, help="date, or date and time")
        parser.add_argument("--project", help="only this one's logs (name or id)")
        parser.add_argument("--unpriced", action="store_true", help="only logs without a price")
        parser.add_argument("--dry-run", action="store_true", help="report and write nothing")

    def handle(self, *, start, end, project, unpriced, dry_run, **options) -> None:
        window = _window(start, end)
        summary = repricing.Summary()
        with Progress(console=Console(file=self.stderr)) as progress:
            for id, name in _projects(project):
                logs = repricing.logs_to_price(id, *window, unpriced_only=unpriced)
                task = progress.add_task(name, total=logs.count())
                author = f"repricelogs {datetime.now(UTC):%Y-%m-%d}"
                for count in repricing.reprice(logs, summary, author=author, dry_run=dry_run):
                    progress.advance(task, count)
        for model, count in summary.changed.most_common():
            amount = media.plain(summary.difference[model])
            self.stdout.write(f"{model}: {count} logs, {amount} USD")
        verb = "would be corrected" if dry_run else "corrected"
        total = media.plain(sum(summary.difference.values()))
        self.stdout.write(
            f"{summary.checked} logs checked, {summary.changed.total()} {verb}, {total} USD"
        )


def _window(start: str, end: str) -> tuple[datetime, datetime]:
    try:
        return parse_start(start), parse_end(end)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _projects(name: str | None):
    if name is None:
        return Project.objects.order_by("id").values_list("id", "name")
    project = Project.objects.named(name)
    if project is None:
        raise CommandError(f"There is no project {name}.")
    return [(project.id, project.name)]
