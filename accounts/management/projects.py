"""Projects as arguments of management commands."""

from django.core.management.base import CommandError

from accounts.models import Project


def named_project(name_or_id: str) -> Project:
    """Return the project with this name or id. Raises CommandError."""
    project = Project.objects.named(name_or_id)
    if project is None:
        raise CommandError(f"There is no project {name_or_id}")
    return project
