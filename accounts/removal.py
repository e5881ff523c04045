"""Removing a project with every row that it owns, in whatever app."""

from django.apps import apps
from django.db import transaction

from accounts.models import AuditEvent, Project


class NotRemovable(Exception):
    """Only demo projects are removed: a real one's ledger is kept."""


def remove_demo_project(project: Project) -> None:
    """Delete the project with its keys and all rows of every table that name it.

    Raises NotRemovable for one that `manage.py demo` did not make.
    """
    with transaction.atomic():
        if not Project.objects.demo().select_for_update().filter(pk=project.pk).exists():
            raise NotRemovable(f"{project} is not demo data, so it is not removed")
        # Foreign keys are checked at the end of the transaction, so the order is free. One
        # statement for each table: Django's cascade would load the rows.
        for model in apps.get_models():
            if model is AuditEvent:  # who made it and removed it stays on record
                continue
            columns = {field.attname for field in model._meta.concrete_fields}
            if "project_id" in columns:
                rows = model._base_manager.filter(project_id=project.pk)
                rows._raw_delete(rows.db)
        Project.objects.filter(pk=project.pk)._raw_delete("default")
