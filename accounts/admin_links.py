"""Links to the pages of those whose a row is, by their names. One query each."""

from uuid import UUID

from accounts.models import ApiKey, Project
from core.admin import admin_link


def project_link(id: UUID | None) -> str:
    """Return a link to a project, or a dash."""
    return admin_link("accounts.project", id, Project.objects.filter(id=id).first())


def key_link(id: UUID | None) -> str:
    """Return a link to a key, its id for one of an earlier server, or a dash."""
    key = ApiKey.objects.filter(id=id).first()
    return admin_link("accounts.apikey", id, key) if key else str(id or "-")
