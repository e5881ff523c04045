from datetime import UTC, datetime

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import audit
from accounts.management.projects import named_project
from accounts.models import Project
from llmring_site.demo.project import AlreadyMade, NotRemovable, make_demo, remove_demo

_ORIGIN = audit.of_command("demo")


class Command(BaseCommand):
    help = "Make a project of invented data to look at, or remove it."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--remove", action="store_true", help="remove the demo project")
        parser.add_argument("--project", help="with --remove: name or id; default the demo project")

    def handle(self, *, remove: bool, project: str | None, **options) -> None:
        if remove:
            self._remove(project)
            return
        if project is not None:
            raise CommandError("--project goes with --remove; the demo makes a project of its own")
        try:
            made = make_demo(_ORIGIN, now=datetime.now(UTC))
        except AlreadyMade as error:
            self.stdout.write(f"{error} (project {error.project.pk}).")
            return
        address = f"{settings.PUBLIC_URL}/admin/?project={made.pk}"
        self.stdout.write(f"Made project {made.name} ({made.pk}): {address}")

    def _remove(self, name_or_id: str | None) -> None:
        project = named_project(name_or_id) if name_or_id else Project.objects.demo().first()
        if project is None:
            raise CommandError("There is no demo project; nothing was removed")
        try:
            remove_demo(project, _ORIGIN)
        except NotRemovable as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Removed project {project.name} ({project.pk}) and all of its data.")
