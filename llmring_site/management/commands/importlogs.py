import itertools
from pathlib import Path
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from accounts import audit, keys
from accounts.management.projects import named_project
from accounts.models import ApiKey
from conversations.models import Conversation
from core import progress
from core.scoping import Caller
from core.terminals import printable
from gateway.models import Token
from usage import imports

_CHUNK_ROWS = 2_000  # stored in one transaction


class Command(BaseCommand):
    help = "Import usage logs from NDJSON or CSV: an export, or the older server's usage_logs rows."

    def add_arguments(self, parser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--project", help="project to import into (name or id); default: by api_key_id"
        )
        parser.add_argument(
            "--format", choices=list(imports.READERS), help="default: by the file's name"
        )

    def handle(self, *, file, project, format, **options) -> None:
        importer = imports.Importer(
            owned_conversations=Conversation.objects.owned_ids,
            caller_of_token=_caller_of_token,
            caller=_caller(project) if project else None,
        )
        format = format or ("csv" if file.suffix.lower() == ".csv" else "ndjson")
        read = imports.READERS[format]
        stored = known = bad = 0
        try:
            # Bytes that are not UTF-8 are refused with their row, as surrogates.
            source = file.open(
                encoding="utf-8",
                errors="surrogateescape",
                newline="" if format == "csv" else None,
            )
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None
        with source, progress.display(stream=self.stderr) as shown:
            task = shown.add_task(file.name, total=file.stat().st_size)
            rows = enumerate(read(_lines(source, shown, task)), start=1)
            while chunk := list(itertools.islice(rows, _CHUNK_ROWS)):
                logs = []
                for number, row in chunk:
                    try:
                        logs.append(importer.parse(row))
                    except imports.BadRow as error:
                        bad += 1
                        shown.console.print(
                            f"row {number} skipped: {printable(error)}", markup=False
                        )
                new = importer.store(logs)
                stored += new
                known += len(logs) - new
        self.stdout.write(f"{stored} logs imported, {known} known already, {bad} skipped")
        if bad:
            raise CommandError(f"{bad} rows could not be imported", returncode=1)


def _lines(source, shown, task):
    """Yield the file's lines; the progress bar advances by their bytes."""
    for line in source:
        shown.advance(task, len(line.encode(errors="surrogateescape")))
        yield line


def _caller_of_token(id: UUID) -> Caller | None:
    token = Token.objects.filter(id=id).first()
    return Caller(project_id=token.project_id, api_key_id=token.id) if token else None


def _caller(name: str) -> Caller:
    project = named_project(name)
    key = ApiKey.objects.filter(project=project).order_by("id").first()
    if key is None:
        key, _ = keys.issue_key(project, audit.of_command("importlogs"), name="import")
    return Caller(project_id=project.id, api_key_id=key.id)
