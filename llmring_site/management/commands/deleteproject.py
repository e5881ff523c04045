from django.core.management.base import BaseCommand, CommandError
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from accounts import audit
from accounts.management.projects import named_project
from accounts.models import Project
from accounts.projects import archive_project
from core import progress
from core.terminals import printable
from gateway.models import Call, CallState
from llmring_site.project_deletion import BATCH, count_rows, delete_rows


class Command(BaseCommand):
    help = "Delete an archived project with all its rows, in bounded steps; repeatable."

    def add_arguments(self, parser) -> None:
        parser.add_argument("project", help="id of the project, or its name if no other has it")
        parser.add_argument("--archive", action="store_true", help="archive it first")
        parser.add_argument(
            "--batch", type=int, default=BATCH, help="rows in a transaction (%(default)s)"
        )
        parser.add_argument("--dry-run", action="store_true", help="only count its rows")

    def handle(self, *, project: str, archive, batch, dry_run, **options) -> str:
        if batch < 1:
            raise CommandError("--batch must be 1 or more")
        target = _target(project)
        counts = {table: rows for table, rows in count_rows(target).items() if rows}
        total = sum(counts.values())
        if dry_run:
            lines = [f"{rows:>12,} {table}" for table, rows in counts.items()]
            name = printable(target.name)
            return "\n".join([*lines, f"{total:,} rows of project {name} ({target.pk})"])
        if archive:
            archive_project(target.pk, audit.of_command("deleteproject"))
        elif target.archived_at is None:
            raise CommandError("the project is in use: archive it, or add --archive")
        if count := Call.objects.filter(project_id=target.pk, state=CallState.PENDING).count():
            # Their logs would be stored after the deletion, and could not be deleted any more.
            raise CommandError(f"calls of the project are in progress: {count}; try again later")
        id, name = target.pk, target.name
        deleted = self._delete(target, batch, total)
        audit.record(
            "project.delete", audit.of_command("deleteproject"), project_id=id, rows=deleted
        )
        return f"{deleted:,} rows of project {printable(name)} ({id}) deleted"

    def _delete(self, project: Project, batch: int, total: int) -> int:
        deleted = 0
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with progress.display(*columns, TimeElapsedColumn(), stream=self.stderr) as shown:
            task = shown.add_task("", total=total + 1)
            for table, rows in delete_rows(project, batch=batch):
                deleted += rows
                shown.update(task, advance=rows, description=table)
        return deleted - 1  # the project's own row is not one of its rows


def _target(name: str) -> Project:
    """Return the project with this id, or the only one with this name."""
    project = named_project(name)
    if str(project.pk) != name and Project.objects.filter(name=name).count() > 1:
        raise CommandError(f"several projects are named {name}: give an id")
    return project
