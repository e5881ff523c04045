"""Links to the project and the key that own a row, by their names."""

from django.contrib import admin
from django.db.models import Model, OuterRef, QuerySet, Subquery

from accounts.models import ApiKey, Project
from core.admin_display import admin_link


class OwnerLinks:
    """Gives the admin of a model with `project_id` its displays `project` and `api_key`.

    The list's own query has the projects' names. `api_key`, for models with `api_key_id`,
    takes a query for each row, and is for the pages of single rows.
    """

    def get_queryset(self, request) -> QuerySet:
        name = Project.objects.filter(id=OuterRef("project_id")).values("name")
        return super().get_queryset(request).annotate(project_name=Subquery(name))

    @admin.display(description="project", ordering="project_id")
    def project(self, row: Model) -> str:
        """Return a link to the row's project; the id of a deleted one."""
        if row.project_name is None:
            return str(row.project_id or "-")
        return admin_link(row, "accounts.project", row.project_id, row.project_name)

    @admin.display(description="key")
    def api_key(self, row: Model) -> str:
        """Return a link to the row's key, its id for one of an earlier server, or a dash."""
        id = row.api_key_id
        key = ApiKey.objects.filter(id=id).first()
        return admin_link(row, "accounts.apikey", id, key) if key else str(id or "-")
