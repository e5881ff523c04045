"""Links to the pages of a row's project and key, by their names. One query each."""

from django.db.models import Model

from accounts.models import ApiKey, Project
from core.admin_display import admin_link


def project_link(row: Model) -> str:
    """Return a link to the row's project, or a dash."""
    id = row.project_id
    return admin_link(row, "accounts.project", id, Project.objects.filter(id=id).first())


def key_link(row: Model) -> str:
    """Return a link to the row's key, its id for one of an earlier server, or a dash."""
    id = row.api_key_id
    key = ApiKey.objects.filter(id=id).first()
    return admin_link(row, "accounts.apikey", id, key) if key else str(id or "-")
