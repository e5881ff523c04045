from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from accounts.management.projects import named_project
from accounts.models import Project
from core import parsing, progress
from core.errors import InvalidInput
from core.json_writer import plain
from core.terminals import printable
from registry_proxy import pricing
from usage import repricing
from usage.query_schemas import WindowQuery
from usage.repricing import Change, Repriced
from usage.windows import Window

_OPTIONS = {"start_date": "--from", "end_date": "--to"}


class Command(BaseCommand):
    help = "Price logs again by what is known today, and correct those whose cost differs."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--from", dest="start", required=True, help="date or time, UTC")
        parser.add_argument("--to", dest="end", help="date or time, UTC, inclusive; default today")
        parser.add_argument("--project", help="name or id; default all but the demo")
        parser.add_argument("--unpriced", action="store_true", help="only logs without a price")
        parser.add_argument("--dry-run", action="store_true", help="only report what would change")

    def handle(self, *, start, end, project, unpriced, dry_run, **options) -> None:
        window = _window(start, end)
        pricing.load()
        changes: dict[str, Change] = {}
        checked = 0
        for project_id in _project_ids(project):
            logs = repricing.repriceable_logs(project_id, window, unpriced=unpriced)
            for repriced in self._with_progress(repricing.reprice(logs), logs.count()):
                checked += 1
                if repriced.differs and (dry_run or repricing.correct(repriced)):
                    name = f"{repriced.log.provider}:{repriced.log.model}"
                    changes.setdefault(name, Change()).add(repriced)
        for name, change in sorted(changes.items()):
            self.stdout.write(f"{printable(name)}: {change}")
        count = sum(change.logs for change in changes.values())
        total = sum((change.after - change.before for change in changes.values()), Decimal(0))
        verb = "would change" if dry_run else "corrected"
        self.stdout.write(f"{checked} logs checked, {count} {verb}, by {plain(total)} USD in all")

    def _with_progress(self, steps: Iterable[Repriced], total: int) -> Iterator[Repriced]:
        with progress.display(stream=self.stderr) as shown:
            yield from shown.track(steps, total=total, description="repricing")


def _window(start: str, end: str | None) -> Window:
    try:
        query = parsing.validate(WindowQuery, {"start_date": start, "end_date": end}, loc=())
    except InvalidInput as error:
        issue = error.issues[0]
        raise CommandError(f"{_OPTIONS[issue['loc'][0]]}: {issue['msg']}") from None
    return Window.of(query.start_date, query.end_date, now=datetime.now(UTC))


def _project_ids(name_or_id: str | None) -> list[UUID]:
    if name_or_id is None:
        return list(Project.objects.real().order_by("id").values_list("id", flat=True))
    return [named_project(name_or_id).id]
